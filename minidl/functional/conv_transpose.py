"""Transposed convolution on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks, transposed
from minidl.kernels.checks import Sides, Size


def conv_transpose2d_forward(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Size = 1,
    padding: Size | Sides = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> np.ndarray:
    """y[n, g O/G + o, ih SH - PH + kh DH, iw SW - PW + kw DW] = b + the sum of all x[n,c,ih,iw] w[c,o,kh,kw] there.

    x: (N, C, H, W). w: (C, O/groups, KH, KW). b: (O,) or None. All float32 or all float64. stride, padding,
    output_padding, dilation: ints or (h, w) pairs; padding, which is cut off from y, also ((top, bottom), (left,
    right)). -> y (N, O, OH, OW), OH = (H - 1) SH - top - bottom + DH (KH - 1) + 1 + output_padding; the last is smaller
    than the stride or the dilation. ValueError for shapes that do not go together, TypeError for dtypes.
    """
    who = "conv_transpose2d_forward"
    window = transposed.window(who, stride, padding, output_padding, dilation, groups)
    x, w, b = checks.floats(who, x=x, w=w, b=b)
    checks.per_channel(who, transposed.output(who, x.shape, w.shape, *window)[1], b=b)
    return call(who, x, w, b, *window)


def conv_transpose2d_backward(
    dy: Any,
    x: Any,
    w: Any,
    stride: Size = 1,
    padding: Size | Sides = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `conv_transpose2d_forward` for dy (N, O, OH, OW) -> dx, dw, db, shaped like x, w, b."""
    who = "conv_transpose2d_backward"
    window = transposed.window(who, stride, padding, output_padding, dilation, groups)
    dy, x, w = checks.floats(who, dy=dy, x=x, w=w)
    checks.same_shape(who, "dy", dy.shape, transposed.output(who, x.shape, w.shape, *window), "the output's")
    return call(who, dy, x, w, *window)
