"""Elementwise functions out of a table: a value and a slope for each, one number after another, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Scalar = np.float64
FORWARD: dict[str, Callable[[Scalar, Scalar, Scalar], float]] = {
    "clip": lambda x, a, b: _clip(x, a, b),
    "hard_tanh": lambda x, a, b: _clip(x, a, b),
    "hard_sigmoid": lambda x, a, b: _clip(a * x + b, 0, 1),
    "hard_swish": lambda x, a, b: 0 if x <= -3 else x if x >= 3 else x * (x + 3) / 6,
    "silu": lambda x, a, b: _times(x, _sigmoid(x)),
    "selu": lambda x, a, b: b * x if x > 0 else a * b * np.expm1(x),
    "mish": lambda x, a, b: _times(x, np.tanh(np.logaddexp(0, x))),
    "gelu_tanh": lambda x, a, b: _times(x, _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softsign": lambda x, a, b: np.sign(x) if np.isinf(x) else x / (1 + abs(x)),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "pow": lambda x, a, b: _power(x, a),
    "erf": lambda x, a, b: math.erf(x),
    "abs": lambda x, a, b: abs(x),
    "neg": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
}
"""Klambauer et al. 2017 (selu), Elfwing et al. 2018 and Ramachandran et al. 2017 (silu), Misra 2019 (mish), Howard et
al. 2019 (hard_swish, hard_sigmoid), Hendrycks, Gimpel 2016 (gelu_tanh), Bergstra et al. 2009 (softsign)."""

SLOPE: dict[str, Callable[[Scalar, Scalar, Scalar], float]] = {
    "clip": lambda x, a, b: 1 if a <= x <= b else 0,
    "hard_tanh": lambda x, a, b: 1 if a < x < b else 0,
    "hard_sigmoid": lambda x, a, b: a if -b / a < x < (1 - b) / a else 0,
    "hard_swish": lambda x, a, b: 1 if x >= 3 else x / 3 + 0.5 if x > -3 else 0,
    "silu": lambda x, a, b: _sigmoid(x) + _times(x, _sigmoid(x) * _sigmoid(-x)),
    "selu": lambda x, a, b: b if x > 0 else a * b * np.exp(x),
    "mish": lambda x, a, b: _mish_slope(x),
    "gelu_tanh": lambda x, a, b: _gelu_tanh_slope(x),
    "softsign": lambda x, a, b: 1 / (1 + abs(x)) ** 2,
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: 1 / x,
    "sqrt": lambda x, a, b: 1 / (2 * np.sqrt(x)),
    "pow": lambda x, a, b: a * _power(x, a - 1) if a else 0,
    "erf": lambda x, a, b: 2 / math.sqrt(math.pi) * np.exp(-x * x),
    "abs": lambda x, a, b: np.sign(x),
    "neg": lambda x, a, b: -1,
    "reciprocal": lambda x, a, b: -1 / (x * x),
}


def elementwise_forward(x: np.ndarray, kind: str, a: float, b: float) -> np.ndarray:
    y, parameters = np.zeros_like(x), _rounded(x, a, b)
    with np.errstate(all="ignore"):
        for i, value in np.ndenumerate(x):
            y[i] = FORWARD[kind](Scalar(value), *parameters)
    return y


def elementwise_backward(dy: np.ndarray, x: np.ndarray, kind: str, a: float, b: float) -> np.ndarray:
    dx, parameters = np.zeros_like(dy), _rounded(x, a, b)
    with np.errstate(all="ignore"):
        for i, value in np.ndenumerate(x):
            dx[i] = dy[i] * Scalar(SLOPE[kind](Scalar(value), *parameters))
    return dx


def _rounded(x: np.ndarray, *parameters: float) -> list[Scalar]:
    return [Scalar(x.dtype.type(value)) for value in parameters]


def _power(x: Scalar, a: Scalar) -> float:
    return np.nan if x < 0 and a != np.floor(a) else np.power(x, a)


def _clip(x: Scalar, low: float, high: float) -> float:
    return low if x < low else high if x > high else x


def _sigmoid(x: Scalar) -> Scalar:
    return 1 / (1 + np.exp(-x))


def _times(x: Scalar, vanishing: float) -> float:
    """A product with what goes to 0 faster than x to infinity."""
    return 0 if vanishing == 0 else x * vanishing


def _mish_slope(x: Scalar) -> float:
    t = np.tanh(np.logaddexp(0, x))
    return t + _times(x, (1 - t * t) * _sigmoid(x))


def _gelu_tanh_slope(x: Scalar) -> float:
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return _sigmoid(2 * u) + _times(2 * x * du, _sigmoid(2 * u) * _sigmoid(-2 * u))
