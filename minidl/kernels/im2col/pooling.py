"""Max and average pooling on the compiled window kernels; that of bins and of whole maps by numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import minidl._ext.im2col as windows
from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair


def maxpool2d_forward(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    _countable(x.shape)
    shape = checks.pool2d_output("max pooling", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    (PH, _), (PW, _) = checks.margins(padding, x.shape[2:], kernel_size, stride, dilation)
    y, argmax = np.empty(shape, x.dtype), np.empty(shape, np.int32)
    windows.maxpool2d_forward(np.ascontiguousarray(x), y, argmax, *kernel_size, *stride, PH, PW, *dilation)
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray,
    argmax: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> np.ndarray:
    shape = checks.pool2d_output("max pooling", x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    checks.same_shape("max pooling", "argmax", argmax.shape, dy.shape, "dy's")
    checks.same_shape("max pooling", "dy", dy.shape, shape, "the output's")
    dx = np.zeros(x_shape, dy.dtype)
    outside = windows.maxpool2d_backward(np.ascontiguousarray(dy), np.ascontiguousarray(argmax, np.int32), dx)
    if outside:
        raise ValueError(f"max pooling: argmax must lie in [0, {x_shape[2] * x_shape[3]}), {outside} entries do not")
    return dx


def avgpool2d_forward(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    shape = checks.pool2d_output("average pooling", x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    sides = _counting(x.shape, kernel_size, stride, padding, count_include_pad)
    y = np.empty(shape, x.dtype)
    windows.avgpool2d_forward(np.ascontiguousarray(x), y, *kernel_size, *stride, *sides)
    return y


def avgpool2d_backward(
    dy: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    shape = checks.pool2d_output("average pooling", x_shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    checks.same_shape("average pooling", "dy", dy.shape, shape, "the output's")
    sides = _counting(x_shape, kernel_size, stride, padding, count_include_pad)
    dx = np.zeros(x_shape, dy.dtype)
    windows.avgpool2d_backward(np.ascontiguousarray(dy), dx, *kernel_size, *stride, *sides)
    return dx


def _counting(
    x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Padding, count_include_pad: bool
) -> tuple[int, ...]:
    """PH, PW, and the rows and columns whose places count: first and last + 1 of each."""
    H, W = x_shape[2:]
    (top, bottom), (left, right) = checks.margins(padding, (H, W), kernel_size, stride)
    if not count_include_pad:
        return top, left, 0, H, 0, W
    return top, left, -top, H + bottom, -left, W + right


def _countable(x_shape: tuple[int, ...]) -> None:
    if x_shape[2] * x_shape[3] > np.iinfo(np.int32).max:
        raise ValueError(f"max pooling: an image must have less than 2**31 pixels, got {x_shape[2]} x {x_shape[3]}")


def adaptive_avgpool_forward(x: np.ndarray, output_size: Pair) -> np.ndarray:
    y = np.empty((*x.shape[:2], *output_size), x.dtype)
    for place, window in _bins(x.shape, output_size):
        np.mean(x[window], axis=(2, 3), out=y[place])
    return y


def adaptive_avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    dx = np.zeros(x_shape, dy.dtype)
    for place, window in _bins(x_shape, (dy.shape[2], dy.shape[3])):
        part = dx[window]
        part += (dy[place] / (part.shape[2] * part.shape[3]))[:, :, None, None]
    return dx


def _bins(x_shape: tuple[int, ...], output_size: Pair) -> Iterator[tuple[Any, Any]]:
    """Each output's place in y, and its window's in x."""
    every = slice(None)
    (OH, OW), (H, W) = output_size, x_shape[2:]
    rows = [slice(i * H // OH, -(-(i + 1) * H // OH)) for i in range(OH)]
    columns = [slice(i * W // OW, -(-(i + 1) * W // OW)) for i in range(OW)]
    for oh, high in enumerate(rows):
        for ow, wide in enumerate(columns):
            yield (every, every, oh, ow), (every, every, high, wide)


def global_maxpool_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _countable(x.shape)
    maps = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    argmax = maps.argmax(axis=2)
    return np.take_along_axis(maps, argmax[:, :, None], axis=2)[:, :, 0], argmax.astype(np.int32)


def global_maxpool_backward(dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    checks.same_shape("max pooling", "dy", dy.shape, x_shape[:2], "one number a map")
    window = (x_shape[2], x_shape[3]), (1, 1), (0, 0)
    return maxpool2d_backward(dy[..., None, None], argmax[..., None, None], x_shape, *window)


def global_avgpool_forward(x: np.ndarray) -> np.ndarray:
    return x.mean(axis=(2, 3))


def global_avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    dx = np.empty(x_shape, dy.dtype)
    dx[...] = (dy / (x_shape[2] * x_shape[3]))[:, :, None, None]
    return dx
