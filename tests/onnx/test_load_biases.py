"""A constant that is added to a layer's output: its bias, where nobody reads the output without it."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import agrees, file, floats, images, ints, operator

X = images(3)


def test_bias_of_a_convolution_stays_apart_where_both_are_read():
    nodes = [
        operator("Conv", ["x", "w"], ["a"]),
        operator("Add", ["a", "b"], ["c"]),
        operator("Mul", ["a", "c"], ["y"]),
    ]
    agrees(file(nodes, {"w": floats(4, 3, 1, 1), "b": floats(4, 1, 1)}), X)
    agrees(file(nodes[:2], {"w": floats(4, 3, 1, 1), "b": floats(4, 1, 1)}, outputs=("c",)), X)
    agrees(file(nodes[:2], {"w": floats(4, 3, 1, 1), "b": floats(5)}, outputs=("c",)), X)


ALIASES = {
    "Identity": operator("Identity", ["c"], ["d"]),
    "Dropout": operator("Dropout", ["c", "zero"], ["d"]),
    "Cast": operator("Cast", ["c"], ["d"], to=1),
    "Reshape": operator("Reshape", ["c", "same"], ["d"]),
    "Transpose": operator("Transpose", ["c"], ["d"], perm=[0, 1, 2, 3]),
}


@pytest.mark.parametrize("kind", ALIASES)
@pytest.mark.parametrize("first", [0, 1])
def test_a_bias_is_no_part_of_a_value_that_is_read_by_another_name(kind, first):
    made = [operator("Conv", ["x", "w"], ["c"]), ALIASES[kind]]
    added, read = operator("Add", ["d", "b"], ["y"]), operator("Relu", ["c"], ["z"])
    constants = {
        "w": floats(4, 3, 1, 1),
        "b": floats(4, 1, 1),
        "zero": np.float32(0),
        "same": ints(0, 4, 6, 5),
    }
    agrees(file([*made, *([read, added] if first else [added, read])], constants, outputs=("y", "z")), X)
    agrees(file([*made, added], constants, outputs=("y", "c")), X)
    agrees(file([*made, added], constants, outputs=("c", "y")), X)
    agrees(file([*made, added, operator("Relu", ["d"], ["z"])], constants, outputs=("y", "z")), X)
    model = agrees(file([*made, added], constants), X)
    assert [type(layer) for layer in model.plan()] == [minidl.Conv2D]


def test_a_bias_is_no_part_of_rows_that_are_read_in_another_order():
    nodes = [
        operator("MatMul", ["x", "w"], ["m"]),
        operator("Transpose", ["m"], ["t"], perm=[0, 2, 1, 3]),
        operator("Add", ["t", "b"], ["y"]),
        operator("Relu", ["m"], ["z"]),
    ]
    constants = {"w": floats(5, 4), "b": floats(4)}
    agrees(file(nodes, constants, outputs=("y", "z")), X)
    agrees(file([nodes[0], nodes[1], nodes[3], nodes[2]], constants, outputs=("y", "z")), X)
    for b in (floats(4), floats(1, 1, 1, 1), floats(1)):
        found = agrees(file(nodes[:3], constants | {"b": b}), X).named_parameters()
        assert [name.rpartition(".")[2] for name in found] == ["weight", "bias"]
