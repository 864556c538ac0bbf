"""Sum, mean and maximum over axes, and softmax: of (N, C, H, W), (N, I, D) or (N, F) arrays, over any axes but N."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional._call import call
from minidl.kernels import checks, functions

RANKS = "(N, F), (N, I, D) or (N, C, H, W)"


def reduce_forward(x: Any, kind: str, axes: int | tuple[int, ...]) -> np.ndarray:
    """The "sum", "mean" or "max" over axes, which have the size 1 afterwards. A NaN wins a maximum."""
    who = "reduce_forward"
    x, found = _ready(who, x, axes)
    _kind(who, kind)
    if kind == "max":
        _not_empty(who, x.shape, found)
    return call(who, x, kind, found)


def reduce_backward(dy: Any, kind: str, axes: int | tuple[int, ...], x_shape: Any, x: Any = None) -> np.ndarray:
    """dx of x_shape: dy everywhere; divided by their number for a mean; for "max" at the first largest of x."""
    who, backend = "reduce_backward", kernels.current()
    dy, found = _ready(who, dy, axes)
    _kind(who, kind)
    shape = tuple(checks.integer(who, "x_shape", size, 0) for size in x_shape)
    checks.check_elements(who, shape)
    small = tuple(1 if axis in found else size for axis, size in enumerate(shape))
    checks.same_shape(who, "dy", dy.shape, small, "x_shape's, but 1 at the axes")
    if kind != "max":
        return backend.leave(backend.reduce_backward(backend.enter(dy), kind, found, shape))
    if x is None:
        raise ValueError(f"{who}: x must be given for a maximum")
    dy, x = checks.floats(who, dy=dy, x=x)
    checks.same_shape(who, "x", x.shape, shape, "x_shape")
    _not_empty(who, shape, found)
    entered = backend.enter(x)
    y = backend.reduce_forward(entered, kind, found)
    return backend.leave(backend.reduce_backward(backend.enter(dy), kind, found, shape, entered, y))


def softmax_forward(x: Any, axes: int | tuple[int, ...] = 1, log: bool = False) -> np.ndarray:
    """exp(x) / sum exp(x) over axes, neighbours, without overflow; log: its logarithm."""
    who = "softmax_forward"
    x, found = _ready(who, x, axes, True)
    _not_empty(who, x.shape, found)
    return call(who, x, found, bool(log))


def softmax_backward(dy: Any, y: Any, axes: int | tuple[int, ...] = 1, log: bool = False) -> np.ndarray:
    """y (dy - sum dy y), y the forward's result; log: dy - exp(y) sum dy."""
    who = "softmax_backward"
    dy, found = _ready(who, dy, axes, True)
    dy, y = checks.floats(who, dy=dy, y=y)
    checks.same_shape(who, "y", y.shape, dy.shape, "dy's")
    _not_empty(who, y.shape, found)
    return call(who, dy, y, found, bool(log))


def _ready(who: str, x: Any, axes: Any, neighbours: bool = False) -> tuple[np.ndarray, tuple[int, ...]]:
    x = checks.float_array(who, "x", x)
    checks.ndim(who, "x", x.shape, RANKS, 2, 3, 4)
    return x, functions.axes_of(who, axes, x.ndim, neighbours)


def _kind(who: str, kind: Any) -> None:
    if not isinstance(kind, str) or kind not in functions.REDUCTIONS:
        raise ValueError(f"{who}: kind must be one of {', '.join(functions.REDUCTIONS)}, got {kind!r}")


def _not_empty(who: str, shape: checks.Shape, axes: tuple[int, ...]) -> None:
    if any(shape[axis] == 0 for axis in axes):
        raise ValueError(f"{who}: none of the axes {axes} may be empty, got shape {tuple(shape)}")
