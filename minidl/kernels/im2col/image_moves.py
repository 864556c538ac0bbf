"""Images of a data set moved (`minidl.kernels.image_moves`), a whole batch in one indexing."""

from __future__ import annotations

import numpy as np

from minidl.kernels.image_moves import BOTTOM, FLIP, LEFT, REFLECT, RIGHT, SHIFTED, SOURCE, TOP, reflected


def moved(images: np.ndarray, index: np.ndarray, moves: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(N, C, H, W): images[index] after their moves, not yet scaled or cut; of `dtype` if they are turned."""
    H, W = images.shape[2:]
    rows = np.arange(H)[:, None]
    columns = np.where(moves[:, FLIP, None, None], W - 1 - np.arange(W), np.arange(W))
    source = moves[:, SOURCE:, None, None]
    if moves.shape[1] == SHIFTED:
        return _taken(images, index, moves, rows + source[:, 0], columns + source[:, 1])
    y = source[:, 0] * rows + source[:, 1] * columns + source[:, 2]
    x = source[:, 3] * rows + source[:, 4] * columns + source[:, 5]
    right, low = ((position >> 8 & 255)[:, None] for position in (x, y))
    y, x = y >> 16, x >> 16
    total = np.zeros((len(moves), *images.shape[1:]))
    for below, beside in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (low if below else 256 - low) * (right if beside else 256 - right)
        total += weight * _taken(images, index, moves, y + below, x + beside).astype(dtype)
    return (total * 2.0**-16).astype(dtype)


def _taken(images: np.ndarray, index: np.ndarray, moves: np.ndarray, h: np.ndarray, w: np.ndarray) -> np.ndarray:
    """images[index][:, :, h, w], h and w (N, H or 1, W or 1) positions anywhere: outside zeros, or mirrored."""
    H, W = images.shape[2:]
    inside = (h >= 0) & (h < H) & (w >= 0) & (w < W)
    channels = np.arange(images.shape[1])[:, None, None]
    found = images[index[:, None, None, None], channels, reflected(h, H)[:, None], reflected(w, W)[:, None]]
    found[np.broadcast_to(~(inside | (moves[:, REFLECT, None, None] > 0))[:, None], found.shape)] = 0
    return found


def cut(y: np.ndarray, moves: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Set the boxes of the moves to the scaled colours (N, C), or to 0, in y (N, C, H, W)."""
    h, w = np.arange(y.shape[2])[:, None], np.arange(y.shape[3])
    top, left, bottom, right = (moves[:, i, None, None] for i in (TOP, LEFT, BOTTOM, RIGHT))
    box = (top <= h) & (h < bottom) & (left <= w) & (w < right)
    np.copyto(y, 0 if colors is None else colors[:, :, None, None], where=box[:, None])
