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
from minidl.kernels.checks import Padding, Pair

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
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    shape = checks.conv2d_output("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    y = np.empty(shape, x.dtype)
    correlate(x, w, b, y, stride, _corner(x, w, stride, padding, dilation), dilation, groups)
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
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    shape = checks.conv2d_output("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    checks.same_shape("conv2d", "dy", dy.shape, shape, "the output's")
    dw, db = out if out is not None else (np.empty_like(w), np.empty(shape[1], w.dtype))
    dw[...] = 0
    if db is not None:
        np.sum(dy, axis=(0, 2, 3), out=db)
    dx = np.zeros(x.shape, x.dtype) if need_dx else None
    spread(dy, x, w, dx, dw, stride, _corner(x, w, stride, padding, dilation), dilation, groups)
    return dx, dw, db


def _corner(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """Padding at the top and at the left."""
    size, kernel = (x.shape[2], x.shape[3]), (w.shape[2], w.shape[3])
    (top, _), (left, _) = checks.margins(padding, size, kernel, stride, dilation)
    return top, left


def correlate(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    stride: Pair,
    corner: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """y = w cols + b for a y that has its shape already. corner: PH, PW."""
    (N, O, OH, OW), C, (CG, KH, KW) = y.shape, x.shape[1], w.shape[1:]
    x = np.ascontiguousarray(x)
    kernel = w.reshape(groups, O // groups, CG * KH * KW)
    for images, rows in _chunks(N, OH, (C * KH * KW + O) * OW * x.itemsize):
        part = y[images, :, rows]
        count, height = part.shape[0], part.shape[2]
        cols = np.empty((C * KH * KW, count * height * OW), x.dtype)
        windows.im2col(x[images], cols, KH, KW, *stride, *corner, *dilation, rows.start, height, OW)
        product = np.matmul(kernel, cols.reshape(groups, CG * KH * KW, -1)).reshape(O, count, height, OW)
        if b is not None:
            product += b[:, None, None, None]
        part[...] = product.transpose(1, 0, 2, 3)


def spread(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    dx: np.ndarray | None,
    dw: np.ndarray | None,
    stride: Pair,
    corner: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """dx += col2im(w^T dy) and dw += dy cols^T, each if it is not None; x is read for dw alone."""
    (N, O, OH, OW), C, (CG, KH, KW) = dy.shape, x.shape[1], w.shape[1:]
    x = np.ascontiguousarray(x)
    kernel_t = w.reshape(groups, O // groups, CG * KH * KW).transpose(0, 2, 1)
    for images, rows in _chunks(N, OH, (C * KH * KW + O) * OW * x.itemsize):
        part = dy[images, :, rows]
        count, height = part.shape[0], part.shape[2]
        dy_rows = part.transpose(1, 0, 2, 3).reshape(groups, O // groups, -1)
        cols = np.empty((C * KH * KW, count * height * OW), x.dtype)
        grouped = cols.reshape(groups, CG * KH * KW, -1)
        if dw is not None:
            windows.im2col(x[images], cols, KH, KW, *stride, *corner, *dilation, rows.start, height, OW)
            dw += np.matmul(dy_rows, grouped.transpose(0, 2, 1)).reshape(w.shape)
        if dx is not None:
            np.matmul(kernel_t, dy_rows, out=grouped)
            windows.col2im(cols, dx[images], KH, KW, *stride, *corner, *dilation, rows.start, height, OW)
