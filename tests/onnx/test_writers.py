"""Settings of layers that other operators, or attributes, are needed for."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_run import assert_saved, needs_onnx, operators, randomised

import minidl

pytestmark = [needs_onnx, pytest.mark.usefixtures("plain_backend")]


@pytest.mark.parametrize(
    ("layer", "shape", "nodes"),
    [
        (minidl.Conv2D(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), (4, 7, 6), ["Conv"]),
        (minidl.Linear(5, 3, bias=False), (5,), ["Gemm"]),
        (minidl.MaxPool2D(3, 2, 1), (2, 6, 5), ["MaxPool"]),
        (minidl.AvgPool2D((3, 2), (2, 1), (1, 1)), (2, 6, 5), ["AveragePool"]),
        (minidl.GroupNorm(4, 4), (4, 5, 3), ["InstanceNormalization"]),
        (minidl.GroupNorm(2, 6), (6, 5, 3), ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]),
        (minidl.GroupNorm(2, 6), (6,), ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]),
        (minidl.LayerNorm((3,)), (2, 5, 3), ["LayerNormalization"]),
        (minidl.LayerNorm((5, 3)), (2, 5, 3), ["LayerNormalization"]),
        (minidl.Flatten(), (5,), ["Identity"]),
        (minidl.Reshape((-1, 5, 2)), (30,), ["Reshape"]),
        (minidl.Dropout(0.5), (3,), ["Identity"]),
        (minidl.Sequential(), (3,), ["Identity"]),
    ],
    ids=lambda value: repr(value) if isinstance(value, minidl.Layer) else None,
)
def test_settings(layer: minidl.Layer, shape: tuple[int, ...], nodes: list[str], tmp_path: Path) -> None:
    assert operators(assert_saved(randomised(layer), tmp_path / "m.onnx", shape)) == nodes
