"""Images of another size, one value after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidl.kernels.contract import Taps


def resize_forward(x: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    OH, OW = len(rows[0]), len(columns[0])
    y = np.zeros((*x.shape[:2], OH, OW), x.dtype)
    for oh in range(OH):
        for h, u in _taps(rows, oh):
            for ow in range(OW):
                for w, v in _taps(columns, ow):
                    y[:, :, oh, ow] += u * v * x[:, :, h, w]
    return y


def resize_backward(dy: np.ndarray, x_shape: tuple[int, ...], rows: Taps, columns: Taps) -> np.ndarray:
    """The adjoint: the same numbers, added the other way."""
    OH, OW = dy.shape[2:]
    dx = np.zeros(x_shape, dy.dtype)
    for oh in range(OH):
        for h, u in _taps(rows, oh):
            for ow in range(OW):
                for w, v in _taps(columns, ow):
                    dx[:, :, h, w] += u * v * dy[:, :, oh, ow]
    return dx


def _taps(taps: Taps, place: int) -> Iterator[tuple[int, np.floating]]:
    """Where one row or column comes from, and how much of it."""
    index, weight = taps
    for i in range(index.shape[1]):
        if weight[place, i] != 0:
            yield int(index[place, i]), weight[place, i]
