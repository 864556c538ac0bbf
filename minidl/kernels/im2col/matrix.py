"""The matrix of all windows, and its adjoint; `conv2d` uses the same kernels on chunks."""

from __future__ import annotations

import numpy as np

import minidl._ext.im2col as windows
from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair


def im2col(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    N, C = x.shape[:2]
    window = (x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation
    OH, OW = checks.window_output("im2col", *window)
    (PH, _), (PW, _) = checks.margins(padding, window[0], kernel_size, stride, dilation)
    cols = np.empty((C * kernel_size[0] * kernel_size[1], N * OH * OW), x.dtype)
    windows.im2col(np.ascontiguousarray(x), cols, *kernel_size, *stride, PH, PW, *dilation, 0, OH, OW)
    return cols


def col2im(
    cols: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    window = (x_shape[2], x_shape[3]), kernel_size, stride, padding, dilation
    OH, OW = checks.window_output("col2im", *window)
    (PH, _), (PW, _) = checks.margins(padding, window[0], kernel_size, stride, dilation)
    rows, columns = x_shape[1] * kernel_size[0] * kernel_size[1], x_shape[0] * OH * OW
    checks.same_shape("col2im", "cols", cols.shape, (rows, columns), "C*KH*KW, N*OH*OW")
    x = np.zeros(x_shape, cols.dtype)
    windows.col2im(np.ascontiguousarray(cols), x, *kernel_size, *stride, PH, PW, *dilation, 0, OH, OW)
    return x
