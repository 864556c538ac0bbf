"""Maps of another size on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks
from minidl.kernels.contract import Taps
from minidl.kernels.resizing import Resizing


def resize_forward(x: Any, rows: tuple[Any, Any], columns: tuple[Any, Any]) -> np.ndarray:
    """x (N, C, H, W) -> (N, C, OH, OW), each row and column a weighted sum of a few.

    rows: index (OH, K), integers in [0, H), and weight (OH, K); columns likewise. A weight of 0 counts nothing.
    """
    who = "resize_forward"
    (x,) = checks.floats(who, x=x)
    return call(who, x, *_mixed(who, rows, columns, checks.image_shape(who, x.shape), x.dtype))


def resize_backward(dy: Any, x_shape: Any, rows: tuple[Any, Any], columns: tuple[Any, Any]) -> np.ndarray:
    """dx (N, C, H, W): each dy (N, C, OH, OW) added to what it came from, by the same weights."""
    who = "resize_backward"
    (dy,) = checks.floats(who, dy=dy)
    shape = checks.image_shape(who, x_shape)
    taps = _mixed(who, rows, columns, shape, dy.dtype)
    checks.same_shape(who, "dy", dy.shape, (*shape[:2], len(taps[0][0]), len(taps[1][0])), "the output's")
    return call(who, dy, shape, *taps)


def upsample_forward(
    x: Any,
    scale: Any = None,
    size: Any = None,
    mode: str = "nearest",
    coordinates: str | None = None,
    rounding: str = "floor",
    antialias: bool = False,
    cubic: float = -0.75,
    exclude_outside: bool = False,
) -> np.ndarray:
    """x (N, C, H, W) in another size; see `minidl.Upsample`."""
    who = "upsample_forward"
    settings = Resizing(who, scale, size, mode, coordinates, rounding, antialias, cubic, exclude_outside)
    (x,) = checks.floats(who, x=x)
    settings.output(who, x.shape)
    return call("resize_forward", x, *settings.taps(x.shape, x.dtype))


def upsample_backward(
    dy: Any,
    x_shape: Any,
    scale: Any = None,
    size: Any = None,
    mode: str = "nearest",
    coordinates: str | None = None,
    rounding: str = "floor",
    antialias: bool = False,
    cubic: float = -0.75,
    exclude_outside: bool = False,
) -> np.ndarray:
    """dx (N, C, H, W) for dy like the output of `upsample_forward`."""
    who = "upsample_backward"
    settings = Resizing(who, scale, size, mode, coordinates, rounding, antialias, cubic, exclude_outside)
    (dy,) = checks.floats(who, dy=dy)
    shape = checks.image_shape(who, x_shape)
    checks.same_shape(who, "dy", dy.shape, settings.output(who, shape), "the output's")
    return call("resize_backward", dy, shape, *settings.taps(shape, dy.dtype))


def _mixed(who: str, rows: Any, columns: Any, shape: checks.Shape, dtype: np.dtype) -> tuple[Taps, Taps]:
    """What the rows and the columns of images of this shape are mixed by."""
    return _taps(who, "rows", rows, shape[2], dtype), _taps(who, "columns", columns, shape[3], dtype)


def _taps(who: str, name: str, taps: Any, extent: int, dtype: np.dtype) -> Taps:
    """index as intp in [0, extent) and weight as dtype, of one shape (size, taps)."""
    if not isinstance(taps, (tuple, list)) or len(taps) != 2:
        raise ValueError(f"{who}: {name} must be index and weight, got {taps!r:.80}")
    index, weight = np.asarray(taps[0]), checks.float_array(who, f"{name}[1]", taps[1], dtype)
    if index.dtype.kind not in "iu":
        raise TypeError(f"{who}: {name}[0] must be an array of integers, got dtype {index.dtype}")
    checks.ndim(who, f"{name}[0]", index.shape, "(size, taps)", 2)
    checks.same_shape(who, f"{name}[1]", weight.shape, index.shape, f"{name}[0]'s")
    if index.size and (int(index.min()) < 0 or int(index.max()) >= extent):
        bad = int(index.min()) if int(index.min()) < 0 else int(index.max())
        raise ValueError(f"{who}: {name}[0] must lie in [0, {extent}), got {bad}")
    return np.require(index, np.intp, ["C_CONTIGUOUS", "ALIGNED"]), weight
