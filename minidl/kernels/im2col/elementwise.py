"""Elementwise functions out of a table, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minidl.kernels.im2col import activation

SQRT_2_PI = math.sqrt(2 / math.pi)
ERF_TERMS = [(-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(14)]
"""erf(x) = 2 / sqrt(pi) sum_k ERF_TERMS[k] x^(2k + 1)."""


def _silu_slope(x: np.ndarray) -> np.ndarray:
    s = activation.sigmoid_forward(x)
    return s + _held(x) * s * (1 - s)


def _mish_parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """e = exp(-|x|), and tanh(log(1 + exp(x))) as a quotient of what e does not overflow in."""
    e = np.exp(-np.abs(x))
    top = np.where(x < 0, e * (e + 2), 1 + 2 * e)
    return e, top, top + np.where(x < 0, 2, 2 * e * e).astype(x.dtype)


def _mish(x: np.ndarray) -> np.ndarray:
    _, top, bottom = _mish_parts(x)
    return np.maximum(x, _far(x)) * (top / bottom)


def _mish_slope(x: np.ndarray) -> np.ndarray:
    e, top, bottom = _mish_parts(x)
    return top / bottom + _held(x) * (4 * np.where(x < 0, e, e * e) * (1 + e)) / (bottom * bottom)


def _gelu_gate(x: np.ndarray) -> np.ndarray:
    z = np.clip(x, -activation.FAR, activation.FAR)
    return activation.sigmoid_forward(2 * SQRT_2_PI * z * (1 + 0.044715 * z * z))


def _gelu_tanh_slope(x: np.ndarray) -> np.ndarray:
    z, s = np.clip(x, -activation.FAR, activation.FAR), _gelu_gate(x)
    return s + z * s * (1 - s) * (2 * SQRT_2_PI * (1 + 0.134145 * z * z))


def _erf(x: np.ndarray) -> np.ndarray:
    near = np.full_like(x, ERF_TERMS[-1])
    square = np.minimum(x * x, x.dtype.type(0.25))
    for term in ERF_TERMS[-2::-1]:
        near *= square
        near += x.dtype.type(term)
    near *= x * x.dtype.type(2 / math.sqrt(math.pi))
    normal, _ = activation._normal(np.abs(x) * x.dtype.type(math.sqrt(2)))
    return np.where(np.abs(x) < 0.5, near, np.copysign(2 * normal - 1, x))


def _softsign(x: np.ndarray) -> np.ndarray:
    z = np.clip(x, x.dtype.type(-1e30), x.dtype.type(1e30))
    return z / (1 + np.abs(z))


def _hard_swish_slope(x: np.ndarray) -> np.ndarray:
    return np.where(x < 3, np.where(x > -3, x / 3 + x.dtype.type(0.5), x.dtype.type(0)), (x >= 3).astype(x.dtype))


def _power(x: np.ndarray, a: np.floating) -> np.ndarray:
    y = np.power(x, a)
    return y if a == np.floor(a) else np.where(x < 0, x.dtype.type(np.nan), y)


def _far(x: np.ndarray) -> np.floating:
    """Behind its negative exp(x) counts as 0."""
    return x.dtype.type(-750)


def _held(x: np.ndarray) -> np.ndarray:
    return np.clip(x, _far(x), -_far(x))


Formula = Callable[[np.ndarray, np.floating, np.floating], np.ndarray]
FORWARD: dict[str, Formula] = {
    "clip": lambda x, a, b: np.clip(x, a, b),
    "hard_tanh": lambda x, a, b: np.clip(x, a, b),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "hard_swish": lambda x, a, b: np.where(x <= -3, x.dtype.type(0), x * (np.minimum(x + 3, 6) / 6)),
    "silu": lambda x, a, b: np.maximum(x, _far(x)) * activation.sigmoid_forward(x),
    "selu": lambda x, a, b: np.where(x > 0, b * x, a * b * np.expm1(np.minimum(x, 0))),
    "mish": lambda x, a, b: _mish(x),
    "gelu_tanh": lambda x, a, b: np.maximum(x, x.dtype.type(-activation.FAR)) * _gelu_gate(x),
    "softsign": lambda x, a, b: _softsign(x),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "pow": lambda x, a, b: _power(x, a),
    "erf": lambda x, a, b: _erf(x),
    "abs": lambda x, a, b: np.abs(x),
    "neg": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
}
SLOPE: dict[str, Formula] = {
    "clip": lambda x, a, b: ((x >= a) & (x <= b)).astype(x.dtype),
    "hard_tanh": lambda x, a, b: ((x > a) & (x < b)).astype(x.dtype),
    "hard_sigmoid": lambda x, a, b: np.where((x > -b / a) & (x < (1 - b) / a), a, a * 0),
    "hard_swish": lambda x, a, b: _hard_swish_slope(x),
    "silu": lambda x, a, b: _silu_slope(x),
    "selu": lambda x, a, b: b * np.where(x > 0, x.dtype.type(1), a * np.exp(np.minimum(x, 0))),
    "mish": lambda x, a, b: _mish_slope(x),
    "gelu_tanh": lambda x, a, b: _gelu_tanh_slope(x),
    "softsign": lambda x, a, b: np.square(1 / (1 + np.abs(x))),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: 1 / x,
    "sqrt": lambda x, a, b: 1 / (2 * np.sqrt(x)),
    "pow": lambda x, a, b: a * _power(x, a - 1) if a else np.zeros_like(x),
    "erf": lambda x, a, b: x.dtype.type(2 / math.sqrt(math.pi)) * np.exp(-x * x),
    "abs": lambda x, a, b: np.sign(x),
    "neg": lambda x, a, b: np.full_like(x, -1),
    "reciprocal": lambda x, a, b: -1 / (x * x),
}


def elementwise_forward(x: np.ndarray, kind: str, a: float, b: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return FORWARD[kind](x, x.dtype.type(a), x.dtype.type(b))


def elementwise_backward(dy: np.ndarray, x: np.ndarray, kind: str, a: float, b: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        dx = SLOPE[kind](x, x.dtype.type(a), x.dtype.type(b))
        dx *= dy
    return dx
