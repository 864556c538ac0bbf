"""Max, average and global average pooling on the compiled window kernels."""

from __future__ import annotations

import numpy as np

import minidl._ext.im2col as windows
from minidl.kernels import checks
from minidl.kernels.checks import Pair


def _output(x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[int, int, int, int]:
    return checks.pool2d_output("pooling", x_shape, kernel_size, stride, padding)


def maxpool2d_forward(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[np.ndarray, np.ndarray]:
    if x.shape[2] * x.shape[3] > np.iinfo(np.int32).max:
        raise ValueError(f"max pooling: an image must have less than 2**31 pixels, got {x.shape[2]} x {x.shape[3]}")
    shape = _output(x.shape, kernel_size, stride, padding)
    y, argmax = np.empty(shape, x.dtype), np.empty(shape, np.int32)
    windows.maxpool2d_forward(np.ascontiguousarray(x), y, argmax, *kernel_size, *stride, *padding)
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair
) -> np.ndarray:
    checks.same_shape("max pooling", "argmax", argmax.shape, dy.shape, "dy's")
    checks.same_shape("max pooling", "dy", dy.shape, _output(x_shape, kernel_size, stride, padding), "the output's")
    dx = np.zeros(x_shape, dy.dtype)
    outside = windows.maxpool2d_backward(np.ascontiguousarray(dy), np.ascontiguousarray(argmax, np.int32), dx)
    if outside:
        raise ValueError(f"max pooling: argmax must lie in [0, {x_shape[2] * x_shape[3]}), {outside} entries do not")
    return dx


def avgpool2d_forward(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    y = np.empty(_output(x.shape, kernel_size, stride, padding), x.dtype)
    windows.avgpool2d_forward(np.ascontiguousarray(x), y, *kernel_size, *stride, *padding)
    return y


def avgpool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair
) -> np.ndarray:
    checks.same_shape("average pooling", "dy", dy.shape, _output(x_shape, kernel_size, stride, padding), "the output's")
    dx = np.zeros(x_shape, dy.dtype)
    windows.avgpool2d_backward(np.ascontiguousarray(dy), dx, *kernel_size, *stride, *padding)
    return dx


def global_avgpool_forward(x: np.ndarray) -> np.ndarray:
    return x.mean(axis=(2, 3))


def global_avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    dx = np.empty(x_shape, dy.dtype)
    dx[...] = (dy / (x_shape[2] * x_shape[3]))[:, :, None, None]
    return dx
