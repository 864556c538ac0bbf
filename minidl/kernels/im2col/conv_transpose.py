"""Transposed convolution by the two halves of a convolution from y to x: its input gradient makes y, and it makes
dx."""

from __future__ import annotations

import numpy as np

from minidl.kernels import checks, transposed
from minidl.kernels.checks import Padding, Pair
from minidl.kernels.im2col.conv import correlate, spread


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
    window = stride, padding, output_padding, dilation, groups
    y = np.zeros(transposed.output("conv_transpose2d", x.shape, w.shape, *window), x.dtype)
    spread(x, y, w, y, None, stride, _corner(padding), dilation, groups)
    if b is not None:
        y += b[:, None, None]
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
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
    shape = transposed.output("conv_transpose2d", x.shape, w.shape, stride, padding, output_padding, dilation, groups)
    checks.same_shape("conv_transpose2d", "dy", dy.shape, shape, "the output's")
    dw, db = out if out is not None else (np.empty_like(w), np.empty(shape[1], w.dtype))
    dw[...] = 0
    spread(x, dy, w, None, dw, stride, _corner(padding), dilation, groups)
    if db is not None:
        np.sum(dy, axis=(0, 2, 3), out=db)
    if not need_dx:
        return None, dw, db
    dx = np.empty(x.shape, x.dtype)
    correlate(dy, w, None, dx, stride, _corner(padding), dilation, groups)
    return dx, dw, db


def _corner(padding: Padding) -> Pair:
    (top, _), (left, _) = checks.margins(padding, (1, 1), (1, 1), (1, 1))
    return top, left
