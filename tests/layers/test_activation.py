"""Activations: values, the point 0, NaN and large numbers."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.layers import Relu, Sigmoid, Tanh

X = np.array([[-1000, -1, 0, 2, 1000, np.nan]], np.float32)
ONES = np.ones_like(X)


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_relu(self) -> None:
        layer = Relu()
        np.testing.assert_array_equal(layer.forward(X), [[0, 0, 0, 2, 1000, np.nan]])
        np.testing.assert_array_equal(layer.backward(3 * ONES)[0, :5], [0, 0, 0, 3, 3])

    def test_sigmoid(self) -> None:
        layer = Sigmoid()
        with np.errstate(over="raise"):
            y = layer.forward(X)
        s = 1 / (1 + np.exp(-2.0))
        np.testing.assert_allclose(y, [[0, 1 - 1 / (1 + np.exp(-1.0)), 0.5, s, 1, np.nan]], rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(layer.backward(3 * ONES)[0, 2:5], [0.75, 3 * s * (1 - s), 0], rtol=1e-5)

    def test_tanh(self) -> None:
        layer = Tanh()
        np.testing.assert_allclose(layer.forward(X), [[-1, -np.tanh(1), 0, np.tanh(2), 1, np.nan]], rtol=1e-6)
        np.testing.assert_allclose(layer.backward(3 * ONES)[0, 2:5], [3, 3 * (1 - np.tanh(2) ** 2), 0], rtol=1e-5)


@pytest.mark.parametrize("layer", [Relu, Sigmoid, Tanh])
def test_shape_stays(layer: type) -> None:
    assert layer().output_shape((3, 5, 4)) == (3, 5, 4)
    assert layer().output_shape((7,)) == (7,)
    assert layer().parameters() == []
