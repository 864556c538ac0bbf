"""Activations on (N, C, H, W) or (N, F) arrays. The backward functions take the forward's result y, gelu's takes x."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks


def relu_forward(x: Any) -> np.ndarray:
    """max(x, 0); a NaN stays a NaN."""
    return _apply("relu_forward", x=x)


def relu_backward(dy: Any, y: Any) -> np.ndarray:
    """dy where y > 0, else 0. The forward's input may stand for y."""
    return _apply("relu_backward", dy=dy, y=y)


def sigmoid_forward(x: Any) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return _apply("sigmoid_forward", x=x)


def sigmoid_backward(dy: Any, y: Any) -> np.ndarray:
    """dy * y * (1 - y)"""
    return _apply("sigmoid_backward", dy=dy, y=y)


def tanh_forward(x: Any) -> np.ndarray:
    """tanh(x)"""
    return _apply("tanh_forward", x=x)


def tanh_backward(dy: Any, y: Any) -> np.ndarray:
    """dy * (1 - y^2)"""
    return _apply("tanh_backward", dy=dy, y=y)


def leaky_relu_forward(x: Any, slope: float = 0.01) -> np.ndarray:
    """x where x > 0, else slope * x. slope: in [0, 1]."""
    return _apply("leaky_relu_forward", _slope("leaky_relu_forward", slope), x=x)


def leaky_relu_backward(dy: Any, y: Any, slope: float = 0.01) -> np.ndarray:
    """dy where y > 0, else slope * dy."""
    return _apply("leaky_relu_backward", _slope("leaky_relu_backward", slope), dy=dy, y=y)


def elu_forward(x: Any, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1). alpha: positive."""
    return _apply("elu_forward", _alpha("elu_forward", alpha), x=x)


def elu_backward(dy: Any, y: Any, alpha: float = 1.0) -> np.ndarray:
    """dy where y > 0, else dy * (y + alpha)."""
    return _apply("elu_backward", _alpha("elu_backward", alpha), dy=dy, y=y)


def gelu_forward(x: Any) -> np.ndarray:
    """x * Phi(x) with the normal distribution Phi(x) = (1 + erf(x / sqrt(2))) / 2, the exact form; 0 at -inf."""
    return _apply("gelu_forward", x=x)


def gelu_backward(dy: Any, x: Any) -> np.ndarray:
    """dy * (Phi(x) + x * exp(-x^2 / 2) / sqrt(2 pi)); x is the forward's input, for its result does not tell it."""
    return _apply("gelu_backward", dy=dy, x=x)


def softplus_forward(x: Any) -> np.ndarray:
    """log(1 + exp(x)), without overflow; far below 0 it is exp(x)."""
    return _apply("softplus_forward", x=x)


def softplus_backward(dy: Any, y: Any) -> np.ndarray:
    """dy * (1 - exp(-y)), without cancellation near y = 0."""
    return _apply("softplus_backward", dy=dy, y=y)


def _apply(who: str, *settings: Any, **arrays: Any) -> np.ndarray:
    return call(who, *checks.images(who, **arrays), *settings)


def _slope(who: str, slope: float) -> float:
    return checks.real(who, "slope", slope, "in [0, 1]", lambda s: 0 <= s <= 1)


def _alpha(who: str, alpha: float) -> float:
    return checks.real(who, "alpha", alpha, "positive", lambda a: a > 0)
