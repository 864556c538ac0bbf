"""Sum, mean and maximum over axes, and softmax: one place of the result after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Axes = tuple[int, ...]


def reduce_forward(x: np.ndarray, kind: str, axes: Axes) -> np.ndarray:
    y = np.zeros([1 if axis in axes else size for axis, size in enumerate(x.shape)], x.dtype)
    for place, values in _places(x, axes):
        if kind == "max":
            y[place] = values[_first_largest(values)]
        else:
            y[place] = np.sum(values, dtype=np.float64) / (max(values.size, 1) if kind == "mean" else 1)
    return y


def reduce_backward(
    dy: np.ndarray,
    kind: str,
    axes: Axes,
    x_shape: tuple[int, ...],
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
) -> np.ndarray:
    dx = np.zeros(x_shape, dy.dtype)
    for place, values in _places(dx, axes):
        if kind == "max":
            assert x is not None
            values[_first_largest(x[place])] = dy[place].item()
        else:
            values[...] = dy[place] / (values.size if kind == "mean" else 1)
    return dx


def softmax_forward(x: np.ndarray, axes: Axes, log: bool = False) -> np.ndarray:
    y = np.zeros_like(x)
    for place, values in _places(x, axes):
        with np.errstate(invalid="ignore"):
            shifted = values - np.max(values)
            total = np.sum(np.exp(shifted))
            y[place] = shifted - np.log(total) if log else np.exp(shifted) / total
    return y


def softmax_backward(dy: np.ndarray, y: np.ndarray, axes: Axes, log: bool = False) -> np.ndarray:
    """dx[i] = sum_j dy[j] dy[j]/dx[i], where y[j]'s derivative is y[j] (1 - y[j]) for i = j, else -y[i] y[j]."""
    dx = np.zeros_like(dy)
    for place, values in _places(y, axes):
        upstream = dy[place]
        if log:
            dx[place] = upstream - np.exp(values) * np.sum(upstream)
        else:
            dx[place] = values * (upstream - np.sum(upstream * values))
    return dx


def _places(x: np.ndarray, axes: Axes) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """Where each place of the result lies in x, whole along the axes, and what is there."""
    sizes = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    for index in np.ndindex(*sizes):
        place = tuple(slice(None) if axis in axes else slice(i, i + 1) for axis, i in enumerate(index))
        yield place, x[place]


def _first_largest(values: np.ndarray) -> tuple[int, ...]:
    """Row-major; argmax takes a NaN for the largest."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(values)), values.shape))
