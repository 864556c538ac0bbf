"""Element-wise activations; each backward function takes the forward's result y."""

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
