"""The matrix form of a convolution on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair, Shape, Sides, Size


def im2col(
    x: Any, kernel_size: Size, stride: Size = 1, padding: Size | Sides | str = 0, dilation: Size = 1
) -> np.ndarray:
    """(N, C, H, W) -> (C*KH*KW, N*OH*OW): column n*OH*OW + oh*OW + ow holds the window of output (n, oh, ow)."""
    who = "im2col"
    (x,) = checks.floats(who, x=x)
    checks.ndim(who, "x", x.shape, "(N, C, H, W)", 4)
    kernel, window, _ = _matrix(who, x.shape, kernel_size, stride, padding, dilation)
    return call(who, x, kernel, *window)


def col2im(
    cols: Any,
    x_shape: Any,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
) -> np.ndarray:
    """The adjoint of `im2col`: every entry of cols (C*KH*KW, N*OH*OW) added to its place in an array (N, C, H, W)."""
    who = "col2im"
    (cols,) = checks.floats(who, cols=cols)
    x_shape = checks.image_shape(who, x_shape)
    kernel, window, shape = _matrix(who, x_shape, kernel_size, stride, padding, dilation)
    checks.same_shape(who, "cols", cols.shape, shape, "(C*KH*KW, N*OH*OW)")
    return call(who, cols, x_shape, kernel, *window)


def _matrix(
    who: str, x_shape: Shape, kernel_size: Size, stride: Size, padding: Any, dilation: Size
) -> tuple[Pair, tuple[Pair, Padding, Pair], Pair]:
    """Checked kernel size and (stride, padding, dilation), and the shape of the matrix."""
    kernel = checks.pair(who, "kernel_size", kernel_size, 1)
    stride, around, dilation, groups = checks.conv_window(who, stride, padding, dilation, 1, kernel)
    n, c, _, _ = x_shape
    _, _, oh, ow = checks.conv2d_output(who, x_shape, (1, c, *kernel), stride, around, dilation, groups)
    shape = c * kernel[0] * kernel[1], n * oh * ow
    checks.check_elements(who, shape)
    return kernel, (stride, around, dilation), shape
