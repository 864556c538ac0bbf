"""Exercises on transposed convolution."""

from __future__ import annotations

import numpy as np


def transposed(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """Of one map, without padding: zeros between and around the numbers, then the turned kernel slides over them."""
    H, W = x.shape
    KH, KW = w.shape
    spread = np.zeros(((H - 1) * stride + 1, (W - 1) * stride + 1))
    spread[::stride, ::stride] = x
    padded = np.pad(spread, ((KH - 1, KH - 1), (KW - 1, KW - 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KH, KW))
    return np.einsum("ijkl,kl->ij", windows, w[::-1, ::-1])
