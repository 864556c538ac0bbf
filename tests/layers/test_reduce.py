"""Softmax, sums, means and maxima over axes: values, shapes, messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.layers import Flatten, GlobalAvgPool2D, Layer, Sequential
from minidl.layers.reduce import LogSoftmax, Max, Mean, Softmax, Sum


@pytest.mark.usefixtures("any_backend")
class TestReductions:
    @pytest.mark.parametrize("keepdims", [True, False])
    @pytest.mark.parametrize("axes", [1, 2, -1, (2, 3), (1, 3), (-2, 1)], ids=str)
    @pytest.mark.parametrize("kind", [Sum, Mean, Max])
    def test_values(self, kind: type, axes: Any, keepdims: bool, rng: np.random.Generator) -> None:
        x = rng.standard_normal((5, 3, 4, 6))
        layer = kind(axes, keepdims)
        expected = getattr(np, kind.__name__.lower())(x, axis=axes, keepdims=keepdims)
        y = layer.forward(x, train=True)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
        assert layer.output_shape((3, 4, 6)) == y.shape[1:]
        assert layer.backward(y).shape == x.shape

    def test_whole_images(self, rng: np.random.Generator) -> None:
        x = rng.standard_normal((5, 3, 4, 6))
        np.testing.assert_allclose(Sum((1, 2, 3), True).forward(x).ravel(), x.sum((1, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(Max(1, True).forward(x[:, :, 0, 0]), x[:, :, 0, 0].max(1, keepdims=True))

    def test_a_mean_over_maps_is_global_pooling(self, rng: np.random.Generator) -> None:
        x, dy = rng.standard_normal((17, 3, 4, 6)), rng.standard_normal((17, 3))
        mean, pool = Mean((2, 3)), GlobalAvgPool2D()
        np.testing.assert_allclose(mean.forward(x), pool.forward(x), rtol=1e-12)
        np.testing.assert_allclose(mean.backward(dy), pool.backward(dy), rtol=1e-12)

    def test_what_follows_takes_it(self, rng: np.random.Generator) -> None:
        net = Sequential(Mean(1, True), Flatten(), Softmax())
        x = rng.standard_normal((5, 3, 4, 6))
        y = net.forward(x, train=True)
        np.testing.assert_allclose(y.sum(1), 1, rtol=1e-12)
        assert net.backward(y).shape == x.shape


@pytest.mark.usefixtures("any_backend")
class TestSoftmax:
    @pytest.mark.parametrize("axis", [1, -1, 2, (2, 3), (1, 2, 3)], ids=str)
    def test_values(self, axis: Any, rng: np.random.Generator) -> None:
        x = 5 * rng.standard_normal((5, 3, 4, 6))
        expected = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
        np.testing.assert_allclose(Softmax(axis).forward(x), expected, rtol=1e-12)
        np.testing.assert_allclose(LogSoftmax(axis).forward(x), np.log(expected), rtol=1e-12, atol=1e-13)

    def test_a_shift_changes_nothing(self) -> None:
        x = np.array([[1, 2, 3]], np.float32)
        np.testing.assert_array_equal(Softmax().forward(x + 1000), Softmax().forward(x))

    def test_the_logarithm_with_one_class_is_cross_entropys_gradient(self, rng: np.random.Generator) -> None:
        x, layer = rng.standard_normal((4, 5)), LogSoftmax()
        layer.forward(x)
        target = np.eye(5)[[0, 3, 1, 4]]
        np.testing.assert_allclose(layer.backward(-target), Softmax().forward(x) - target, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sum(()), "Sum: axes must be some of 1 to 3, each once, got ()"),
        (lambda: Mean(0), "Mean: axes must be some of 1 to 3"),
        (lambda: Max(4), "Max: axes must be some of 1 to 3"),
        (lambda: Sum((1, 1)), "Sum: axes must be some of 1 to 3, each once"),
        (lambda: Softmax((1, 3)).forward(np.zeros((2, 2, 2, 2))), "Softmax: axes must be neighbours"),
        (lambda: Sum((2, 3)).forward(np.zeros((2, 2))), "Sum: axes must be some of 1 to 1"),
        (lambda: Sum(1).forward(np.zeros((2, 2))), "Sum: keepdims must be True where no axis but N is left"),
        (lambda: Max(1).forward(np.zeros((2, 0, 2, 2))), "Max: none of the axes (1,) may be empty"),
        (lambda: LogSoftmax().forward(np.zeros((2, 0))), "LogSoftmax: none of the axes (1,) may be empty"),
        (lambda: Mean(1).forward(np.zeros(3)), "Mean: input must have 2 to 4 dimensions"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


@pytest.mark.parametrize("layer", [Softmax(), Mean(1, True), Max(1, True)], ids=repr)
def test_backward_needs_a_forward(layer: Layer) -> None:
    with pytest.raises(RuntimeError, match="call forward before backward"):
        layer.backward(np.ones((1, 2), np.float32))
