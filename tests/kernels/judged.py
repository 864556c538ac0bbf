"""How a backend's operation is put beside the reference's: inputs by seed, the reference in float64, computed once."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import numpy as np
from kernels import cases

from minidl.kernels import reference


def generator(case: Any, whole: bool) -> np.random.Generator:
    """The same random numbers for the same case, whatever runs before."""
    return np.random.default_rng([zlib.crc32(repr(case).encode()), whole])


def wide(*arrays: np.ndarray | None) -> tuple[np.ndarray | None, ...]:
    """The same numbers in float64, as the reference gets them."""
    return tuple(None if a is None else a.astype(np.float64) for a in arrays)


@cache
def conv2d(case: cases.Conv, dtype: type, whole: bool) -> tuple[Any, ...]:
    """(x, w, b, dy), and the reference's (y, dx, dw, db)."""
    rng = generator(case, whole)
    x, w = cases.random(rng, case.x, dtype, whole), cases.random(rng, case.w, dtype, whole)
    b = cases.random(rng, case.w[:1], dtype, whole) if case.bias else None
    x64, w64, b64 = wide(x, w, b)
    y = reference.conv2d_forward(x64, w64, b64, *case.window)
    dy = cases.random(rng, y.shape, dtype, whole)
    return (x, w, b, dy), (y, *reference.conv2d_backward(*wide(dy, x, w), *case.window))


@cache
def conv_transpose2d(case: cases.Transposed, dtype: type, whole: bool) -> tuple[Any, ...]:
    """(x, w, b, dy), and the reference's (y, dx, dw, db)."""
    rng = generator(case, whole)
    x, w = cases.random(rng, case.x, dtype, whole), cases.random(rng, case.w, dtype, whole)
    b = cases.random(rng, (case.out_channels,), dtype, whole) if case.bias else None
    y = reference.conv_transpose2d_forward(*wide(x, w, b), *case.window)
    dy = cases.random(rng, y.shape, dtype, whole)
    return (x, w, b, dy), (y, *reference.conv_transpose2d_backward(*wide(dy, x, w), *case.window))


@cache
def maxpool2d(case: cases.Pool, dtype: type, whole: bool) -> tuple[Any, ...]:
    """(x, dy), and the reference's (y, argmax, dx)."""
    rng = generator(case, whole)
    x = cases.random(rng, case.x, dtype, whole)
    y, argmax = reference.maxpool2d_forward(x.astype(np.float64), *case.max)
    dy = cases.random(rng, y.shape, dtype, whole)
    return (x, dy), (y, argmax, reference.maxpool2d_backward(dy.astype(np.float64), argmax, case.x, *case.max))


@cache
def avgpool2d(case: cases.Pool, dtype: type, whole: bool) -> tuple[Any, ...]:
    """(x, dy), and the reference's (y, dx)."""
    rng = generator(case, whole)
    x = cases.random(rng, case.x, dtype, whole)
    y = reference.avgpool2d_forward(x.astype(np.float64), *case.mean)
    dy = cases.random(rng, y.shape, dtype, whole)
    return (x, dy), (y, reference.avgpool2d_backward(dy.astype(np.float64), case.x, *case.mean))


@cache
def linear(case: cases.Linear, dtype: type, whole: bool) -> tuple[Any, ...]:
    """(x, w, b, dy), and the reference's (y, dx, dw, db)."""
    rng = generator(case, whole)
    shapes = (case.n, case.f), (case.o, case.f), (case.o,), (case.n, case.o)
    x, w, b, dy = (cases.random(rng, shape, dtype, whole) for shape in shapes)
    b = b if case.bias else None
    return (x, w, b, dy), (reference.linear_forward(*wide(x, w, b)), *reference.linear_backward(*wide(dy, x, w)))
