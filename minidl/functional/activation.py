"""Activations on (N, C, H, W) or (N, F) arrays. The backward functions take the forward's result y."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.kernels import geometry


def relu_forward(x: Any) -> np.ndarray:
    """max(x, 0); a NaN stays a NaN."""
    return _apply("relu_forward", x=x)


def relu_backward(dy: Any, y: Any) -> np.ndarray:
    """dy where y > 0, else 0. The forward's input may stand for y."""
    return _apply("relu_backward", dy=dy, y=y)


def sigmoid_forward(x: Any) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return _apply("sigmoid_forward", x=x)


def sigmoid_backward(dy: Any, y: Any) -> np.ndarray:
    """dy * y * (1 - y)"""
    return _apply("sigmoid_backward", dy=dy, y=y)


def tanh_forward(x: Any) -> np.ndarray:
    """tanh(x)"""
    return _apply("tanh_forward", x=x)


def tanh_backward(dy: Any, y: Any) -> np.ndarray:
    """dy * (1 - y^2)"""
    return _apply("tanh_backward", dy=dy, y=y)


def dropout_forward(x: Any, rate: float, key: int) -> np.ndarray:
    """x / (1 - rate) where an element is kept, else 0 (inverted dropout).

    rate: probability in [0, 1) of being dropped. key: int in [0, 2**64) that alone decides which elements are kept.
    """
    return _apply("dropout_forward", *_drop("dropout_forward", rate, key), x=x)


def dropout_backward(dy: Any, rate: float, key: int) -> np.ndarray:
    """The same elements kept and the same factor as in `dropout_forward`, applied to dy."""
    return _apply("dropout_backward", *_drop("dropout_backward", rate, key), dy=dy)


def _apply(who: str, *settings: Any, **arrays: Any) -> np.ndarray:
    ready = _check.floats(who, **arrays)
    for name, array in zip(arrays, ready, strict=True):
        _check.ndim(who, name, array, "(N, F) or (N, C, H, W)", 2, 4)
        geometry.same_shape(who, name, array.shape, ready[0].shape, f"{next(iter(arrays))}'s")
    backend = kernels.current()
    return backend.leave(getattr(backend, who)(*map(backend.enter, ready), *settings))


def _drop(who: str, rate: float, key: int) -> tuple[float, int]:
    rate = geometry.real(who, "rate", rate, "in [0, 1)", lambda r: 0 <= r < 1)
    if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer)):
        raise TypeError(f"{who}: key must be an int, got {key!r}")
    if not 0 <= key < 2**64:
        raise ValueError(f"{who}: key must be in [0, 2**64), got {key}")
    return rate, int(key)
