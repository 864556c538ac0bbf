"""Convolution on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional import _ready
from minidl.functional._call import call
from minidl.kernels import checks
from minidl.kernels.checks import Sides, Size


def conv2d_forward(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> np.ndarray:
    """y[n,o,oh,ow] = b[o] + sum_{c,kh,kw} x[n, g C/G + c, oh SH - PH + kh DH, ow SW - PW + kw DW] w[o,c,kh,kw].

    x: (N, C, H, W). w: (O, C/groups, KH, KW). b: (O,) or None. All float32 or all float64. Zeros stand outside x; g is
    the group of o. stride, padding, dilation: ints or (h, w) pairs; padding also ((top, bottom), (left, right)),
    "same", "same_lower" or "valid", as in `Conv2D`; PH and PW are top and left. -> y (N, O, OH, OW), OH = (H + top +
    bottom - DH (KH - 1) - 1) // SH + 1. ValueError for shapes that do not go together, TypeError for dtypes.
    """
    who = "conv2d_forward"
    w = np.asarray(w)
    window = _ready.conv_window(who, w, stride, padding, dilation, groups)
    (x, w, b), _ = _ready.conv(who, x, w, b, window)
    return call(who, x, w, b, *window)


def conv2d_backward(
    dy: Any,
    x: Any,
    w: Any,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `conv2d_forward` for the output gradient dy (N, O, OH, OW) -> dx, dw, db, shaped like x, w, b."""
    who = "conv2d_backward"
    w = np.asarray(w)
    window = _ready.conv_window(who, w, stride, padding, dilation, groups)
    dy, x, w = checks.floats(who, dy=dy, x=x, w=w)
    shape = checks.conv2d_output(who, x.shape, w.shape, *window)
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    return call(who, dy, x, w, *window)
