"""Arrays on their way in and out. The layout is NCHW itself, so there is nothing to convert."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.image_colors import Colors, top_of
from minidl.kernels.image_colors import check as check_colors
from minidl.kernels.image_moves import check
from minidl.kernels.reference.image_colors import recolored
from minidl.kernels.reference.image_moves import cut, moved


def enter(x: np.ndarray, infer: bool = False) -> np.ndarray:
    return x


def batches(n: int, most: int, dtype: Any) -> list[int]:
    return [most] * (n // most) + [n % most] * (n % most > 0)


def leave(x: np.ndarray) -> np.ndarray:
    """A copy: the caller may write to it without changing what a layer remembers."""
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
    if moves is not None:
        check(moves, len(index), images.shape, len(scale))
    filled = None
    if colors is not None:
        check_colors(colors, moves, len(index), images.shape[1])
        if colors.fill is not None:
            filled = (colors.fill * top_of(images)).astype(scale.dtype) * scale + shift
    per_channel = (-1,) + (1,) * (images.ndim - 2)
    y = np.zeros((index.shape[0], *images.shape[1:]), scale.dtype)
    for n in range(index.shape[0]):
        image = images[index[n]].astype(scale.dtype)
        if moves is not None:
            image = moved(image, moves[n])
        if colors is not None:
            image = recolored(image, colors, n, top_of(images))
        y[n] = image * scale.reshape(per_channel) + shift.reshape(per_channel)
        if moves is not None:
            cut(y[n], moves[n], None if filled is None else filled[n])
    return y


def reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(x.shape[0], *shape)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b
