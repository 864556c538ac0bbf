"""Products of an image's matrices: one number of one of them after another."""

from __future__ import annotations

import numpy as np


def matmul_forward(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    groups = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.zeros((*groups, a.shape[-2], b.shape[-1]), a.dtype)
    for index in np.ndindex(*y.shape):
        (m, p), at = index[-2:], index[:-2]
        y[index] = np.sum(a[_place(a, at)][m, :] * b[_place(b, at)][:, p])
    return y


def matmul_backward(
    dy: np.ndarray, a: np.ndarray, b: np.ndarray, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    da, db = np.zeros_like(a), np.zeros_like(b)
    for index in np.ndindex(*dy.shape):
        (m, p), at = index[-2:], index[:-2]
        da[_place(a, at)][m, :] += dy[index] * b[_place(b, at)][:, p]
        db[_place(b, at)][:, p] += dy[index] * a[_place(a, at)][m, :]
    return da if need[0] else None, db if need[1] else None


def _place(factor: np.ndarray, at: tuple[int, ...]) -> tuple[int, ...]:
    """Which of its matrices goes into this one of the products: where it has but one, that."""
    return tuple(0 if size == 1 else i for size, i in zip(factor.shape, at))
