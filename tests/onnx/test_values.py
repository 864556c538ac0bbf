"""Elementwise functions, arithmetic and reductions as ONNX nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_run import assert_near, assert_saved, images, needs_onnx, operators, randomised, run

import minidl
from minidl import onnx
from minidl.kernels.functions import KINDS
from minidl.onnx.writers.elementwise import FUNCTIONS

pytestmark = [needs_onnx, pytest.mark.usefixtures("plain_backend")]


def test_every_kind_has_a_function() -> None:
    assert FUNCTIONS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_elementwise(kind: str, tmp_path: Path) -> None:
    given = {"clip": (-0.5, 0.75), "pow": (1.5,), "hard_sigmoid": (0.3, 0.4), "selu": (1.2, 0.9)}.get(kind, ())
    model = minidl.Model(minidl.Elementwise(kind, *given))
    onnx.save(model, tmp_path / "m.onnx", (2, 5, 4))
    x = 3 * images(7, 2, 5, 4)
    x = np.abs(x) + 0.1 if kind in ("log", "sqrt", "pow", "reciprocal") else x
    assert_near(run(tmp_path / "m.onnx", x)[0], model.predict(x))


CONSTANT = np.linspace(1, 2, 6)

LAYERS = {
    "no limit": (minidl.Clip(), (3,), ["Identity"]),
    "one limit": (minidl.Clip(low=0.1), (3,), ["Clip"]),
    "gelu by tanh": (minidl.Gelu("tanh"), (2, 3, 4), ["Mul", "Mul", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul"]),
    "affine of maps": (minidl.Affine(3), (3, 2, 4), ["Mul", "Add"]),
    "affine of rows": (minidl.Affine(3), (3,), ["Mul", "Add"]),
    "scale": (minidl.Affine(3, shift=False), (3, 2, 4), ["Mul"]),
    "shift": (minidl.Affine(3, scale=False), (3, 2, 4), ["Add"]),
    "neither": (minidl.Affine(3, False, False), (3, 2, 4), ["Identity"]),
    "one slope": (minidl.PRelu(), (3, 2, 4), ["PRelu"]),
    "slopes of maps": (minidl.PRelu(3), (3, 2, 4), ["PRelu"]),
    "slopes of rows": (minidl.PRelu(3), (3,), ["PRelu"]),
    "a number": (minidl.Arithmetic("-", 0.5), (3, 2), ["Sub"]),
    "from a number": (minidl.Arithmetic("-", 0.5, True), (3,), ["Sub"]),
    "rows": (minidl.Arithmetic("/", CONSTANT), (3, 2, 6), ["Div"]),
    "channels": (minidl.Arithmetic("+", CONSTANT.reshape(6, 1, 1)), (6, 2, 3), ["Add"]),
    "larger": (minidl.Arithmetic("*", CONSTANT.reshape(1, 6, 1, 1)), (1, 2, 3), ["Mul"]),
    "pixels": (minidl.Softmax((2, 3)), (2, 3, 4), ["Reshape", "Softmax", "Reshape"]),
    "all": (minidl.LogSoftmax((1, 2, 3)), (2, 3, 4), ["Reshape", "LogSoftmax", "Reshape"]),
    "columns": (minidl.Softmax(-1), (2, 3, 4), ["Softmax"]),
    "mean": (minidl.Mean((1, 3)), (2, 3, 4), ["ReduceMean"]),
    "mean, kept": (minidl.Mean(2, True), (2, 3, 4), ["ReduceMean"]),
    "sum": (minidl.Sum(-1), (2, 3, 4), ["ReduceSum"]),
    "maximum": (minidl.Max((2, 3)), (2, 3, 4), ["ReduceMax"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_values(name: str, tmp_path: Path) -> None:
    layer, shape, nodes = LAYERS[name]
    assert operators(assert_saved(randomised(layer), tmp_path / "m.onnx", shape)) == nodes


@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div"])
def test_operators_broadcast(name: str, tmp_path: Path) -> None:
    for shapes in (((3, 2, 4), (3, 1, 1)), ((1, 2, 4), (3, 2, 1))):
        file = assert_saved(getattr(minidl, name)(), tmp_path / "m.onnx", *shapes, positive=True)
        assert operators(file) == [name]


def test_one_parameter_in_two_shapes(tmp_path: Path) -> None:
    affine = minidl.Affine(3, name="affine")
    a, b = minidl.Input((3, 2, 2)), minidl.Input(3)
    layer = minidl.Graph([a, b], [affine(a), affine(b)])
    assert_saved(randomised(layer), tmp_path / "m.onnx", (3, 2, 2), (3,))
