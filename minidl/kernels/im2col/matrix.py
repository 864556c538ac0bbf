"""The matrix of all windows, and its adjoint; `conv2d` uses the same kernels on chunks."""

from __future__ import annotations

import numpy as np

import minidl._ext.im2col as windows
from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair


def im2col(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    N, C = x.shape[:2]
    OH, OW, PH, PW = _window("im2col", (x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation)
    cols = np.empty((C * kernel_size[0] * kernel_size[1], N * OH * OW), x.dtype)
    windows.im2col(np.ascontiguousarray(x), cols, *kernel_size, *stride, PH, PW, *dilation, 0, OH, OW)
    return cols


def col2im(
    cols: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    OH, OW, PH, PW = _window("col2im", (x_shape[2], x_shape[3]), kernel_size, stride, padding, dilation)
    rows, columns = x_shape[1] * kernel_size[0] * kernel_size[1], x_shape[0] * OH * OW
    checks.same_shape("col2im", "cols", cols.shape, (rows, columns), "C*KH*KW, N*OH*OW")
    x = np.zeros(x_shape, cols.dtype)
    windows.col2im(np.ascontiguousarray(cols), x, *kernel_size, *stride, PH, PW, *dilation, 0, OH, OW)
    return x


def _window(
    who: str, size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[int, int, int, int]:
    """OH, OW, and the zeros above and left of an image of this size."""
    checks.pair(who, "kernel_size", kernel_size, 1)
    checks.conv_window(who, stride, padding, dilation, 1, kernel_size)
    OH, OW = checks.window_output(who, size, kernel_size, stride, padding, dilation)
    (PH, _), (PW, _) = checks.margins(padding, size, kernel_size, stride, dilation)
    return OH, OW, PH, PW
