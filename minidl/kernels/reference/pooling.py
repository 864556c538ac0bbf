"""Pooling, one window after the other: maximum, average, and the average of a whole map.

(Max pooling: Weng et al. 1992, "Cresceptron"; average pooling: LeCun et al. 1989; global average: Lin et al. 2014,
"Network in network".)
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.reference.windows import Pair, crop, pad, positions, taps


def maxpool2d_forward(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[np.ndarray, np.ndarray]:
    """The window is cut at the map's border, so padding never wins. `np.argmax` has the contract's rule."""
    N, C, H, W = x.shape
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    OH, OW = positions(H, KH, SH, PH), positions(W, KW, SW, PW)
    y = np.zeros((N, C, OH, OW), x.dtype)
    argmax = np.zeros((N, C, OH, OW), np.int32)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom = max(oh * SH - PH, 0), min(oh * SH - PH + KH, H)
                for ow in range(OW):
                    left, right = max(ow * SW - PW, 0), min(ow * SW - PW + KW, W)
                    window = x[n, c, top:bottom, left:right]
                    kh, kw = divmod(int(np.argmax(window)), right - left)
                    y[n, c, oh, ow] = window[kh, kw]
                    argmax[n, c, oh, ow] = (top + kh) * W + left + kw
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair
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


def avgpool2d_forward(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    N, C, H, W = x.shape
    KH, KW = kernel_size
    OH, OW = positions(H, KH, stride[0], padding[0]), positions(W, KW, stride[1], padding[1])
    xp = pad(x, padding)
    y = np.zeros((N, C, OH, OW), x.dtype)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    window = xp[n, c, taps(oh, KH, stride[0]), taps(ow, KW, stride[1])]
                    y[n, c, oh, ow] = np.sum(window) / (KH * KW)
    return y


def avgpool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair
) -> np.ndarray:
    """Every place of a window gets dy / (KH*KW); the padding's share is lost."""
    N, C, OH, OW = dy.shape
    KH, KW = kernel_size
    dxp = pad(np.zeros(x_shape, dy.dtype), padding)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    dxp[n, c, taps(oh, KH, stride[0]), taps(ow, KW, stride[1])] += dy[n, c, oh, ow] / (KH * KW)
    return crop(dxp, padding)


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
