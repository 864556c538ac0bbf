"""Convolution as a matrix product: im2col, multiply, and back by its adjoint col2im.

For a chunk of images, `im2col` writes each window as a column of a matrix with C*KH*KW rows; then

    y = w cols + b        dw += dy cols^T        dx = col2im(w^T dy)

with y and dy as matrices of O rows. This is the lowering of Chellapilla, Puri and Simard 2006, "High performance
convolutional neural networks for document processing". Groups are a leading axis of the same matrices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import minidl._ext.im2col as windows
from minidl.kernels import checks
from minidl.kernels.checks import Pair

SCRATCH_BYTES = 2 * 2**20
"""Most that the matrices of one chunk take, unless one row of outputs needs more: about a core's own cache."""


def _chunks(n: int, oh: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut the N*OH rows of the output into (images, rows) whose scratch fits: whole images, else rows of one image."""
    rows = max(1, SCRATCH_BYTES // row_bytes)
    images = max(1, rows // oh)
    rows = min(rows, oh)
    for first in range(0, n, images):
        for top in range(0, oh, rows):
            yield slice(first, min(first + images, n)), slice(top, min(top + rows, oh))


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    N, O, OH, OW = checks.conv2d_output("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    C, (CG, KH, KW) = x.shape[1], w.shape[1:]
    x = np.ascontiguousarray(x)
    kernel = w.reshape(groups, O // groups, CG * KH * KW)
    y = np.empty((N, O, OH, OW), x.dtype)
    for images, rows in _chunks(N, OH, (C * KH * KW + O) * OW * x.itemsize):
        part = y[images, :, rows]
        count, height = part.shape[0], part.shape[2]
        cols = np.empty((C * KH * KW, count * height * OW), x.dtype)
        windows.im2col(x[images], cols, KH, KW, *stride, *padding, *dilation, rows.start, height, OW)
        product = np.matmul(kernel, cols.reshape(groups, CG * KH * KW, -1)).reshape(O, count, height, OW)
        if b is not None:
            product += b[:, None, None, None]
        part[...] = product.transpose(1, 0, 2, 3)
    return y


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool = True,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    N, O, OH, OW = checks.conv2d_output("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    checks.same_shape("conv2d", "dy", dy.shape, (N, O, OH, OW), "the output's")
    C, (CG, KH, KW) = x.shape[1], w.shape[1:]
    x = np.ascontiguousarray(x)
    dw, db = out if out is not None else (np.empty_like(w), np.empty(O, w.dtype))
    dw[...] = 0
    if db is not None:
        np.sum(dy, axis=(0, 2, 3), out=db)
    dx = np.zeros_like(x) if need_dx else None
    kernel_t = w.reshape(groups, O // groups, CG * KH * KW).transpose(0, 2, 1)
    for images, rows in _chunks(N, OH, (C * KH * KW + O) * OW * x.itemsize):
        part = dy[images, :, rows]
        count, height = part.shape[0], part.shape[2]
        dy_rows = part.transpose(1, 0, 2, 3).reshape(groups, O // groups, -1)
        cols = np.empty((C * KH * KW, count * height * OW), x.dtype)
        windows.im2col(x[images], cols, KH, KW, *stride, *padding, *dilation, rows.start, height, OW)
        grouped = cols.reshape(groups, CG * KH * KW, -1)
        dw += np.matmul(dy_rows, grouped.transpose(0, 2, 1)).reshape(w.shape)
        if dx is not None:
            np.matmul(kernel_t, dy_rows, out=grouped)
            windows.col2im(cols, dx[images], KH, KW, *stride, *padding, *dilation, rows.start, height, OW)
    return dx, dw, db
