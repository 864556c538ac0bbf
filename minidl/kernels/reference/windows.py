"""Where sliding windows lie: zero padding, and the slice of the padded input that one output element sees."""

from __future__ import annotations

import numpy as np

Pair = tuple[int, int]


def pad(x: np.ndarray, padding: Pair) -> np.ndarray:
    """(N, C, H, W) -> (N, C, H + 2 PH, W + 2 PW) with zeros around every map."""
    PH, PW = padding
    return np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))


def crop(xp: np.ndarray, padding: Pair) -> np.ndarray:
    """The adjoint of `pad`: the maps without their margins."""
    PH, PW = padding
    return xp[:, :, PH : xp.shape[2] - PH, PW : xp.shape[3] - PW].copy()


def positions(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Number of windows along one axis: (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def taps(index: int, kernel: int, stride: int, dilation: int = 1) -> slice:
    """The places of the padded axis that window number `index` covers."""
    start = index * stride
    return slice(start, start + dilation * (kernel - 1) + 1, dilation)
