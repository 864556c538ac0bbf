"""Activations, element by element. The backward functions need only the forward's result y; that of gelu needs x."""

from __future__ import annotations

import math

import numpy as np


def relu_forward(x: np.ndarray) -> np.ndarray:
    """ "x <= 0" is false for a NaN, which so comes through. (Nair and Hinton 2010.)"""
    return np.where(x <= 0, np.zeros_like(x), x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The derivative at 0 is taken as 0."""
    return np.where(y > 0, dy, np.zeros_like(dy))


def sigmoid_forward(x: np.ndarray) -> np.ndarray:
    """Only exponentials of negative numbers are taken, so nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * y * (1 - y)


def tanh_forward(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (1 - y * y)


def leaky_relu_forward(x: np.ndarray, slope: float) -> np.ndarray:
    """Maas, Hannun, Ng 2013."""
    return np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward(dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
    """The derivative at 0 is taken as the slope."""
    return np.where(y > 0, dy, dy * dy.dtype.type(slope))


def elu_forward(x: np.ndarray, alpha: float) -> np.ndarray:
    """Clevert, Unterthiner, Hochreiter 2016."""
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_backward(dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """The slope alpha * exp(x) below 0 is y + alpha."""
    return np.where(y > 0, dy, dy * (y + y.dtype.type(alpha)))


def gelu_forward(x: np.ndarray) -> np.ndarray:
    """x * Phi(x) (Hendrycks, Gimpel 2016), Phi(x) = (1 + erf(x / sqrt(2))) / 2 = erfc(-x / sqrt(2)) / 2."""
    y = np.zeros_like(x)
    for i, value in np.ndenumerate(x):
        y[i] = value * _normal(value) if value != -np.inf else 0
    return y


def gelu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """By the product rule, Phi' = phi being the density exp(-x^2 / 2) / sqrt(2 pi)."""
    dx = np.zeros_like(dy)
    for i, value in np.ndenumerate(x):
        square = float(value) * float(value)
        slope = float(value) * math.exp(-square / 2) / math.sqrt(2 * math.pi) if square < np.inf else 0.0
        dx[i] = dy[i] * (_normal(value) + slope)
    return dx


def softplus_forward(x: np.ndarray) -> np.ndarray:
    """Dugas, Bengio, Belisle, Nadeau, Garcia 2001. Only exponentials of negative numbers are taken."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The slope is the sigmoid of x, exp(x) / (1 + exp(x)), which is 1 - exp(-y)."""
    return dy * -np.expm1(-y)


def _normal(x: float) -> float:
    """Phi, the share of a standard normal distribution below x. erfc keeps the digits of its left tail."""
    return math.erfc(-x / math.sqrt(2)) / 2
