"""Gemm and MatMul, with constants and of two values: Linear, convolutions, `MatMul`, and attention made of these."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import agrees, file, floats, images, ints, one, operator

X = images(3)


def test_fully_connected():
    one("Gemm", floats(7, 4), floats(4), shape=(7,))
    one("Gemm", floats(4, 7), floats(1, 4), shape=(7,), transB=1, alpha=0.5, beta=2.0)
    one("Gemm", floats(4, 7), None, shape=(7,), transB=1)
    one("MatMul", floats(7, 4), shape=(7,))


def test_matmul_of_two_values():
    turn = operator("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2])
    model = agrees(file([turn, operator("MatMul", ["x", "t"], ["y"])]), X)
    assert [type(layer) for layer in model.plan()] == [minidl.Transpose, minidl.MatMul]
    agrees(file([turn, operator("MatMul", ["t", "x"], ["y"])]), X)
    nodes = [
        operator("Reshape", ["x", "rows"], ["a"]),
        operator("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        operator("MatMul", ["a", "b"], ["y"]),
    ]
    agrees(file(nodes, {"rows": ints(0, 9, 10)}), X, 5e-6)


def test_matmul_of_groups_in_two_axes_and_of_one_for_all():
    nodes = [
        operator("Reshape", ["x", "parts"], ["a"]),
        operator("Transpose", ["a"], ["t"], perm=[0, 1, 2, 4, 3]),
        operator("MatMul", ["t", "a"], ["b"]),
        operator("Reshape", ["b", "whole"], ["y"]),
    ]
    agrees(file(nodes, {"parts": ints(0, 3, 2, 3, 5), "whole": ints(0, 3, 2, 25)}), X)
    nodes = [operator("ReduceMean", ["x"], ["m"], axes=[1]), operator("Transpose", ["m"], ["t"], perm=[0, 1, 3, 2])]
    agrees(file([*nodes, operator("MatMul", ["x", "t"], ["y"])]), X)


def test_matmul_with_a_constant_in_front():
    model = agrees(file([operator("MatMul", ["w", "x"], ["y"])], {"w": floats(4, 6)}), X)
    assert "MatMul" not in {type(layer).__name__ for layer in model.plan()}
    nodes = [operator("Reshape", ["x", "rows"], ["a"]), operator("MatMul", ["w", "a"], ["y"])]
    agrees(file(nodes, {"w": floats(4, 9), "rows": ints(0, 9, 10)}), X)


def test_attention_of_pixels():
    """What exporters write of a self-attention: three products with weights, heads, scores, shares."""
    weights = {name: floats(4, 4, seed=i) for i, name in enumerate("qkvo")}
    nodes = [
        operator("Reshape", ["x", "rows"], ["r"]),
        operator("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
    ]
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            operator("MatMul", ["t", name], [f"{name}1"]),
            operator("Reshape", [f"{name}1", "heads"], [f"{name}2"]),
            operator("Transpose", [f"{name}2"], [f"{name}3"], perm=perm),
        ]
    nodes += [
        operator("MatMul", ["q3", "k3"], ["s"]),
        operator("Div", ["s", "root"], ["d"]),
        operator("Softmax", ["d"], ["p"], axis=-1),
        operator("MatMul", ["p", "v3"], ["m"]),
        operator("Transpose", ["m"], ["b"], perm=[0, 2, 1, 3]),
        operator("Reshape", ["b", "back"], ["c"]),
        operator("MatMul", ["c", "o"], ["f"]),
        operator("Add", ["f", "t"], ["y"]),
    ]
    constants = {"rows": ints(0, 4, -1), "heads": ints(0, 0, 2, 2), "back": ints(0, 0, 4), "root": np.float32(2**0.5)}
    model = agrees(file(nodes, {**constants, **weights}, ("N", 4, 3, 5)), images(3, (4, 3, 5)))
    assert sum(isinstance(layer, minidl.MatMul) for layer in model.plan()) == 2


def test_products_that_mix_images_are_refused():
    nodes = [operator("Transpose", ["x"], ["t"], perm=[1, 0]), operator("MatMul", ["x", "t"], ["y"])]
    with pytest.raises(ValueError, match=r"Transpose \(version 13\)"):
        minidl.onnx.load(file(nodes, {}, ("N", 7)))
    nodes = [operator("ReduceMean", ["x"], ["m"], axes=[1], keepdims=0), operator("MatMul", ["x", "m"], ["y"])]
    with pytest.raises(ValueError, match=r"both must be \(N, ..., M, K\) and \(N, ..., K, P\)"):
        minidl.onnx.load(file(nodes, {}, ("N", 3, 5, 5)))


def test_matmul_and_add_are_one_layer():
    nodes = [operator("MatMul", ["x", "head.weight"], ["a"]), operator("Add", ["head.bias", "a"], ["y"])]
    model = agrees(file(nodes, {"head.weight": floats(7, 4), "head.bias": floats(4)}, ("N", 7)), images(3, (7,)))
    assert [type(layer) for layer in model.plan()] == [minidl.Linear]
    assert [name.partition(".")[2] for name in model.named_parameters()] == ["head.weight", "head.bias"]
