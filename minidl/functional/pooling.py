"""Pooling on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair, Shape, Sides, Size


def maxpool2d_forward(
    x: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum of each window: x (N, C, H, W) -> y, argmax, both (N, C, OH, OW).

    stride None: the kernel's size. padding: smaller than the kernel; it never wins; as in `conv2d_forward`. ceil_mode:
    OH is rounded up, as far as the last window starts inside the image or the padding before it. argmax: ih*W + iw of
    the maximum, int32; the first in row-major order, or the window's first NaN.
    """
    who = "maxpool2d_forward"
    window = _max_window(who, kernel_size, stride, padding, dilation, ceil_mode)
    (x,) = checks.floats(who, x=x)
    checks.pool2d_output(who, x.shape, *window)
    return call(who, x, *window)


def maxpool2d_backward(
    dy: Any,
    argmax: Any,
    x_shape: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """dx (N, C, H, W): each dy (N, C, OH, OW) added at its argmax, that of `maxpool2d_forward`."""
    who = "maxpool2d_backward"
    window = _max_window(who, kernel_size, stride, padding, dilation, ceil_mode)
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    shape = checks.pool2d_output(who, x_shape, *window)
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    argmax = _places(who, argmax, x_shape, shape, window)
    return call(who, dy, argmax, x_shape, *window)


def avgpool2d_forward(
    x: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size | Sides | str = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Mean of each window: x (N, C, H, W) -> (N, C, OH, OW). Arguments: `maxpool2d_forward`.

    Padding counts as zeros in the mean, or, without count_include_pad, not at all. What ceil_mode adds never counts.
    """
    who = "avgpool2d_forward"
    window, ceil, count = _mean_window(who, kernel_size, stride, padding, ceil_mode, count_include_pad)
    (x,) = checks.floats(who, x=x)
    checks.pool2d_output(who, x.shape, *window, (1, 1), ceil)
    return call(who, x, *window, ceil, count)


def avgpool2d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size | Sides | str = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """dx (N, C, H, W): dy, divided by the places that count in its window's mean, added over the window."""
    who = "avgpool2d_backward"
    window, ceil, count = _mean_window(who, kernel_size, stride, padding, ceil_mode, count_include_pad)
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    shape = checks.pool2d_output(who, x_shape, *window, (1, 1), ceil)
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    return call(who, dy, x_shape, *window, ceil, count)


def adaptive_avgpool_forward(x: Any, output_size: Size) -> np.ndarray:
    """Means of OH x OW windows that part each map: x (N, C, H, W) -> (N, C, OH, OW).

    output_size: an int or an (h, w) pair. Window oh has the rows from oh*H // OH up to (oh+1)*H / OH, rounded up, so
    that neighbours may share one; columns likewise (PyTorch's rule).
    """
    who = "adaptive_avgpool_forward"
    size = checks.pair(who, "output_size", output_size, 1)
    (x,) = checks.floats(who, x=x)
    checks.check_elements(who, (*checks.image_shape(who, x.shape)[:2], *size))
    return call(who, x, size)


def adaptive_avgpool_backward(dy: Any, x_shape: Any) -> np.ndarray:
    """dx (N, C, H, W): dy (N, C, OH, OW), divided by its window's size, added over the window."""
    who = "adaptive_avgpool_backward"
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    checks.same_shape(who, "dy", dy.shape, (*x_shape[:2], *checks.image_shape(who, dy.shape)[2:]), "x's N and C")
    return call(who, dy, x_shape)


def global_maxpool_forward(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Maximum over H and W: x (N, C, H, W) -> y, argmax, both (N, C). argmax: as of `maxpool2d_forward`."""
    who = "global_maxpool_forward"
    (x,) = checks.floats(who, x=x)
    checks.image_shape(who, x.shape)
    return call(who, x)


def global_maxpool_backward(dy: Any, argmax: Any, x_shape: Any) -> np.ndarray:
    """dx (N, C, H, W) = dy at its argmax, 0 elsewhere; dy and argmax (N, C)."""
    who = "global_maxpool_backward"
    x_shape = checks.image_shape(who, x_shape)
    (dy,) = checks.floats(who, dy=dy)
    checks.same_shape(who, "dy", dy.shape, x_shape[:2], "(N, C)")
    window = (x_shape[2], x_shape[3]), (1, 1), (0, 0), (1, 1), False
    a = np.asarray(argmax)
    checks.same_shape(who, "argmax", a.shape, x_shape[:2], "dy's")
    places = _places(who, a[..., None, None], x_shape, (*x_shape[:2], 1, 1), window)
    return call(who, dy, places[:, :, 0, 0], x_shape)


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


def _max_window(
    who: str, kernel_size: Size, stride: Size | None, padding: Any, dilation: Size, ceil_mode: bool
) -> tuple[Pair, Pair, Padding, Pair, bool]:
    window = checks.pool_window(who, kernel_size, stride, padding, dilation)
    return *window, checks.pair(who, "dilation", dilation, 1), checks.flag(who, "ceil_mode", ceil_mode)


def _mean_window(
    who: str, kernel_size: Size, stride: Size | None, padding: Any, ceil_mode: bool, count_include_pad: bool
) -> tuple[tuple[Pair, Pair, Padding], bool, bool]:
    window, ceil = checks.pool_window(who, kernel_size, stride, padding), checks.flag(who, "ceil_mode", ceil_mode)
    return window, ceil, checks.flag(who, "count_include_pad", count_include_pad)


def _places(
    who: str, argmax: Any, x_shape: Shape, shape: Shape, window: tuple[Pair, Pair, Padding, Pair, bool]
) -> np.ndarray:
    """argmax as contiguous int32, every entry at a place of its own window."""
    a = np.asarray(argmax)
    if a.dtype.kind not in "iu":
        raise TypeError(f"{who}: argmax must be an array of integers, got dtype {a.dtype}")
    checks.same_shape(who, "argmax", a.shape, shape, "dy's")
    kernel, stride, padding, dilation, _ = window
    sides = checks.margins(padding, (x_shape[2], x_shape[3]), kernel, stride, dilation)
    spots = np.divmod(a.astype(np.int64), x_shape[3])
    inside = np.ones(shape, bool)
    for axis, (spot, (before, _)) in enumerate(zip(spots, sides)):
        steps = spot + before - np.arange(shape[2 + axis]).reshape((-1, 1) if axis == 0 else -1) * stride[axis]
        inside &= (spot >= 0) & (spot < x_shape[2 + axis]) & (steps >= 0) & (steps % dilation[axis] == 0)
        inside &= steps // dilation[axis] < kernel[axis]
    if not inside.all():
        place = f"{int(a[~inside][0])} (ih*W + iw, W = {x_shape[3]})"
        raise ValueError(f"{who}: argmax must point into its own window, got {place}")
    return np.require(a, np.int32, ["C_CONTIGUOUS", "ALIGNED"])
