"""A convolution's input as a matrix: one column a window (Chellapilla, Puri, Simard 2006), and the adjoint."""

from __future__ import annotations

import numpy as np

from minidl.kernels.checks import Padding, Pair, margins
from minidl.kernels.reference.windows import crop, pad, positions, taps


def im2col(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    """A column holds its window in the order C, KH, KW."""
    N, C, H, W = x.shape
    KH, KW = kernel_size
    around = margins(padding, (H, W), kernel_size, stride, dilation)
    OH = positions(H, KH, stride[0], around[0], dilation[0])
    OW = positions(W, KW, stride[1], around[1], dilation[1])
    xp = pad(x, around)
    cols = np.zeros((C * KH * KW, N * OH * OW), x.dtype)
    for n in range(N):
        for oh in range(OH):
            rows = taps(oh, KH, stride[0], dilation[0])
            for ow in range(OW):
                columns = taps(ow, KW, stride[1], dilation[1])
                cols[:, (n * OH + oh) * OW + ow] = xp[n, :, rows, columns].ravel()
    return cols


def col2im(
    cols: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    """(C*KH*KW, N*OH*OW) -> (N, C, H, W): each column added to the window that it came from."""
    N, C, H, W = x_shape
    KH, KW = kernel_size
    around = margins(padding, (H, W), kernel_size, stride, dilation)
    OH = positions(H, KH, stride[0], around[0], dilation[0])
    OW = positions(W, KW, stride[1], around[1], dilation[1])
    dxp = pad(np.zeros(x_shape, cols.dtype), around)
    for n in range(N):
        for oh in range(OH):
            rows = taps(oh, KH, stride[0], dilation[0])
            for ow in range(OW):
                columns = taps(ow, KW, stride[1], dilation[1])
                dxp[n, :, rows, columns] += cols[:, (n * OH + oh) * OW + ow].reshape(C, KH, KW)
    return crop(dxp, around)
