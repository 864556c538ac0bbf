"""Local response normalisation by running sums over the channels."""

from __future__ import annotations

import numpy as np


def local_response_forward(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # an infinite x by its infinite sum
        return x * _sums(x, size, alpha, k) ** x.dtype.type(-beta)


def local_response_backward(
    dy: np.ndarray, x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    s = _sums(x, size, alpha, k)
    dx = dy * s ** x.dtype.type(-beta)
    part = _window_sum(dx * x / s, (size - 1) // 2, size // 2)
    part *= x
    part *= x.dtype.type(2 * alpha * beta / size)
    dx -= part
    return dx


def _sums(x: np.ndarray, size: int, alpha: float, k: float) -> np.ndarray:
    s = _window_sum(np.square(x), size // 2, (size - 1) // 2)
    s *= x.dtype.type(alpha / size)
    s += x.dtype.type(k)
    return s


def _window_sum(a: np.ndarray, before: int, behind: int) -> np.ndarray:
    """Sums over the channels c - before up to c + behind, each added by itself: differences of sums would cancel."""
    C = a.shape[1]
    total = a.copy()
    for step in range(1, min(before, C - 1) + 1):
        total[:, step:] += a[:, :-step]
    for step in range(1, min(behind, C - 1) + 1):
        total[:, :-step] += a[:, step:]
    return total
