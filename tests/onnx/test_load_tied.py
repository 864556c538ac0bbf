"""Weights that a file has once and several operators read: they are one layer's, and train as one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import agrees, file, floats, images, operator

X = images(3)


def heads(*second, **attributes):
    """One head on maps of two sizes, as detectors have it."""
    first = operator("Conv", ["x", "head.weight", "head.bias"], ["a"], pads=[1] * 4)
    pooled = operator("MaxPool", ["x"], ["p"], kernel_shape=[2, 2])
    weights = second or ("head.weight", "head.bias")
    return [first, pooled, operator("Conv", ["p", *weights], ["b"], **{"pads": [1] * 4, **attributes})]


HEAD = {"head.weight": floats(3, 3, 3, 3), "head.bias": floats(3)}


def names(model):
    return [name.partition(".")[2] for name in model.named_parameters()]


def test_one_layer_in_two_places_trains_as_one():
    model = agrees(file(heads(), HEAD, outputs=("a", "b")), X)
    assert names(model) == ["head.weight", "head.bias"]
    outputs = model.forward(X, train=True)
    model.backward([np.ones_like(y) for y in outputs])
    bias = model.named_parameters()["0.head.bias"]
    np.testing.assert_allclose(bias.grad, np.full(3, 3 * (30 + 4 * 5), np.float32))
    trainer = minidl.Trainer(model, minidl.MultiLoss([minidl.MSELoss(), minidl.MSELoss()]), minidl.SGD(0.01))
    trainer.fit((X, [np.zeros_like(y) for y in outputs]), epochs=1, batch_size=3)
    assert not np.array_equal(bias.data, HEAD["head.bias"])


def test_products_of_rows_and_their_biases():
    nodes = [
        operator("MatMul", ["x", "w"], ["a"]),
        operator("Add", ["a", "b"], ["c"]),
        operator("Relu", ["c"], ["d"]),
        operator("MatMul", ["d", "w"], ["e"]),
        operator("Add", ["e", "b"], ["y"]),
    ]
    model = agrees(file(nodes, {"w": floats(7, 7), "b": floats(7)}, ("N", 7)), images(3, (7,)), 1e-5)
    assert [name.rpartition(".")[2] for name in names(model)] == ["weight", "bias"]


def test_normalisations_with_the_same_statistics_are_one():
    given = {f"n.{name}": floats(3, seed=i) ** 2 for i, name in enumerate(("weight", "bias", "mean", "var"))}
    nodes = [
        operator("BatchNormalization", ["x", *given], ["a"]),
        operator("Relu", ["a"], ["b"]),
        operator("BatchNormalization", ["b", *given], ["y"]),
    ]
    assert names(agrees(file(nodes, given), X, 1e-5)) == ["n.gamma", "n.beta"]
    new = {name: np.full(3, name.endswith(("weight", "var")), np.float32) for name in given}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # exporters write equal arrays once
        assert len(names(agrees(file(nodes, new), X, 1e-5))) == 4
        nodes[2] = operator("BatchNormalization", ["b", "n.weight", "n.bias", "other", "n.var"], ["y"])
        new |= {"n.mean": given["n.mean"], "other": floats(3, seed=7)}
        assert len(names(agrees(file(nodes, new), X, 1e-5))) == 4


def test_other_settings_come_apart_and_say_so():
    with pytest.warns(UserWarning, match="each trains its own here: head.weight"):
        model = agrees(file(heads(pads=[2] * 4, dilations=[2, 2]), HEAD, outputs=("a", "b")), X)
    assert len(names(model)) == 4
    content = file(heads("head.weight", "other"), HEAD | {"other": floats(3, seed=5)}, outputs=("a", "b"))
    with pytest.warns(UserWarning, match="each trains its own"):
        assert len(names(agrees(content, X))) == 4
    tied = [
        operator("MatMul", ["x", "w"], ["a"]),
        operator("Transpose", ["w"], ["wt"], perm=[1, 0]),
        operator("MatMul", ["a", "wt"], ["y"]),
    ]
    with pytest.warns(UserWarning, match="each trains its own here: w"):
        assert len(names(agrees(file(tied, {"w": floats(4, 4)}, ("N", 4)), images(3, (4,)), 1e-5))) == 2


def test_a_layer_that_is_called_twice_comes_back_as_one(tmp_path):
    x = minidl.Input((3, 6, 6))
    conv = minidl.Conv2D(3, 3, 3, padding=1)
    model = minidl.Model(minidl.Graph(x, conv(minidl.Relu()(conv(x)))))
    minidl.onnx.save(model, tmp_path / "m.onnx")
    back = minidl.onnx.load(tmp_path / "m.onnx")
    assert len(back.parameters()) == 2
    given = images(2, (3, 6, 6))
    np.testing.assert_allclose(back.predict(given), model.predict(given), atol=1e-6)


@pytest.mark.parametrize("number", [3e38, np.inf, np.nan])
def test_weights_near_the_largest_number_and_none(number, recwarn):
    weight = HEAD["head.weight"].copy()
    weight[0], weight[1] = number, -number
    assert names(minidl.onnx.load(file(heads(), {**HEAD, "head.weight": weight}, outputs=("a", "b")))) == [
        "head.weight",
        "head.bias",
    ]
    assert not recwarn


def test_infinite_weights_are_no_evidence(recwarn):
    constants = {"w": np.full((3, 3, 3, 3), np.inf, np.float32)}
    nodes = [operator("Conv", ["x", "w"], ["a"]), operator("Conv", ["x", "w"], ["b"])]
    assert len(minidl.onnx.load(file(nodes, constants, outputs=("a", "b"))).named_parameters()) == 2
    assert not recwarn
