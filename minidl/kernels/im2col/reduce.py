"""Sum, mean and maximum over axes, and softmax, in numpy."""

from __future__ import annotations

import math

import numpy as np

Axes = tuple[int, ...]


def reduce_forward(x: np.ndarray, kind: str, axes: Axes) -> np.ndarray:
    if kind == "max":
        return x.max(axes, keepdims=True)
    y = x.sum(axes, keepdims=True, dtype=np.float64)
    if kind == "mean":
        y /= max(math.prod(x.shape[axis] for axis in axes), 1)
    return y.astype(x.dtype)


def reduce_backward(
    dy: np.ndarray,
    kind: str,
    axes: Axes,
    x_shape: tuple[int, ...],
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
) -> np.ndarray:
    if kind == "max":
        assert x is not None
        last = tuple(range(-len(axes), 0))
        rows = np.moveaxis(x, axes, last)
        shape = rows.shape
        rows = rows.reshape(*shape[: -len(axes)], -1) if x.size else np.zeros((*shape[: -len(axes)], 1), x.dtype)
        picked = np.zeros((*rows.shape,), dy.dtype)
        upstream = np.moveaxis(dy, axes, last).reshape(*shape[: -len(axes)], 1)
        np.put_along_axis(picked, rows.argmax(-1)[..., None], upstream, -1)
        picked = picked.reshape(shape) if x.size else np.zeros(shape, dy.dtype)
        return np.ascontiguousarray(np.moveaxis(picked, last, axes))
    count = math.prod(x_shape[axis] for axis in axes) if kind == "mean" else 1
    return np.broadcast_to(dy / max(count, 1), x_shape).astype(dy.dtype)


def softmax_forward(x: np.ndarray, axes: Axes, log: bool = False) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        y = x - x.max(axes, keepdims=True)
        e = np.exp(y)
        total = e.sum(axes, keepdims=True, dtype=np.float64).astype(x.dtype)
        if log:
            y -= np.log(total)
            return y
        e /= total
    return e


def softmax_backward(dy: np.ndarray, y: np.ndarray, axes: Axes, log: bool = False) -> np.ndarray:
    if log:
        return dy - np.exp(y) * dy.sum(axes, keepdims=True, dtype=np.float64).astype(dy.dtype)
    return y * (dy - (dy * y).sum(axes, keepdims=True, dtype=np.float64).astype(dy.dtype))
