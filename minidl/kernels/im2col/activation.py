"""Element-wise activations; each backward function takes the forward's result y, that of gelu (gelu.py) x."""

from __future__ import annotations

import numpy as np


def relu_forward(x: np.ndarray) -> np.ndarray:
    """max(x, 0); a NaN stays a NaN."""
    return np.maximum(x, x.dtype.type(0))


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y > 0, else 0; no product, which would turn an infinite dy into NaN."""
    return np.where(y > 0, dy, dy.dtype.type(0))


def sigmoid_forward(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), with exp of negative numbers only: exp(x) / (1 + exp(x)) on the left half."""
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, x.dtype.type(1), e)
    e += 1
    y /= e
    return y


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * y * (1 - y)"""
    dx = 1 - y
    dx *= y
    dx *= dy
    return dx


def tanh_forward(x: np.ndarray) -> np.ndarray:
    """tanh(x)"""
    return np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (1 - y^2)"""
    dx = np.square(y)
    np.subtract(1, dx, out=dx)
    dx *= dy
    return dx


def leaky_relu_forward(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope * x."""
    return np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward(dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
    """dy where y > 0, else slope * dy."""
    return np.where(y > 0, dy, dy * dy.dtype.type(slope))


def elu_forward(x: np.ndarray, alpha: float) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1); nothing overflows, for the exponential is taken of min(x, 0)."""
    y = np.minimum(x, x.dtype.type(0))
    np.expm1(y, out=y)
    y *= alpha
    np.copyto(y, x, where=x > 0)
    return y


def elu_backward(dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """dy where y > 0, else dy * (y + alpha)."""
    dx = y + y.dtype.type(alpha)
    dx *= dy
    np.copyto(dx, dy, where=y > 0)
    return dx
