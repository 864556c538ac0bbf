"""One image moved (`minidl.kernels.image_moves`), pixel after pixel."""

from __future__ import annotations

import numpy as np

from minidl.kernels.image_moves import BOTTOM, FLIP, LEFT, REFLECT, RIGHT, SHIFTED, SOURCE, TOP


def moved(image: np.ndarray, move: np.ndarray) -> np.ndarray:
    """`image` (C, H, W), of the result's dtype, after its move, not yet scaled or cut."""
    C, H, W = image.shape
    y = np.zeros_like(image)
    source = [int(number) for number in move[SOURCE:]]
    for c in range(C):
        for h in range(H):
            for w in range(W):
                v = W - 1 - w if move[FLIP] else w
                if len(move) == SHIFTED:
                    y[c, h, w] = pixel(image[c], h + source[0], v + source[1], move[REFLECT])
                else:
                    row = source[0] * h + source[1] * v + source[2]
                    column = source[3] * h + source[4] * v + source[5]
                    y[c, h, w] = between(image[c], row, column, move[REFLECT])
    return y


def between(plane: np.ndarray, row: int, column: int, reflect: int) -> float:
    """Bilinear interpolation at a position in 1/2^16 pixels."""
    h, low = row >> 16, row >> 8 & 255
    w, right = column >> 16, column >> 8 & 255
    total = (256 - low) * (256 - right) * pixel(plane, h, w, reflect)
    total += (256 - low) * right * pixel(plane, h, w + 1, reflect)
    total += low * (256 - right) * pixel(plane, h + 1, w, reflect)
    total += low * right * pixel(plane, h + 1, w + 1, reflect)
    return total / 2**16


def pixel(plane: np.ndarray, h: int, w: int, reflect: int) -> float:
    """plane[h, w]; outside of the plane 0, or what a mirror at the outermost pixels shows."""
    H, W = plane.shape
    if reflect:
        h, w = mirrored(h, H), mirrored(w, W)
    return float(plane[h, w]) if 0 <= h < H and 0 <= w < W else 0.0


def mirrored(i: int, size: int) -> int:
    """The index in [0, size) that i goes to when a line is mirrored at its ends as often as it takes."""
    if size == 1:
        return 0
    i %= 2 * size - 2
    return i if i < size else 2 * size - 2 - i


def cut(y: np.ndarray, move: np.ndarray, color: np.ndarray | None = None) -> None:
    """Set the box of the move to a scaled colour (C,), or to 0, in y (C, H, W)."""
    y[:, move[TOP] : move[BOTTOM], move[LEFT] : move[RIGHT]] = 0 if color is None else color[:, None, None]
