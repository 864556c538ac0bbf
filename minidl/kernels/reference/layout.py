"""Arrays on their way in and out. The layout is NCHW itself, so there is nothing to convert."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.image_moves import check
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
) -> np.ndarray:
    if moves is not None:
        check(moves, len(index), images.shape, len(scale))
    per_channel = (-1,) + (1,) * (images.ndim - 2)
    y = np.zeros((index.shape[0], *images.shape[1:]), scale.dtype)
    for n in range(index.shape[0]):
        image = images[index[n]].astype(scale.dtype)
        if moves is not None:
            image = moved(image, moves[n])
        y[n] = image * scale.reshape(per_channel) + shift.reshape(per_channel)
        if moves is not None:
            cut(y[n], moves[n])
    return y


def reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(x.shape[0], *shape)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b
