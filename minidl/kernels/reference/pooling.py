"""Pooling, one window after the other: maximum, average, and those of bins and of a whole map.

(Max pooling: Weng et al. 1992, "Cresceptron"; average pooling: LeCun et al. 1989; global average: Lin et al. 2014,
"Network in network".)
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.checks import Padding, Pair, margins
from minidl.kernels.reference.windows import crop, pad, positions, taps


def maxpool2d_forward(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Places outside the map are left out, so padding never wins. `np.argmax` has the contract's rule."""
    N, C, H, W = x.shape
    (KH, KW), (SH, SW), (DH, DW) = kernel_size, stride, dilation
    high, wide = margins(padding, (H, W), kernel_size, stride, dilation)
    OH, OW = positions(H, KH, SH, high, DH, ceil_mode), positions(W, KW, SW, wide, DW, ceil_mode)
    y = np.zeros((N, C, OH, OW), x.dtype)
    argmax = np.zeros((N, C, OH, OW), np.int32)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                rows = [ih for kh in range(KH) if 0 <= (ih := oh * SH - high[0] + kh * DH) < H]
                for ow in range(OW):
                    columns = [iw for kw in range(KW) if 0 <= (iw := ow * SW - wide[0] + kw * DW) < W]
                    window = x[n, c, rows][:, columns]
                    kh, kw = divmod(int(np.argmax(window)), len(columns))
                    y[n, c, oh, ow] = window[kh, kw]
                    argmax[n, c, oh, ow] = rows[kh] * W + columns[kw]
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray,
    argmax: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> np.ndarray:
    """Each dy goes to the place that won; where windows overlap, several add up."""
    N, C, OH, OW = dy.shape
    W = x_shape[3]
    dx = np.zeros(x_shape, dy.dtype)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    ih, iw = divmod(int(argmax[n, c, oh, ow]), W)
                    dx[n, c, ih, iw] += dy[n, c, oh, ow]
    return dx


def avgpool2d_forward(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    N, C, H, W = x.shape
    KH, KW = kernel_size
    around = margins(padding, (H, W), kernel_size, stride)
    OH, OW = positions(H, KH, stride[0], around[0], 1, ceil_mode), positions(W, KW, stride[1], around[1], 1, ceil_mode)
    counted, xp = _counted((H, W), around, count_include_pad), pad(x, around)
    y = np.zeros((N, C, OH, OW), x.dtype)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    rows, columns = taps(oh, KH, stride[0]), taps(ow, KW, stride[1])
                    y[n, c, oh, ow] = np.sum(xp[n, c, rows, columns]) / np.sum(counted[rows, columns])
    return y


def avgpool2d_backward(
    dy: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Every place of a window gets dy / (places that count); the padding's share is lost."""
    N, C, OH, OW = dy.shape
    KH, KW = kernel_size
    around = margins(padding, x_shape[2:], kernel_size, stride)  # type: ignore[arg-type]
    counted = _counted(x_shape[2:], around, count_include_pad)
    dxp = pad(np.zeros(x_shape, dy.dtype), around)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    rows, columns = taps(oh, KH, stride[0]), taps(ow, KW, stride[1])
                    dxp[n, c, rows, columns] += dy[n, c, oh, ow] / np.sum(counted[rows, columns])
    return crop(dxp, around)


def _counted(size: tuple[int, ...], around: tuple[Pair, Pair], count_include_pad: bool) -> np.ndarray:
    """1 at each place of the padded map that counts in a mean, else 0."""
    return np.pad(np.ones(size, np.int64), around, constant_values=int(count_include_pad))


def adaptive_avgpool_forward(x: np.ndarray, output_size: Pair) -> np.ndarray:
    N, C, H, W = x.shape
    OH, OW = output_size
    y = np.zeros((N, C, OH, OW), x.dtype)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    window = x[n, c, _bin(oh, H, OH), _bin(ow, W, OW)]
                    y[n, c, oh, ow] = np.sum(window) / window.size
    return y


def adaptive_avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    N, C, OH, OW = dy.shape
    dx = np.zeros(x_shape, dy.dtype)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    window = dx[n, c, _bin(oh, x_shape[2], OH), _bin(ow, x_shape[3], OW)]
                    window += dy[n, c, oh, ow] / window.size
    return dx


def _bin(index: int, size: int, count: int) -> slice:
    """From index*size / count, rounded down, to (index+1)*size / count, rounded up: neighbours may share a place."""
    return slice(index * size // count, -(-(index + 1) * size // count))


def global_maxpool_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    N, C, _, _ = x.shape
    y, argmax = np.zeros((N, C), x.dtype), np.zeros((N, C), np.int32)
    for n in range(N):
        for c in range(C):
            argmax[n, c] = np.argmax(x[n, c])
            y[n, c] = x[n, c].flat[argmax[n, c]]
    return y, argmax


def global_maxpool_backward(dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    N, C = dy.shape
    dx = np.zeros(x_shape, dy.dtype)
    for n in range(N):
        for c in range(C):
            dx[n, c].flat[argmax[n, c]] = dy[n, c]
    return dx


def global_avgpool_forward(x: np.ndarray) -> np.ndarray:
    N, C, H, W = x.shape
    y = np.zeros((N, C), x.dtype)
    for n in range(N):
        for c in range(C):
            y[n, c] = np.sum(x[n, c]) / (H * W)
    return y


def global_avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    N, C, H, W = x_shape
    dx = np.zeros(x_shape, dy.dtype)
    for n in range(N):
        for c in range(C):
            dx[n, c] = dy[n, c] / (H * W)
    return dx
