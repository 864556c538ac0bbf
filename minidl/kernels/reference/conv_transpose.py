"""Transposed convolution, one input element after the other: each is spread over the output through the kernel.

y[n,o,ih*SH - PH + kh*DH, iw*SW - PW + kw*DW] += x[n,c,ih,iw] * w[c,o,kh,kw]; what falls into the padding is lost.
(Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin and Visin 2016, arXiv 1603.07285, for its arithmetic.)
"""

from __future__ import annotations

import numpy as np

from minidl.kernels import transposed
from minidl.kernels.checks import Padding, Pair, margins
from minidl.kernels.reference.gradients import Out
from minidl.kernels.reference.windows import crop, pad, taps


def conv_transpose2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    stride: Pair,
    padding: Padding,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    N, C, H, W = x.shape
    _, OG, KH, KW = w.shape
    window = stride, padding, output_padding, dilation, groups
    around = margins(padding, (H, W), (KH, KW), stride)
    yp = pad(np.zeros(transposed.output("conv_transpose2d", x.shape, w.shape, *window), x.dtype), around)
    for n in range(N):
        for c in range(C):
            g = c // (C // groups)
            channels = slice(g * OG, (g + 1) * OG)
            for ih in range(H):
                rows = taps(ih, KH, stride[0], dilation[0])
                for iw in range(W):
                    columns = taps(iw, KW, stride[1], dilation[1])
                    yp[n, channels, rows, columns] += x[n, c, ih, iw] * w[c]
    y = crop(yp, around)
    if b is not None:
        for o in range(len(b)):
            y[:, o] += b[o]
    return y


def conv_transpose2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair,
    padding: Padding,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool = True,
    out: Out | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    N, C, H, W = x.shape
    _, OG, KH, KW = w.shape
    dw, db = out if out is not None else (np.empty_like(w), np.empty(OG * groups, w.dtype))
    dw[...] = 0
    dyp = pad(dy, margins(padding, (H, W), (KH, KW), stride))
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            g = c // (C // groups)
            channels = slice(g * OG, (g + 1) * OG)
            for ih in range(H):
                rows = taps(ih, KH, stride[0], dilation[0])
                for iw in range(W):
                    seen = dyp[n, channels, rows, taps(iw, KW, stride[1], dilation[1])]
                    dx[n, c, ih, iw] = np.sum(seen * w[c])
                    dw[c] += x[n, c, ih, iw] * seen
    if db is not None:
        for o in range(len(db)):
            db[o] = np.sum(dy[:, o])
    return dx if need_dx else None, dw, db
