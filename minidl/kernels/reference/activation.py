"""Activations, element by element. The backward functions need only the forward's result y."""

from __future__ import annotations

import numpy as np


def relu_forward(x: np.ndarray) -> np.ndarray:
    """max(x, 0). Asked as "x <= 0", which is false for a NaN: it comes through. (Nair and Hinton 2010.)"""
    return np.where(x <= 0, np.zeros_like(x), x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y > 0, else 0: the derivative at 0 is taken as 0."""
    return np.where(y > 0, dy, np.zeros_like(dy))


def sigmoid_forward(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)). Only exponentials of negative numbers are taken, so nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * y * (1 - y)"""
    return dy * y * (1 - y)


def tanh_forward(x: np.ndarray) -> np.ndarray:
    """tanh(x)"""
    return np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (1 - y^2)"""
    return dy * (1 - y * y)
