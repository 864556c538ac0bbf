"""Fully connected layers: three matrix products."""

from __future__ import annotations

import numpy as np


def linear_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    y = np.matmul(x, w.T)
    if b is not None:
        y += b
    return y


def linear_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    need_dx: bool = True,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    dw, db = out if out is not None else (np.empty_like(w), np.empty(w.shape[0], w.dtype))
    np.matmul(dy.T, x, out=dw)
    if db is not None:
        np.sum(dy, axis=0, out=db)
    return np.matmul(dy, w) if need_dx else None, dw, db
