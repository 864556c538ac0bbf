"""Activations: values, the point 0, NaN and large numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minidl
from minidl.layers import Elu, Gelu, Layer, LeakyRelu, Relu, Sigmoid, Softplus, Tanh, activation

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

    def test_leaky_relu(self) -> None:
        layer = LeakyRelu(0.25)
        np.testing.assert_array_equal(layer.forward(X), [[-250, -0.25, 0, 2, 1000, np.nan]])
        np.testing.assert_array_equal(layer.backward(4 * ONES)[0, :5], [1, 1, 1, 4, 4])

    def test_elu(self) -> None:
        layer = Elu(2)
        np.testing.assert_allclose(layer.forward(X), [[-2, 2 * np.expm1(-1), 0, 2, 1000, np.nan]], rtol=1e-6)
        np.testing.assert_allclose(layer.backward(3 * ONES)[0, :5], [0, 6 * np.exp(-1), 6, 3, 3], rtol=1e-6, atol=1e-6)

    def test_gelu(self) -> None:
        layer = Gelu()
        below, above = 0.15865525393145707, 0.9772498680518208  # Phi(-1), Phi(2)
        y = layer.forward(X)
        np.testing.assert_allclose(y, [[0, -below, 0, 2 * above, 1000, np.nan]], rtol=1e-6, atol=1e-30)
        density = np.exp([-0.5, -2]) / np.sqrt(2 * np.pi)
        slopes = [0, below - density[0], 0.5, above + 2 * density[1], 1]
        np.testing.assert_allclose(layer.backward(3 * ONES)[0, :5], 3 * np.array(slopes), rtol=1e-5, atol=1e-30)

    def test_softplus(self) -> None:
        layer = Softplus()
        y = [0, 0.31326168751822286, np.log(2), 2.1269280110429727, 1000, np.nan]
        np.testing.assert_allclose(layer.forward(X), [y], rtol=1e-6)
        slopes = [0, 0.2689414213699951, 0.5, 0.8807970779778823, 1]
        np.testing.assert_allclose(layer.backward(3 * ONES)[0, :5], 3 * np.array(slopes), rtol=1e-6)


@pytest.mark.parametrize("name", activation.__all__)
def test_shape_stays(name: str) -> None:
    layer = getattr(minidl, name)
    assert layer().output_shape((3, 5, 4)) == (3, 5, 4)
    assert layer().output_shape((7,)) == (7,)
    assert layer().parameters() == []


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LeakyRelu(-0.1), ValueError, r"LeakyRelu: slope must be in \[0, 1\], got -0.1"),
        (lambda: LeakyRelu(1.5, name="leak"), ValueError, r"leak: slope must be in \[0, 1\], got 1.5"),
        (lambda: LeakyRelu("0.1"), TypeError, "LeakyRelu: slope must be a number, got '0.1'"),
        (lambda: Elu(0), ValueError, "Elu: alpha must be positive, got 0"),
        (lambda: Elu(float("inf")), ValueError, "Elu: alpha must be positive, got inf"),
    ],
)
def test_bad_arguments(make: Callable[[], Layer], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_repr_is_the_call() -> None:
    layers = LeakyRelu(), LeakyRelu(0.2), Elu(), Elu(0.5), Gelu(), Softplus()
    assert list(map(repr, layers)) == ["LeakyRelu()", "LeakyRelu(0.2)", "Elu()", "Elu(0.5)", "Gelu()", "Softplus()"]
