"""Arithmetic with broadcasting: whole numbers exactly, every backend against the reference and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare

from minidl.kernels import reference
from minidl.kernels.functions import OPERATORS

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
operators = pytest.mark.parametrize("operator", OPERATORS)

PAIRS = (
    *(((n, 3, 2, 5), (n, 3, 1, 1)) for n in cases.BATCHES),
    ((17, 3, 4, 5), (17, 3, 4, 5)),
    ((5, 1, 4, 5), (5, 3, 4, 5)),
    ((5, 3, 1, 5), (5, 3, 4, 1)),
    ((3, 1, 4, 1), (3, 3, 1, 5)),
    ((3, 3, 4, 1), (3, 1, 1, 5)),
    ((9, 1, 1, 1), (9, 3, 4, 5)),
    ((9, 1, 1, 1), (9, 1, 1, 1)),
    ((9, 7), (9, 7)),
    ((9, 7), (9, 1)),
    ((3, 4, 5), (3, 1, 5)),
    ((2, 3, 0, 5), (2, 3, 1, 1)),
)
CONSTANTS = (
    *(((n, 3, 2, 5), (1, 3, 1, 1)) for n in cases.BATCHES),
    ((17, 3, 4, 5), (1, 1, 1, 1)),
    ((17, 3, 4, 5), (1, 3, 4, 5)),
    ((17, 3, 4, 5), (1, 1, 4, 5)),
    ((5, 3, 4, 5), (1, 1, 1, 5)),
    ((5, 3, 1, 1), (1, 1, 4, 5)),
    ((9, 7), (1, 7)),
    ((9, 7), (1, 1)),
    ((3, 4, 5), (1, 4, 1)),
)


def numbers(rng, shape, dtype, whole=True):
    """Whole ones, but no 0, for what they are divided by."""
    return rng.choice([-4, -2, -1, 1, 2, 4], shape).astype(dtype) if whole else cases.random(rng, shape, dtype)


def left(backend, value):
    return value if isinstance(value, np.ndarray) else backend.leave(value)


def compared(backend, a, b, dy, operator, exact, fixed=(False, False)):
    operands = [value if plain else backend.enter(value) for value, plain in zip((a, b), fixed, strict=True)]
    y = backend.leave(backend.arithmetic_forward(*operands, operator))
    wide = a.astype(np.float64), b.astype(np.float64)
    compare.check(y, reference.arithmetic_forward(*wide, operator), a.dtype, exact=exact)
    got = backend.arithmetic_backward(backend.enter(dy), *operands, operator)
    expected = reference.arithmetic_backward(dy.astype(np.float64), *wide, operator)
    for name, gradient, wanted in zip(("da", "db"), got, expected, strict=True):
        with compare.during(name):
            compare.check(left(backend, gradient), wanted, a.dtype, exact=exact)


@dtypes
@operators
def test_arrays(backend, operator, dtype, rng):
    for shapes in PAIRS:
        for a_shape, b_shape in (shapes, shapes[::-1]):
            for whole in (True, False):
                a, b = (numbers(rng, shape, dtype, whole) for shape in (a_shape, b_shape))
                b = b + 3 * np.sign(b) if not whole else b
                dy = numbers(rng, np.broadcast_shapes(a_shape, b_shape), dtype, whole)
                with compare.during(a_shape, b_shape, whole):
                    compared(backend, a, b, dy, operator, whole)


@dtypes
@operators
def test_constants(backend, operator, dtype, rng):
    for x_shape, shape in CONSTANTS:
        for side in (0, 1):
            a_shape, b_shape = (x_shape, shape) if side else (shape, x_shape)
            a, b = numbers(rng, a_shape, dtype), numbers(rng, b_shape, dtype)
            dy = numbers(rng, np.broadcast_shapes(a_shape, b_shape), dtype)
            with compare.during(a_shape, b_shape):
                compared(backend, a, b, dy, operator, True, (side == 0, side == 1))


@dtypes
def test_the_reference_is_numpy_and_its_gradient_a_sum(dtype):
    a, b = np.arange(1, 13, dtype=dtype).reshape(2, 3, 2), np.array([[[2.0], [4], [8]]], dtype)
    compare.check(reference.arithmetic_forward(a, b, "/")[1, :, 0], np.array([3.5, 2.25, 1.375], dtype), exact=True)
    da, db = reference.arithmetic_backward(np.ones_like(a), a, b, "*")
    compare.check(da[0, :, 1], np.array([2, 4, 8], dtype), exact=True)
    compare.check(db[0, :, 0], np.array([1 + 2 + 7 + 8, 3 + 4 + 9 + 10, 5 + 6 + 11 + 12], dtype), exact=True)
    y = reference.arithmetic_forward(np.array([[-2.0, 0, 3, np.nan]], dtype), np.array([[0.5]], dtype), "prelu")
    compare.check(y, np.array([[-1, 0, 3, np.nan]], dtype), exact=True)


@dtypes
def test_what_is_not_needed_is_not_computed(any_backend, dtype):
    x, w = any_backend.enter(np.ones((3, 2), dtype)), np.ones((1, 2), dtype)
    da, db = any_backend.arithmetic_backward(x, x, w, "*", (False, True))
    assert da is None
    compare.check(db, np.full((1, 2), 3, dtype), exact=True)
    da, db = any_backend.arithmetic_backward(x, x, w, "*", (True, False))
    assert db is None


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    for operator in OPERATORS:
        for shapes in (pair for pair in (*PAIRS, *CONSTANTS) if pair[0][0]):
            for a_shape, b_shape in (shapes, shapes[::-1]):
                a, b = numbers(rng, (min(a_shape[0], 2), *a_shape[1:]), dtype), numbers(rng, b_shape, dtype)
                b = b[: len(a)]
                fixed = shapes in CONSTANTS

                def enter(v):
                    return native.enter(v, infer=True)

                operands = enter(a), (b[:1] if fixed else enter(b))
                with compare.during(operator, a_shape, b_shape):
                    y = native.leave(native.arithmetic_forward(*operands, operator))
                    wanted = reference.arithmetic_forward(a, b[:1] if fixed else b, operator)
                    compare.check(y, wanted, exact=True)


def test_arrays_of_two_layouts_go_together(native):
    a, b = np.arange(6, dtype=np.float32).reshape(1, 6), np.full((1, 6), 2, np.float32)
    mixed = native.arithmetic_forward(native.enter(a, infer=True), native.enter(b), "*")
    compare.check(native.leave(mixed), 2 * a, exact=True)


def test_long_sums_keep_their_digits(backend, rng):
    x, value = rng.random((9, 3, 70, 80), np.float32), np.ones((1, 3, 1, 1), np.float32)
    dy = np.ones_like(x)
    _, dvalue = backend.arithmetic_backward(backend.enter(dy), backend.enter(x), value, "*")
    np.testing.assert_allclose(dvalue.ravel(), x.sum((0, 2, 3), dtype=np.float64), rtol=2e-7)
    image = backend.enter(np.ones((9, 3, 1, 1), np.float32))
    _, gate = backend.arithmetic_backward(backend.enter(dy), backend.enter(x), image, "*")
    np.testing.assert_allclose(backend.leave(gate)[..., 0, 0], x.sum((2, 3), dtype=np.float64), rtol=2e-7)


def test_what_does_not_go_together_is_refused(native):
    x = native.enter(np.ones((3, 2, 4, 5), np.float32))
    for shape in ((3, 3, 4, 5), (3, 2, 4), (2, 2, 4, 5)):
        with pytest.raises(ValueError, match="must have"):
            native.arithmetic_forward(x, native.enter(np.ones(shape, np.float32)), "+")
    with pytest.raises(ValueError, match="b must be of 1 image"):
        native.arithmetic_forward(x, np.ones((3, 2, 4, 5), np.float32), "+")
    with pytest.raises(TypeError, match="b must be an array of float32, got float64"):
        native.arithmetic_forward(x, np.ones((1, 2, 1, 1)), "+")
    with pytest.raises(TypeError, match="a or b must be a LaneArray"):
        native.arithmetic_forward(np.ones((1, 2)), np.ones((1, 2)), "+")
    with pytest.raises(ValueError, match="operator must be one of"):
        native.arithmetic_forward(x, x, "%")
    with pytest.raises(ValueError, match="dy must have shape"):
        native.arithmetic_backward(native.enter(np.ones((3, 2, 4, 1), np.float32)), x, x, "+")
