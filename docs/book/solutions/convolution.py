"""Exercises on convolution."""

from __future__ import annotations

import numpy as np


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many windows fit along an axis. A dilated kernel covers dilation (kernel - 1) + 1 places."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def input_gradient(dy: np.ndarray, w: np.ndarray) -> np.ndarray:
    """dx of one map for stride 1 and no padding: dy with zeros around it, under the turned kernel."""
    KH, KW = w.shape
    padded = np.pad(dy, ((KH - 1, KH - 1), (KW - 1, KW - 1)))
    turned = w[::-1, ::-1]
    H, W = dy.shape[0] + KH - 1, dy.shape[1] + KW - 1
    dx = np.zeros((H, W))
    for h in range(H):
        for c in range(W):
            dx[h, c] = np.sum(padded[h : h + KH, c : c + KW] * turned)
    return dx


def by_product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A whole convolution (stride 1, no padding) as one matrix product: x (N, C, H, W), w (O, C, KH, KW)."""
    O, _, KH, KW = w.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (2, 3))  # (N, C, OH, OW, KH, KW)
    N, C, OH, OW = windows.shape[:4]
    columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(C * KH * KW, N * OH * OW)
    return (w.reshape(O, -1) @ columns).reshape(O, N, OH, OW).transpose(1, 0, 2, 3)


def separable(image: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The convolution with the kernel outer(column, row), with one pass over columns and one over rows."""
    high = np.apply_along_axis(lambda line: np.correlate(line, column, "valid"), 0, image)
    return np.apply_along_axis(lambda line: np.correlate(line, row, "valid"), 1, high)
