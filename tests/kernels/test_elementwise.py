"""Elementwise functions: published formulas, special numbers, edges; every backend against the reference."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from kernels import cases, compare

from minidl.kernels import functions, im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
rows = pytest.mark.parametrize("row", cases.ELEMENTWISE, ids=str)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def erf(x):
    """Its series, which is not the library's way, in fractions, for it cancels."""
    x = Fraction(x)
    terms = (Fraction((-1) ** k, math.factorial(k) * (2 * k + 1)) * x ** (2 * k + 1) for k in range(60))
    return 2 / math.sqrt(math.pi) * float(sum(terms))


FORMULAS = {
    "clip": lambda x, a, b: sorted((a, x, b))[1],
    "hard_tanh": lambda x, a, b: sorted((a, x, b))[1],
    "hard_sigmoid": lambda x, a, b: max(0, min(1, a * x + b)),
    "hard_swish": lambda x, a, b: x * max(0, min(6, x + 3)) / 6,
    "silu": lambda x, a, b: x * sigmoid(x),
    "selu": lambda x, a, b: b * (max(0, x) + min(0, a * (math.exp(x) - 1))),
    "mish": lambda x, a, b: x * math.tanh(math.log1p(math.exp(x))),
    "gelu_tanh": lambda x, a, b: x / 2 * (1 + math.tanh(0.7978845608028654 * (x + 0.044715 * x**3))),
    "softsign": lambda x, a, b: x / (1 + abs(x)),
    "exp": lambda x, a, b: math.exp(x),
    "log": lambda x, a, b: math.log(x) if x > 0 else math.nan,
    "sqrt": lambda x, a, b: math.sqrt(x) if x > 0 else math.nan,
    "pow": lambda x, a, b: x**a if x > 0 or a == int(a) else math.nan,
    "erf": lambda x, a, b: erf(x),
    "abs": lambda x, a, b: max(x, -x),
    "neg": lambda x, a, b: 0 - x,
    "reciprocal": lambda x, a, b: x**-1,
}


def test_every_kind_is_everywhere():
    kinds = {kind for kind, _, _ in cases.ELEMENTWISE}
    assert kinds == functions.KINDS.keys() == FORMULAS.keys()
    for table in (reference.elementwise, im2col.elementwise):
        assert table.FORWARD.keys() == table.SLOPE.keys() == kinds


@rows
def test_formulas(any_backend, row):
    x = np.array([[-3.5, -3, -2.5, -1, -0.75, -0.5, -0.1, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 3.5]])
    expected = np.array([[FORMULAS[row[0]](value, *row[1:]) for value in x[0].tolist()]])
    compare.check(any_backend.leave(any_backend.elementwise_forward(any_backend.enter(x), *row)), expected)


def test_published_values(any_backend):
    """Abramowitz, Stegun, table 7.1: erf(0.5) and erf(1); erf(2). Selu's fixed point: its two constants."""
    values = {
        ("erf", 0.0, 0.0): ([0.5, 1, 2], [0.5204998778, 0.8427007929, 0.9953222650]),
        ("selu", *functions.KINDS["selu"].defaults): ([1, -30], [1.0507009873554805, -1.7580993408473766]),
    }
    for row, (x, y) in values.items():
        got = any_backend.leave(any_backend.elementwise_forward(any_backend.enter(np.array([x], float)), *row))
        np.testing.assert_allclose(got[0], y, rtol=1e-7)


@dtypes
@rows
def test_values(backend, row, dtype, rng):
    for shape in cases.SHAPES:
        x, dy = 3 * cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
        with compare.during(shape):
            y = backend.leave(backend.elementwise_forward(backend.enter(x), *row))
            compare.check(y, reference.elementwise_forward(x.astype(np.float64), *rounded(row, dtype)), dtype)
            dx = backend.leave(backend.elementwise_backward(backend.enter(dy), backend.enter(x), *row))
            wide = dy.astype(np.float64), x.astype(np.float64)
            compare.check(dx, reference.elementwise_backward(*wide, *rounded(row, dtype)), dtype)


def rounded(row, dtype):
    return row[0], float(dtype(row[1])), float(dtype(row[2]))


@dtypes
@rows
def test_special_numbers(backend, row, dtype):
    limits = np.finfo(dtype)
    wide = np.array([1, 3, 6, 12, 25, 60, 87, 88.5, 89, 104, 700, 709.5, 1e4, 1e20, 1e30], np.float64)
    small = np.array([limits.tiny, limits.smallest_subnormal, limits.eps, 1e-6, 1e-3, 0.3, 0.5])
    x = np.concatenate([wide, small, -wide, -small, [0.0, -0.0, np.inf, -np.inf, np.nan]]).astype(dtype)[None]
    dy = np.full_like(x, 2)
    with np.errstate(all="raise", under="ignore"):
        y = backend.leave(backend.elementwise_forward(backend.enter(x), *row))
        dx = backend.leave(backend.elementwise_backward(backend.enter(dy), backend.enter(x), *row))
    for got, expected in (
        (y, reference.elementwise_forward(x, *row)),
        (dx, reference.elementwise_backward(dy, x, *row)),
    ):
        assert got.dtype == dtype
        for value, number, wanted in zip(x[0], got[0], expected[0], strict=True):
            error = 40 * limits.eps * max(1, abs(wanted)) if np.isfinite(wanted) else 0
            same = number == wanted or (np.isnan(number) and np.isnan(wanted)) or abs(number - wanted) <= error
            assert same, (row, value, number, wanted)


