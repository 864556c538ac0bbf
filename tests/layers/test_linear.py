"""Linear: hand-computed values, weights, arguments and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import Linear


@pytest.mark.usefixtures("any_backend")
def test_values_by_hand() -> None:
    layer = Linear(3, 2, init=lambda shape, rng: np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]]))
    layer.bias.data[:] = 10, 20
    x = np.array([[1, 0, 2], [0, 1, 1]], np.float32)
    np.testing.assert_array_equal(layer.forward(x), [[17, 22], [15, 20]])
    dx = layer.backward(np.array([[1, 2], [0, 1]], np.float32))
    np.testing.assert_array_equal(dx, [[1, 0, 5], [0, -1, 1]])
    np.testing.assert_array_equal(layer.weight.grad, [[1, 0, 2], [2, 1, 5]])
    np.testing.assert_array_equal(layer.bias.grad, [1, 3])


def test_shapes_and_parameters() -> None:
    layer = Linear(784, 256, rng=0)
    assert layer.output_shape((784,)) == (256,)
    assert layer.multiply_adds((784,)) == 784 * 256
    weight, bias = layer.parameters()
    assert (weight.name, weight.data.shape, weight.decay) == ("weight", (256, 784), True)
    assert (bias.name, bias.data.shape, bias.decay) == ("bias", (256,), False)
    assert not bias.data.any()
    assert weight.data.std() == pytest.approx(np.sqrt(2 / 784), rel=0.02)
    assert [p.name for p in Linear(2, 3, bias=False).parameters()] == ["weight"]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0, 1), ValueError, "Linear: in_features must be at least 1, got 0"),
        ((1, -1), ValueError, "Linear: out_features must be at least 1, got -1"),
        ((1, None), TypeError, "Linear: out_features must be an int, got None"),
        ((2**30, 2**30), ValueError, "Linear: shape .* is too large"),
    ],
)
def test_bad_arguments(args: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Linear(*args)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), r"Linear: input must have 2 dimensions \(N, F\), got shape \(3,\)"),
        ((2, 3, 1, 1), r"Linear: input must have 2 .*, got shape \(2, 3, 1, 1\); put a Flatten before"),
        ((2, 4), "Linear: input must have 3 features, got 4"),
    ],
)
def test_bad_input(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Linear(3, 2).forward(np.zeros(shape, np.float32))
