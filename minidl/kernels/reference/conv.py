"""Convolution, one output element after the other.

y[n,o,oh,ow] = b[o] + sum over the window of x * w[o]; backward sends each dy[n,o,oh,ow] back
along the same products.
(LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition"; groups: Krizhevsky et al. 2012;
dilation: Yu and Koltun 2016.) Sums are kept in the arrays' own dtype.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.checks import Padding, Pair, margins
from minidl.kernels.reference.gradients import Out, zeroed
from minidl.kernels.reference.windows import crop, pad, positions, taps


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    N, _, H, W = x.shape
    O, CG, KH, KW = w.shape
    around = margins(padding, (H, W), (KH, KW), stride, dilation)
    OH = positions(H, KH, stride[0], around[0], dilation[0])
    OW = positions(W, KW, stride[1], around[1], dilation[1])
    xp = pad(x, around)
    y = np.zeros((N, O, OH, OW), x.dtype)
    for n in range(N):
        for o in range(O):
            g = o // (O // groups)
            channels = slice(g * CG, (g + 1) * CG)
            for oh in range(OH):
                rows = taps(oh, KH, stride[0], dilation[0])
                for ow in range(OW):
                    columns = taps(ow, KW, stride[1], dilation[1])
                    y[n, o, oh, ow] = np.sum(xp[n, channels, rows, columns] * w[o])
                    if b is not None:
                        y[n, o, oh, ow] += b[o]
    return y


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    need_dx: bool = True,
    out: Out | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    N, O, OH, OW = dy.shape
    _, CG, KH, KW = w.shape
    dw, db = zeroed(w, out)
    around = margins(padding, x.shape[2:], (KH, KW), stride, dilation)
    xp = pad(x, around)
    dxp = np.zeros_like(xp)
    for n in range(N):
        for o in range(O):
            g = o // (O // groups)
            channels = slice(g * CG, (g + 1) * CG)
            for oh in range(OH):
                rows = taps(oh, KH, stride[0], dilation[0])
                for ow in range(OW):
                    columns = taps(ow, KW, stride[1], dilation[1])
                    dw[o] += dy[n, o, oh, ow] * xp[n, channels, rows, columns]
                    if need_dx:
                        dxp[n, channels, rows, columns] += dy[n, o, oh, ow] * w[o]
                    if db is not None:
                        db[o] += dy[n, o, oh, ow]
    return crop(dxp, around) if need_dx else None, dw, db
