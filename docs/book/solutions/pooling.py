"""Exercises on pooling."""

from __future__ import annotations

import numpy as np


def max_pool(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """The largest value of each window of one map."""
    OH, OW = ((n - size) // stride + 1 for n in x.shape)
    y = np.zeros((OH, OW))
    for i in range(OH):
        for j in range(OW):
            y[i, j] = x[i * stride : i * stride + size, j * stride : j * stride + size].max()
    return y


def max_pool_gradient(dy: np.ndarray, x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Each slope to the first largest value of its window; slopes of overlapping windows add up."""
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape):
        window = x[i * stride : i * stride + size, j * stride : j * stride + size]
        k, l = divmod(int(window.argmax()), size)
        dx[i * stride + k, j * stride + l] += dy[i, j]
    return dx
