"""Layers that move numbers as ONNX nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx_run import assert_saved, needs_onnx, operators

import minidl

pytestmark = [needs_onnx, pytest.mark.usefixtures("plain_backend")]

LAYERS = {
    "every other, backwards": (minidl.Slice(None, None, -2, 1), (5, 3, 4), ["Slice"]),
    "from the end": (minidl.Slice((-3, 1), (None, -1), (1, 2), (1, 3)), (5, 3, 6), ["Slice"]),
    "down to a place": (minidl.Slice(3, 0, -1, 2), (2, 5, 4), ["Slice"]),
    "beyond the end": (minidl.Slice(1, 100), (5,), ["Slice"]),
    "zeros": (minidl.Pad2D((1, 2)), (2, 3, 4), ["Pad"]),
    "a value": (minidl.Pad2D((1, 0, 2, 3), "constant", -1.5), (2, 3, 4), ["Pad"]),
    "reflect": (minidl.Pad2D((1, 2, 2, 0), "reflect"), (2, 3, 4), ["Pad"]),
    "reflect and cut": (minidl.Pad2D((2, 2, -1, -3), "reflect"), (2, 3, 4), ["Pad", "Slice", "Slice"]),
    "edge": (minidl.Pad2D((1, 2, 5, 0), "edge"), (2, 3, 4), ["Pad"]),
    "wrap": (minidl.Pad2D((1, 2, 3, 0), "wrap"), (2, 3, 4), ["Slice", "Slice", "Concat", "Slice", "Concat"]),
    "wrap and cut": (minidl.Pad2D((2, -1, -1, 0), "wrap"), (2, 3, 4), ["Slice", "Concat", "Slice", "Slice"]),
    "cut": (minidl.Pad2D((-1, 0, 0, -2)), (2, 3, 4), ["Slice", "Slice"]),
    "nothing": (minidl.Pad2D(0), (2, 3, 4), ["Identity"]),
    "transpose": (minidl.Transpose((0, 2, 3, 1)), (2, 3, 4), ["Transpose"]),
    "crd": (minidl.PixelShuffle(2), (8, 3, 4), ["DepthToSpace"]),
    "dcr": (minidl.PixelShuffle(2, "dcr"), (8, 3, 4), ["DepthToSpace"]),
    "back, crd": (minidl.PixelUnshuffle(2), (2, 6, 4), ["Reshape", "Transpose", "Reshape"]),
    "back, dcr": (minidl.PixelUnshuffle(2, "dcr"), (2, 6, 4), ["SpaceToDepth"]),
    "channels": (minidl.ChannelShuffle(3), (6, 2, 4), ["Reshape", "Transpose", "Reshape"]),
    "features": (minidl.ChannelShuffle(3), (6,), ["Reshape", "Transpose", "Reshape"]),
    "two sizes": (minidl.Sequential(minidl.Reshape((4, 6)), minidl.Reshape((2, 3, 4))), (24,), ["Reshape"] * 2),
    "equal parts": (minidl.Split(3), (6, 2, 4), ["Split"]),
    "parts": (minidl.Split((1, 3), 3), (6, 2, 4), ["Split"]),
    "one part": (minidl.Split(1), (6, 2, 4), ["Identity"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_moves(name: str, tmp_path: Path) -> None:
    layer, shape, nodes = LAYERS[name]
    assert operators(assert_saved(layer, tmp_path / "m.onnx", shape)) == nodes


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat(axis: int, tmp_path: Path) -> None:
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    for i, shape in enumerate(shapes):
        shape[axis - 1] += i
    file = assert_saved(minidl.Concat(axis), tmp_path / "m.onnx", *map(tuple, shapes))
    assert operators(file) == ["Concat"]


RESIZED: list[tuple[dict[str, Any], tuple[int, int], list[str]]] = [
    ({"scale": 2}, (3, 4), ["Resize"]),
    ({"scale": 3}, (5, 4), ["Resize"]),
    ({"scale": (1.5, 0.5)}, (4, 6), ["Resize"]),
    ({"size": (6, 8)}, (3, 4), ["Resize"]),
    ({"size": (5, 7)}, (3, 4), []),
    ({"scale": 1.1}, (10, 20), ["Resize"]),
    ({"scale": 0.7}, (10, 9), []),
    ({"scale": 1.1}, (6, 20), ["Resize"]),
    ({"size": 1}, (3, 4), []),
]  # fmt: skip


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
@pytest.mark.parametrize(("how", "size", "nodes"), RESIZED, ids=str)
def test_upsample(
    how: dict[str, Any], size: tuple[int, int], nodes: list[str], coordinates: str, tmp_path: Path
) -> None:
    """By Resize where scales say it, by float32 and exactly alike, else by rows and columns."""
    layer = minidl.Upsample(**how, mode="bilinear", coordinates=coordinates)
    file = assert_saved(layer, tmp_path / "m.onnx", (2, *size))
    assert operators(file) == (nodes or ["MatMul", "Transpose"] * 2)
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        layer = minidl.Upsample(**how, coordinates=coordinates, rounding=rounding)
        file = assert_saved(layer, tmp_path / "m.onnx", (2, *size))
        found = operators(file)
        assert found == (nodes or ["Gather", "Gather"]) or (how == {"scale": 1.1} and found == ["Gather", "Gather"])
