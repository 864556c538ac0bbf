"""Elementwise layers: values, edges, arguments, messages."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minidl.layers import Gelu, Layer, Sequential
from minidl.layers.elementwise import Clip, Elementwise, HardSigmoid, HardSwish, Mish, Relu6, Selu, Silu


@pytest.mark.usefixtures("any_backend")
def test_values() -> None:
    x = np.array([[-4, -1, 0, 1, 4, 7]], np.float64)
    s = 1 / (1 + np.exp(-x))
    for layer, expected in (
        (Relu6(), np.clip(x, 0, 6)),
        (Clip(-1, 4), np.clip(x, -1, 4)),
        (Clip(high=2), np.minimum(x, 2)),
        (Clip(), x),
        (Silu(), x * s),
        (HardSigmoid(), np.clip(x / 6 + 0.5, 0, 1)),
        (HardSigmoid(0.2, 0.4), np.clip(0.2 * x + 0.4, 0, 1)),
        (HardSwish(), x * np.clip(x + 3, 0, 6) / 6),
        (Selu(2, 3), 3 * np.where(x > 0, x, 2 * np.expm1(x))),
        (Mish(), x * np.tanh(np.log1p(np.exp(x)))),
        (Gelu("tanh"), x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        (Elementwise("pow", 2), x * x),
        (Elementwise("softsign"), x / (1 + abs(x))),
    ):
        np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-13, err_msg=repr(layer))


@pytest.mark.usefixtures("any_backend")
def test_the_gradient_at_the_edges() -> None:
    x, one = np.array([[0, 3, 6]], np.float32), np.ones((1, 3), np.float32)
    for layer, slopes in ((Relu6(), [0, 1, 0]), (Clip(0, 6), [1, 1, 1]), (HardSigmoid(), [1 / 6, 0, 0])):
        layer.forward(x)
        np.testing.assert_allclose(layer.backward(one), [slopes], rtol=1e-6)


def test_selu_keeps_mean_and_variance(rng: np.random.Generator) -> None:
    """The fixed point that alpha and gamma are made for: mean 0 and variance 1 of the normal distribution."""
    y = Selu().forward(rng.standard_normal((1000, 1000), np.float32))
    assert abs(y.mean()) < 5e-3
    assert abs(y.var() - 1) < 1e-2


@pytest.mark.usefixtures("any_backend")
def test_shapes_and_dtypes() -> None:
    for dtype in (np.float32, np.float64):
        for shape in ((3, 2), (3, 2, 4), (3, 2, 4, 5)):
            layer = Silu()
            y = layer.forward(np.ones(shape, dtype))
            assert (y.shape, y.dtype) == (shape, dtype)
            assert layer.backward(y).dtype == dtype


def test_kinks_tell_the_pieces() -> None:
    layer = HardSwish()
    assert layer.kinks() == []
    layer.forward(np.array([[-4.0, 0, 4]]))
    assert [array.tolist() for array in layer.kinks()] == [[[False, True, True]], [[False, False, True]]]
    assert Sequential(Silu()).kinks() == []


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Clip(2, 1), ValueError, "Clip: clip must have low at most high, got 2.0 and 1.0"),
        (lambda: Clip("a"), TypeError, "Clip: low must be a number, got 'a'"),
        (lambda: Clip(float("nan")), ValueError, "Clip: low must be finite, got nan"),
        (lambda: HardSigmoid(-1), ValueError, "HardSigmoid: hard_sigmoid must have alpha positive, got -1.0 and 0.5"),
        (lambda: HardSigmoid(True), TypeError, "HardSigmoid: alpha must be a number, got True"),
        (lambda: Selu(float("inf")), ValueError, "Selu: alpha must be finite, got inf"),
        (lambda: Elementwise("tan"), ValueError, "Elementwise: kind must be one of clip, .*, got 'tan'"),
        (lambda: Elementwise("pow"), ValueError, "Elementwise: pow must have its exponent, got None"),
        (lambda: Elementwise("exp", 2), ValueError, "Elementwise: exp takes 0 parameters, got 2"),
        (lambda: Gelu("sigmoid"), ValueError, "Gelu: approximate must be one of 'none', 'tanh', got 'sigmoid'"),
    ],
)
def test_bad_arguments(make: Callable[[], Layer], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        make()


def test_backward_needs_a_forward() -> None:
    with pytest.raises(RuntimeError, match=r"^Silu: call forward before backward"):
        Silu().backward(np.ones((1, 2)))
