"""Where sliding windows lie: zero padding, and the slice of the padded input that one output element sees."""

from __future__ import annotations

import numpy as np

from minidl.kernels.checks import Pair, Sides


def pad(x: np.ndarray, margins: Sides) -> np.ndarray:
    """(N, C, H, W) -> (N, C, top + H + bottom, left + W + right) with zeros around every map."""
    return np.pad(x, ((0, 0), (0, 0), *margins))


def crop(xp: np.ndarray, margins: Sides) -> np.ndarray:
    """The adjoint of `pad`: the maps without their margins."""
    (top, bottom), (left, right) = margins
    return xp[:, :, top : xp.shape[2] - bottom, left : xp.shape[3] - right].copy()


def positions(size: int, kernel: int, stride: int, margins: Pair, dilation: int = 1, ceil_mode: bool = False) -> int:
    """Number of windows along one axis: (size + margins - dilation (kernel - 1) - 1) // stride + 1.

    ceil_mode: rounded up, as far as the last window starts before the margin behind the map.
    """
    before, behind = margins
    room = before + size + behind - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count if (count - 1) * stride < before + size else count - 1


def taps(index: int, kernel: int, stride: int, dilation: int = 1) -> slice:
    """The places of the padded axis that window number `index` covers."""
    start = index * stride
    return slice(start, start + dilation * (kernel - 1) + 1, dilation)
