"""Convolution and its matrix form on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.functional._check import Size
from minidl.kernels import checks
from minidl.kernels.checks import Pair

Window = tuple[Pair, Pair, Pair, int]


def conv_window(who: str, stride: Size, padding: Size, dilation: Size, groups: int) -> Window:
    """The four checked settings of a convolution."""
    return (
        checks.pair(who, "stride", stride, 1),
        checks.pair(who, "padding", padding, 0),
        checks.pair(who, "dilation", dilation, 1),
        checks.integer(who, "groups", groups, 1),
    )


def conv_arrays(who: str, x: Any, w: Any, b: Any, window: Window) -> tuple[list[Any], tuple[int, int, int, int]]:
    """x, w, b ready for a kernel, and the output's shape."""
    arrays = _check.floats(who, x=x, w=w, b=b)
    shape = checks.conv2d_output(who, arrays[0].shape, arrays[1].shape, *window)
    _check.per_channel(who, shape[1], b=arrays[2])
    return arrays, shape


def conv2d_forward(
    x: Any, w: Any, b: Any = None, stride: Size = 1, padding: Size = 0, dilation: Size = 1, groups: int = 1
) -> np.ndarray:
    """y[n,o,oh,ow] = b[o] + sum_{c,kh,kw} x[n, g C/G + c, oh SH - PH + kh DH, ow SW - PW + kw DW] w[o,c,kh,kw].

    x: (N, C, H, W). w: (O, C/groups, KH, KW). b: (O,) or None. All float32 or all float64. Zeros stand outside x; g is
    the group of o. stride, padding, dilation: ints or (h, w) pairs. -> y (N, O, OH, OW), OH = (H + 2 PH - DH (KH - 1)
    - 1) // SH + 1. ValueError for shapes that do not go together, TypeError for dtypes.
    """
    who = "conv2d_forward"
    window = conv_window(who, stride, padding, dilation, groups)
    (x, w, b), _ = conv_arrays(who, x, w, b, window)
    backend = kernels.current()
    return backend.leave(backend.conv2d_forward(backend.enter(x), w, b, *window))


def conv2d_backward(
    dy: Any, x: Any, w: Any, stride: Size = 1, padding: Size = 0, dilation: Size = 1, groups: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `conv2d_forward` for the output gradient dy (N, O, OH, OW) -> dx, dw, db, shaped like x, w, b."""
    who = "conv2d_backward"
    window = conv_window(who, stride, padding, dilation, groups)
    dy, x, w = _check.floats(who, dy=dy, x=x, w=w)
    shape = checks.conv2d_output(who, x.shape, w.shape, *window)
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    backend = kernels.current()
    dx, dw, db = backend.conv2d_backward(backend.enter(dy), backend.enter(x), w, *window)
    return backend.leave(dx), dw, db


def im2col(x: Any, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1) -> np.ndarray:
    """(N, C, H, W) -> (C*KH*KW, N*OH*OW): column n*OH*OW + oh*OW + ow holds the window of output (n, oh, ow)."""
    who = "im2col"
    (x,) = _check.floats(who, x=x)
    _check.ndim(who, "x", x, "(N, C, H, W)", 4)
    kernel, window, _ = _matrix(who, x.shape, kernel_size, stride, padding, dilation)
    return kernels.current().im2col(x, kernel, *window)


def col2im(
    cols: Any, x_shape: Any, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> np.ndarray:
    """The adjoint of `im2col`: every entry of cols (C*KH*KW, N*OH*OW) added to its place in an array (N, C, H, W)."""
    who = "col2im"
    (cols,) = _check.floats(who, cols=cols)
    x_shape = _check.image_shape(who, x_shape)
    kernel, window, shape = _matrix(who, x_shape, kernel_size, stride, padding, dilation)
    checks.same_shape(who, "cols", cols.shape, shape, "(C*KH*KW, N*OH*OW)")
    return kernels.current().col2im(cols, x_shape, kernel, *window)


def _matrix(
    who: str, x_shape: _check.Shape, kernel_size: Size, stride: Size, padding: Size, dilation: Size
) -> tuple[Pair, tuple[Pair, Pair, Pair], Pair]:
    """Checked kernel size and (stride, padding, dilation), and the shape of the matrix."""
    kernel = checks.pair(who, "kernel_size", kernel_size, 1)
    stride, padding, dilation, groups = conv_window(who, stride, padding, dilation, 1)
    n, c, _, _ = x_shape
    _, _, oh, ow = checks.conv2d_output(who, x_shape, (1, c, *kernel), stride, padding, dilation, groups)
    shape = c * kernel[0] * kernel[1], n * oh * ow
    checks.check_elements(who, shape)
    return kernel, (stride, padding, dilation), shape
