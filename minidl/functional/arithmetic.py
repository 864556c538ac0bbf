"""Arithmetic of two arrays, one of which may be broadcast: (N, C, H, W), (N, I, D) or (N, F), sizes equal or 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks, functions


def arithmetic_forward(a: Any, b: Any, operator: str) -> np.ndarray:
    """a + b, a - b, a * b, a / b, or "prelu": a where a > 0, else a * b. As many dimensions, sizes equal or 1."""
    backend = kernels.current()
    a, b, _ = _ready("arithmetic_forward", a, b, operator)
    return backend.leave(backend.arithmetic_forward(*_entered(backend, a, b), operator))


def arithmetic_backward(dy: Any, a: Any, b: Any, operator: str) -> tuple[np.ndarray, np.ndarray]:
    """-> da, db, in the shapes of a and b: summed over what was broadcast."""
    who, backend = "arithmetic_backward", kernels.current()
    dy = checks.float_array(who, "dy", dy)
    a, b, shape = _ready(who, a, b, operator, dy.dtype)
    checks.same_shape(who, "dy", dy.shape, shape, "that of a and b together")
    found = backend.arithmetic_backward(backend.enter(dy), *_entered(backend, a, b), operator)
    da, db = (part if isinstance(part, np.ndarray) else backend.leave(part) for part in found)
    return da, db


def _ready(who: str, a: Any, b: Any, operator: str, dtype: Any = None) -> tuple[np.ndarray, np.ndarray, checks.Shape]:
    if not isinstance(operator, str) or operator not in functions.OPERATORS:
        raise ValueError(f"{who}: operator must be one of {', '.join(functions.OPERATORS)}, got {operator!r}")
    a, b = checks.floats(who, a=a, b=b)
    if dtype is not None and a.dtype != dtype:
        raise TypeError(f"{who}: a must have dy's dtype {dtype}, got {a.dtype}")
    for name, array in (("a", a), ("b", b)):
        checks.ndim(who, name, array.shape, "(N, F), (N, I, D) or (N, C, H, W)", 2, 3, 4)
    shape = functions.broadcast(who, a.shape, b.shape)
    checks.check_elements(who, shape)
    return a, b, shape


def _entered(backend: Any, a: np.ndarray, b: np.ndarray) -> list[Any]:
    """What is of one image goes with all of the other's as a plain array."""
    fixed = a.shape[0] == 1 != b.shape[0], b.shape[0] == 1 != a.shape[0]
    return [array if plain else backend.enter(array) for array, plain in zip((a, b), fixed, strict=True)]
