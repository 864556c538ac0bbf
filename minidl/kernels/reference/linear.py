"""The linear (affine, fully connected) layer, one output after the other: y = x w^T + b.

Sums are kept in the arrays' own dtype.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.reference.gradients import Out, zeroed


def linear_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    N, O = x.shape[0], w.shape[0]
    y = np.zeros((N, O), x.dtype)
    for n in range(N):
        for o in range(O):
            y[n, o] = np.sum(x[n] * w[o])
            if b is not None:
                y[n, o] += b[o]
    return y


def linear_backward(
    dy: np.ndarray, x: np.ndarray, w: np.ndarray, need_dx: bool = True, out: Out | None = None
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    N, O = dy.shape
    dw, db = zeroed(w, out)
    dx = np.zeros_like(x) if need_dx else None
    for n in range(N):
        for o in range(O):
            dw[o] += dy[n, o] * x[n]
            if dx is not None:
                dx[n] += dy[n, o] * w[o]
            if db is not None:
                db[o] += dy[n, o]
    return dx, dw, db
