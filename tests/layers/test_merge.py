"""Layers of several inputs: values, broadcasting, gradients, messages."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import Conv2D, Graph, Input, Layer, Mean, Model, Relu, Sigmoid
from minidl.layers import Add
from minidl.layers.arithmetic import Div, Mul, Sub

FUNCTIONS = {Add: np.add, Mul: np.multiply, Sub: np.subtract, Div: np.divide}
SHAPES = (
    ((3, 4, 5), (3, 4, 5)),
    ((3, 1, 1), (3, 4, 5)),
    ((3, 4, 5), (1, 4, 5)),
    ((3, 1, 5), (1, 4, 1)),
    ((1, 1, 1), (3, 4, 5)),
    ((7,), (7,)),
    ((7,), (1,)),
)


def graph(merge: Layer, *shapes: Any) -> Graph:
    inputs = [Input(shape) for shape in shapes]
    return Graph(inputs, merge(*inputs))


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("kind", FUNCTIONS, ids=lambda kind: kind.__name__)
class TestTwoInputs:
    def test_values_and_gradients(self, kind: type[Layer], rng: np.random.Generator) -> None:
        for shapes in SHAPES:
            net = graph(kind(), *shapes)
            a, b = (rng.choice([-4.0, -2, 1, 2, 4], (17, *shape)) for shape in shapes)
            y = net.forward([a, b], train=True)
            np.testing.assert_array_equal(y, FUNCTIONS[kind](a, b))
            dy = rng.choice([-2.0, 1, 4], y.shape)
            da, db = net.backward(dy)
            slopes = {Add: (1, 1), Sub: (1, -1), Mul: (b, a), Div: (1 / b, -a / (b * b))}[kind]
            for got, array, slope in zip((da, db), (a, b), slopes, strict=True):
                axes = tuple(i for i in range(1, array.ndim) if array.shape[i] == 1)
                np.testing.assert_array_equal(got, (dy * slope).sum(axes, keepdims=True))

    def test_relu_may_follow(self, kind: type[Layer], rng: np.random.Generator) -> None:
        for shapes in SHAPES:
            inputs = [Input(shape) for shape in shapes]
            net = Graph(inputs, Relu()(kind()(*inputs)))
            a, b = (rng.choice([-4.0, -2, 1, 2, 4], (5, *shape)) for shape in shapes)
            y = net.forward([a, b], train=True)
            np.testing.assert_array_equal(y, np.maximum(FUNCTIONS[kind](a, b), 0))
            plain = graph(kind(), *shapes)
            plain.forward([a, b], train=True)
            for got, expected in zip(net.backward(np.ones_like(y)), plain.backward(np.sign(y)), strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("kind", [Add, Mul])
def test_several_inputs(kind: type[Layer], rng: np.random.Generator) -> None:
    shapes = (3, 4, 5), (3, 1, 1), (1, 4, 5), (3, 4, 5)
    arrays = [rng.choice([-2.0, 1, 2], (5, *shape)) for shape in shapes]
    net = graph(kind(), *shapes)
    y = net.forward(arrays, train=True)
    np.testing.assert_array_equal(y, reduce(FUNCTIONS[kind], arrays))
    for i, gradient in enumerate(net.backward(np.ones_like(y))):
        others = np.ones_like(y) if kind is Add else y / arrays[i]
        axes = tuple(axis for axis in range(1, 4) if arrays[i].shape[axis] == 1)
        np.testing.assert_array_equal(gradient, others.sum(axes, keepdims=True))


@pytest.mark.usefixtures("any_backend")
def test_squeeze_and_excite(rng: np.random.Generator) -> None:
    x = Input((3, 4, 5))
    gate = Sigmoid()(Conv2D(2, 3, 1, rng=1)(Relu()(Conv2D(3, 2, 1, rng=0)(Mean((2, 3), keepdims=True)(x)))))
    model = Model(Graph(x, Mul()(x, gate)), dtype="float64")
    assert minidl.gradcheck(model, rng.standard_normal((3, 3, 4, 5)), samples=12)
    images = rng.standard_normal((1, 3, 4, 5))
    np.testing.assert_allclose(model.predict(images), model.forward(images), rtol=1e-12)  # with few images, too


def test_messages() -> None:
    for shapes in (((3, 4, 5), (2, 4, 5)), ((3, 4, 5), (3,))):
        with pytest.raises(
            ValueError, match=r"Mul: all inputs must have, but for sizes of 1, the same shape, got \(1, 3, 4"
        ):
            graph(Mul(), *shapes)
    with pytest.raises(ValueError, match="Sub: it takes 2 inputs, got 3"):
        graph(Sub(), (3,), (3,), (3,))
    with pytest.raises(ValueError, match="Div: it takes 2 inputs, got 1"):
        graph(Div(), (3,))


def test_a_layer_of_several_inputs_alone_in_a_model() -> None:
    a, b = np.ones((3, 2, 2, 2), np.float32), np.full((3, 2, 2, 2), 2, np.float32)
    model = Model(Sub(), Relu())  # of two, as it says itself
    np.testing.assert_array_equal(model.predict([b, a]), a)
    assert "2 x 2 x 2" in model.summary([(2, 2, 2), (2, 2, 2)])
    with pytest.raises(TypeError, match="Model: input must be a list of 2 arrays, one for each input, got ndarray"):
        model.predict(a)
    for use in (lambda: Model(Add()).predict([a, b]), lambda: Model(Add()).summary(), lambda: Model(Add()).plan()):
        with pytest.raises(ValueError, match=r"layer 0 \(Add\): how many inputs .* Graph\(\[a, b\], Add\(\)\(a, b\)\)"):
            use()
    x = Input((2, 2, 2))
    chain = minidl.Sequential(Add(), Relu())  # called on nodes it knows
    np.testing.assert_array_equal(Model(Graph(x, chain(x, x))).predict(-a), np.zeros_like(a))
