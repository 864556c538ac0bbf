"""Pooling on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks
from minidl.kernels.checks import Pair, Shape, Size


def maxpool2d_forward(
    x: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum of each window: x (N, C, H, W) -> y, argmax, both (N, C, OH, OW).

    stride None: the kernel's size. padding: at most half the kernel; it never wins. argmax: ih*W + iw of the maximum,
    int32; the first in row-major order, or the window's first NaN.
    """
    who = "maxpool2d_forward"
    window = checks.pool_window(who, kernel_size, stride, padding)
    (x,) = checks.floats(who, x=x)
    checks.pool2d_output(who, x.shape, *window)
    return call(who, x, *window)


def maxpool2d_backward(
    dy: Any, argmax: Any, x_shape: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0
) -> np.ndarray:
    """dx (N, C, H, W): each dy (N, C, OH, OW) added at its argmax, that of `maxpool2d_forward`."""
    who = "maxpool2d_backward"
    window = checks.pool_window(who, kernel_size, stride, padding)
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    shape = checks.pool2d_output(who, x_shape, *window)
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    argmax = _places(who, argmax, x_shape, shape, window)
    return call(who, dy, argmax, x_shape, *window)


def avgpool2d_forward(x: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> np.ndarray:
    """Mean of each window: x (N, C, H, W) -> (N, C, OH, OW). Padding counts as zeros in the mean."""
    who = "avgpool2d_forward"
    window = checks.pool_window(who, kernel_size, stride, padding)
    (x,) = checks.floats(who, x=x)
    checks.pool2d_output(who, x.shape, *window)
    return call(who, x, *window)


def avgpool2d_backward(
    dy: Any, x_shape: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0
) -> np.ndarray:
    """dx (N, C, H, W): dy / (KH*KW) added over each window."""
    who = "avgpool2d_backward"
    window = checks.pool_window(who, kernel_size, stride, padding)
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    checks.same_shape(who, "dy", dy.shape, checks.pool2d_output(who, x_shape, *window), "the output's")
    return call(who, dy, x_shape, *window)


def global_avgpool_forward(x: Any) -> np.ndarray:
    """Mean over H and W: x (N, C, H, W) -> (N, C)."""
    who = "global_avgpool_forward"
    (x,) = checks.floats(who, x=x)
    checks.image_shape(who, x.shape)
    return call(who, x)


def global_avgpool_backward(dy: Any, x_shape: Any) -> np.ndarray:
    """dx (N, C, H, W) = dy / (H*W) everywhere, dy (N, C)."""
    who = "global_avgpool_backward"
    (dy,) = checks.floats(who, dy=dy)
    x_shape = checks.image_shape(who, x_shape)
    checks.same_shape(who, "dy", dy.shape, x_shape[:2], "(N, C)")
    return call(who, dy, x_shape)


def _places(who: str, argmax: Any, x_shape: Shape, shape: Shape, window: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """argmax as contiguous int32, every entry inside its own window."""
    a = np.asarray(argmax)
    if a.dtype.kind not in "iu":
        raise TypeError(f"{who}: argmax must be an array of integers, got dtype {a.dtype}")
    checks.same_shape(who, "argmax", a.shape, shape, "dy's")
    (KH, KW), (SH, SW), (PH, PW) = window
    H, W = x_shape[2:]
    ih, iw = np.divmod(a.astype(np.int64), W)
    top = (np.arange(shape[2]) * SH - PH)[:, None]
    left = np.arange(shape[3]) * SW - PW
    inside = (ih >= 0) & (ih < H) & (top <= ih) & (ih < top + KH) & (left <= iw) & (iw < left + KW)
    if not inside.all():
        raise ValueError(f"{who}: argmax must point into its own window, got {int(a[~inside][0])} (ih*W + iw, W = {W})")
    return np.require(a, np.int32, ["C_CONTIGUOUS", "ALIGNED"])
