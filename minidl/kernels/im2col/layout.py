"""Arrays of this backend are plain NCHW ndarrays: there is nothing to convert."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.im2col.image_colors import recolored
from minidl.kernels.im2col.image_moves import cut, moved
from minidl.kernels.image_colors import Colors, top_of
from minidl.kernels.image_colors import check as check_colors
from minidl.kernels.image_moves import check


def enter(x: np.ndarray, infer: bool = False) -> np.ndarray:
    return x


def batches(n: int, most: int, dtype: Any) -> list[int]:
    return [most] * (n // most) + [n % most] * (n % most > 0)


def leave(x: np.ndarray) -> np.ndarray:
    return x.copy()


def gather(
    images: np.ndarray,
    index: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    infer: bool = False,
    moves: np.ndarray | None = None,
    colors: Colors | None = None,
) -> np.ndarray:
    # The data set itself is never converted.
    per_channel = (-1,) + (1,) * (images.ndim - 2)
    if moves is None:
        values = np.take(images, index, axis=0)
    else:
        check(moves, len(index), images.shape, len(scale))
        values = moved(images, index, moves, scale.dtype)
    if colors is not None:
        check_colors(colors, moves, len(index), images.shape[1])
        values = recolored(values, colors, top_of(images), scale.dtype)
    y = np.multiply(values, scale.reshape(per_channel), dtype=scale.dtype)
    y += shift.reshape(per_channel)
    if moves is not None:
        filled = None
        if colors is not None and colors.fill is not None:
            filled = (colors.fill * top_of(images)).astype(scale.dtype) * scale + shift
        cut(y, moves, filled)
    return y


def reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(x.shape[:1] + tuple(shape))


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b
