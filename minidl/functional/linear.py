"""The linear (affine) layer on (N, F) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional import _ready
from minidl.functional._call import call
from minidl.kernels import checks


def linear_forward(x: Any, w: Any, b: Any = None) -> np.ndarray:
    """y = x w^T + b. x: (N, F). w: (O, F), one row an output. b: (O,) or None. -> y (N, O)."""
    who = "linear_forward"
    return call(who, *_ready.linear(who, x, w, b))


def linear_backward(dy: Any, x: Any, w: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx = dy w, dw = dy^T x, db = sum over n of dy, for dy (N, O)."""
    who = "linear_backward"
    dy, x, w = checks.floats(who, dy=dy, x=x, w=w)
    checks.same_shape(who, "dy", dy.shape, checks.linear_output(who, x.shape, w.shape), "(N, O)")
    return call(who, dy, x, w)
