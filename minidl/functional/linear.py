"""The linear (affine) layer on (N, F) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.kernels import checks


def linear_arrays(who: str, x: Any, w: Any, b: Any) -> list[Any]:
    """x (N, F), w (O, F), b (O,) or None, ready for a kernel."""
    x, w, b = _check.floats(who, x=x, w=w, b=b)
    features(who, x, w)
    _check.per_channel(who, w.shape[0], b=b)
    return [x, w, b]


def features(who: str, x: np.ndarray, w: np.ndarray) -> None:
    """Refuse x and w that are not (N, F) and (O, F)."""
    _check.ndim(who, "x", x, "(N, F)", 2)
    _check.ndim(who, "w", w, "(O, F)", 2)
    if min(w.shape) < 1:
        raise ValueError(f"{who}: w must have at least 1 row and 1 column, got shape {w.shape}")
    if x.shape[1] != w.shape[1]:
        raise ValueError(f"{who}: x must have {w.shape[1]} features like w, got {x.shape[1]} in shape {x.shape}")


def linear_forward(x: Any, w: Any, b: Any = None) -> np.ndarray:
    """y = x w^T + b. x: (N, F). w: (O, F), one row an output. b: (O,) or None. -> y (N, O)."""
    x, w, b = linear_arrays("linear_forward", x, w, b)
    backend = kernels.current()
    return backend.leave(backend.linear_forward(backend.enter(x), w, b))


def linear_backward(dy: Any, x: Any, w: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx = dy w, dw = dy^T x, db = sum over n of dy, for dy (N, O)."""
    who = "linear_backward"
    dy, x, w = _check.floats(who, dy=dy, x=x, w=w)
    features(who, x, w)
    checks.same_shape(who, "dy", dy.shape, (x.shape[0], w.shape[0]), "(N, O)")
    backend = kernels.current()
    dx, dw, db = backend.linear_backward(backend.enter(dy), backend.enter(x), w)
    return backend.leave(dx), dw, db