@dtypes
def test_slopes_at_the_edges_are_pytorchs(any_backend, dtype):
    x = np.array([[-3.0, 0, 3, 6, np.nan]], dtype)
    for row, slopes in {
        ("clip", 0.0, 6.0): [0, 1, 1, 1, 0],
        ("hard_tanh", 0.0, 6.0): [0, 0, 1, 0, 0],
        ("hard_sigmoid", 1 / 6, 0.5): [0, 1 / 6, 0, 0, 0],
        ("hard_swish", 0.0, 0.0): [0, 0.5, 1, 1, 0],
    }.items():
        dx = any_backend.leave(
            any_backend.elementwise_backward(any_backend.enter(np.ones_like(x)), any_backend.enter(x), *row)
        )
        compare.check(dx, np.array([slopes], dtype))


@dtypes
def test_relative_precision(backend, dtype, rng):
    """Where a function is small, near 1 (log) or 0 (erf), and over the whole range of the exponential."""
    low, high = (-87, 88) if dtype == np.float32 else (-700, 709)
    near = (10.0 ** rng.uniform(-6, -1, (2, 100)) * rng.choice([-1, 1], (2, 100))).astype(dtype)
    for kind, x, expected in (
        ("exp", np.linspace(low, high, 400, dtype=dtype).reshape(4, 100), np.exp),
        ("log", 1 + near, np.log),
        ("log", np.exp(np.linspace(low, high, 200)).astype(dtype).reshape(2, 100), np.log),
        ("erf", near, np.vectorize(math.erf)),
        ("sqrt", np.abs(near), np.sqrt),
    ):
        x = np.ascontiguousarray(x[:, (x != 1).all(0)])
        y = backend.leave(backend.elementwise_forward(backend.enter(x), kind, 0.0, 0.0))
        ratio = y / expected(x.astype(np.longdouble if kind != "erf" else np.float64)).astype(np.longdouble)
        compare.check(ratio.astype(dtype), np.ones_like(x), tolerance=8 * np.finfo(dtype).eps)


@dtypes
def test_whole_powers_of_whole_numbers_are_exact(backend, dtype):
    x = np.array([[-3.0, -2, -1, 0, 1, 2, 3, 4]], dtype)
    for exponent in range(9):
        y = backend.leave(backend.elementwise_forward(backend.enter(x), "pow", float(exponent), 0.0))
        compare.check(y, x**exponent, exact=True)
        dx = backend.leave(
            backend.elementwise_backward(backend.enter(x), backend.enter(x), "pow", float(exponent), 0.0)
        )
        compare.check(dx, exponent * x**exponent if exponent else 0 * x, exact=True)


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    for shape in ((1, 3, 2, 5), (2, 7), (3, 33, 3, 1), (1, 1)):
        x = 3 * cases.random(rng, shape, dtype)
        for row in cases.ELEMENTWISE:
            with compare.during(row, shape):
                y = native.leave(native.elementwise_forward(native.enter(x, infer=True), *row))
                compare.check(y, native.leave(native.elementwise_forward(native.enter(x), *row)), tolerance=1e-6)


def test_no_gradient_in_empty_lanes(native):
    """1 / 0 times 0 is no number, and would reach the sums of a convolution before."""
    w, b = np.ones((2, 1, 1, 1), np.float32), np.ones(2, np.float32)
    x = native.enter(np.ones((3, 1, 2, 2), np.float32))
    y = native.conv2d_forward(x, w, b * 0, (1, 1), (0, 0), (1, 1), 1)
    for row in cases.ELEMENTWISE:
        dy = native.elementwise_backward(native.enter(np.ones((3, 2, 2, 2), np.float32)), y, *row)
        _, dw, db = native.conv2d_backward(dy, x, w, (1, 1), (0, 0), (1, 1), 1)
        slope = reference.elementwise_backward(np.ones((1, 1)), np.ones((1, 1)), *row)[0, 0]
        compare.check(dw.ravel(), np.full(2, 12 * slope, np.float32))
        compare.check(db, np.full(2, 12 * slope, np.float32))


def test_an_unknown_kind_is_refused(native):
    x = native.enter(np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match="kind must be one of clip, hard_tanh"):
        native.elementwise_forward(x, "sine", 0.0, 0.0)
    with pytest.raises(ValueError, match="x must have shape"):
        native.elementwise_backward(x, native.enter(np.ones((3, 1), np.float32)), "exp", 0.0, 0.0)
