"""Moves: what happens to an image on its way into a batch, one row of integers an image, so that backends agree on it.

A row is flip, reflect, top, left, bottom, right, followed by dy, dx (a shift by whole pixels) or by six numbers of an
affine map. Pixel (h, w) of the result, with v = W-1-w where flip is 1, else v = w:

    dy, dx:          the image's pixel (h + dy, v + dx)
    a, b, c, d, e, f: between the pixels around row (a h + b v + c) / 2^16, column (d h + e v + f) / 2^16, bilinearly

The affine position is floored to 1/256 of a pixel, so that the four weights, in 1/2^16, and the sum of weighted bytes
are exact. Outside of the image stand zeros or, where reflect is 1, the image mirrored at its outermost pixels as in
numpy's pad mode "reflect". Rows [top, bottom) and columns [left, right) of the result are the box that is cut out.
"""

from __future__ import annotations

import numpy as np

FLIP, REFLECT, TOP, LEFT, BOTTOM, RIGHT, SOURCE = range(7)
"""Columns; from SOURCE on stand dy, dx or the affine map."""

SHIFTED, TURNED = SOURCE + 2, SOURCE + 6
"""Numbers in a row that shifts, and in one with an affine map."""

MOST_SHIFT, MOST_TURN, MOST_OFFSET = 2**31, 2**24, 2**48
"""dy, dx, the factors a, b, d, e and the constants c, f are smaller than this, so that positions fit in 64 bits."""


def blank(n: int, columns: int = SHIFTED) -> np.ndarray:
    """Moves (n, columns) intp that leave n images where they are."""
    moves = np.zeros((n, columns), np.intp)
    if columns == TURNED:
        moves[:, [SOURCE, SOURCE + 4]] = 1 << 16
    return moves


def check(moves: np.ndarray, n: int, shape: tuple[int, ...], channels: int) -> None:
    """Refuse moves that do not fit n images of a data set of this shape with so many scales: ValueError, TypeError."""
    if len(shape) != 4 or min(shape[1:]) < 1:
        raise ValueError(f"images to be moved must have shape (M, C, H, W), none of C, H, W zero, got {shape}")
    if channels != shape[1]:
        raise ValueError(f"scale must have one entry a channel of images of shape {shape[1:]}, got {channels}")
    if moves.dtype != np.intp:
        raise TypeError(f"moves must be an array of intp, got {moves.dtype}")
    if moves.shape not in ((n, SHIFTED), (n, TURNED)):
        raise ValueError(f"moves must have shape ({n}, {SHIFTED}) or ({n}, {TURNED}), got {moves.shape}")
    flags, box, source = moves[:, :TOP], moves[:, TOP:SOURCE], moves[:, SOURCE:]
    bounds = np.array([MOST_SHIFT] * 2 if source.shape[1] == 2 else [MOST_TURN, MOST_TURN, MOST_OFFSET] * 2)
    good = ((flags == 0) | (flags == 1)).all() and ((-bounds < source) & (source < bounds)).all()
    good &= (box >= 0).all() and (box[:, :2] <= box[:, 2:]).all() and (box[:, 2:] <= shape[2:]).all()
    if not good:
        raise ValueError(f"moves must be flags 0 or 1, a box inside {shape[2:]} and a position within bounds")


def reflected(position: np.ndarray, size: int) -> np.ndarray:
    """Index in [0, size) of each position, the line mirrored at its outermost elements again and again."""
    if size == 1:
        return np.zeros_like(position)
    folded = position % (2 * size - 2)
    return np.minimum(folded, 2 * size - 2 - folded)
