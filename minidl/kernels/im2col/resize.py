"""Images of another size: the taps of all rows at once, then those of all columns."""

from __future__ import annotations

import numpy as np

from minidl.kernels.contract import Taps


def _mixed(x: np.ndarray, taps: Taps, axis: int) -> np.ndarray:
    """x with each place along the axis a weighted sum of a few."""
    index, weight = taps
    if index.shape[1] == 1 and (weight == 1).all():
        return np.take(x, index[:, 0], axis)
    along = [1] * x.ndim
    along[axis] = len(index)
    y = np.zeros([*x.shape[:axis], len(index), *x.shape[axis + 1 :]], x.dtype)
    for i in range(index.shape[1]):
        some = weight[:, i].reshape(along)
        y += np.multiply(some, np.take(x, index[:, i], axis), out=np.zeros_like(y), where=some != 0)
    return y


def _spread(dy: np.ndarray, taps: Taps, axis: int, size: int) -> np.ndarray:
    """The adjoint of `_mixed`."""
    index, weight = taps
    first = np.moveaxis(dy, axis, 0)
    dx = np.zeros((size, *first.shape[1:]), dy.dtype)
    for place, (to, shares) in enumerate(zip(index, weight, strict=True)):
        for where, share in zip(to, shares, strict=True):
            if share != 0:
                dx[where] += share * first[place]
    return np.moveaxis(dx, 0, axis)


def resize_forward(x: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    return np.ascontiguousarray(_mixed(_mixed(x, rows, 2), columns, 3))


def resize_backward(dy: np.ndarray, x_shape: tuple[int, ...], rows: Taps, columns: Taps) -> np.ndarray:
    return np.ascontiguousarray(_spread(_spread(dy, columns, 3, x_shape[3]), rows, 2, x_shape[2]))
