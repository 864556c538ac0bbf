"""Convolutions and poolings as ONNX nodes, with every kind of padding and rounding."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from onnx_run import assert_saved, needs_onnx, operators, randomised

import minidl

pytestmark = [needs_onnx, pytest.mark.usefixtures("plain_backend")]

LAYERS = {
    "four sides": (minidl.Conv2D(2, 3, 3, 2, ((0, 1), (2, 0))), (2, 7, 6), ["Conv"]),
    "same": (minidl.Conv2D(2, 3, (3, 4), (2, 3), "same"), (2, 7, 6), ["Conv"]),
    "same_lower": (minidl.Conv2D(2, 3, (4, 2), (3, 1), "same_lower"), (2, 7, 6), ["Conv"]),
    "transposed": (
        minidl.ConvTranspose2D(4, 6, (3, 2), (2, 3), ((1, 0), (0, 1)), (1, 2), 1, 2),
        (4, 3, 5),
        ["ConvTranspose"],
    ),
    "transposed, dilated": (minidl.ConvTranspose2D(2, 3, 3, 1, 1, 1, 2, bias=False), (2, 3, 5), ["ConvTranspose"]),
    "transposed, less cut off": (minidl.ConvTranspose2D(2, 3, 2, 1, 2, 2, 3), (2, 5, 4), ["ConvTranspose"]),
    "transposed, more behind": (
        minidl.ConvTranspose2D(2, 3, 2, 1, (1, 0), 2, 3),
        (2, 5, 4),
        ["ConvTranspose", "Pad", "Add"],
    ),
    "dilated maximum": (minidl.MaxPool2D(2, 1, 1, 2), (2, 7, 6), ["MaxPool"]),
    "dilated maximum, same": (minidl.MaxPool2D((1, 3), (3, 1), "same", (2, 3)), (2, 10, 10), ["Pad", "MaxPool"]),
    "maximum, same": (minidl.MaxPool2D(3, 2, "same"), (2, 7, 6), ["MaxPool"]),
    "mean, same": (minidl.AvgPool2D(3, 2, "same_lower", count_include_pad=False), (2, 7, 6), ["AveragePool"]),
    "equal bins": (minidl.AdaptiveAvgPool2D((3, 2)), (2, 6, 4), ["AveragePool"]),
    "one bin": (minidl.AdaptiveAvgPool2D(1), (2, 7, 5), ["AveragePool"]),
    "unequal bins": (minidl.AdaptiveAvgPool2D((3, 4)), (2, 7, 3), ["MatMul", "Transpose"] * 2),
    "global maximum": (minidl.GlobalMaxPool2D(), (2, 7, 5), ["GlobalMaxPool", "Flatten"]),
    "instance": (minidl.InstanceNorm2D(3, 1e-3), (3, 5, 4), ["InstanceNormalization"]),
    "instance, affine": (minidl.InstanceNorm2D(3, affine=True), (3, 5, 4), ["InstanceNormalization"]),
    "odd neighbours": (minidl.LocalResponseNorm(5, 0.5, 0.6, 2.0), (7, 3, 2), ["LRN"]),
    "even neighbours": (
        minidl.LocalResponseNorm(4, 0.5, 0.6, 2.0),
        (7, 3, 2),
        ["Mul", "Reshape", "AveragePool", "Reshape", "Mul", "Add", "Pow", "Div"],
    ),
    "more neighbours than channels": (minidl.LocalResponseNorm(9, 0.5), (3, 3, 2), ["LRN"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_windows(name: str, tmp_path: Path) -> None:
    layer, shape, nodes = LAYERS[name]
    assert operators(assert_saved(randomised(layer), tmp_path / "m.onnx", shape)) == nodes


@pytest.mark.parametrize("padding", [0, 1, ((0, 1), (2, 0)), "same"], ids=str)
@pytest.mark.parametrize("kind", ["maximum", "mean", "mean of pixels"])
def test_ceil_mode(kind: str, padding: object, tmp_path: Path) -> None:
    """Windows that begin in the image and end anywhere, and those that would begin behind it."""
    for kernel, stride, size in itertools.product((3, 4), (1, 2, 3, 5), ((7, 6), (4, 5))):
        if kind == "maximum":
            layer: minidl.Layer = minidl.MaxPool2D(kernel, stride, padding, ceil_mode=True)  # type: ignore[arg-type]
        else:
            layer = minidl.AvgPool2D(kernel, stride, padding, True, kind == "mean")  # type: ignore[arg-type]
        assert_saved(layer, tmp_path / "m.onnx", (2, *size))
