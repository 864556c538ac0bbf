"""Products of an image's matrices, in numpy."""

from __future__ import annotations

import numpy as np


def matmul_forward(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a, b)


def matmul_backward(
    dy: np.ndarray, a: np.ndarray, b: np.ndarray, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    da = _gathered(np.matmul(dy, b.swapaxes(-1, -2)), a.shape) if need[0] else None
    db = _gathered(np.matmul(a.swapaxes(-1, -2), dy), b.shape) if need[1] else None
    return da, db


def _gathered(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Summed over the products that one matrix went into."""
    return gradient if gradient.shape == shape else gradient.sum(1, keepdims=True)
