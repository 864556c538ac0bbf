"""Sums, means and maxima over axes, and softmax: every backend against the reference and numpy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from kernels import cases, compare

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
kinds = pytest.mark.parametrize("kind", ["sum", "mean", "max"])

SHAPES = (*((n, 3, 2, 5) for n in cases.BATCHES), (17, 7), (5, 4, 3), (3, 1, 4, 1), (2, 33, 1, 3))


def some(ndim):
    return [axes for count in range(1, ndim) for axes in combinations(range(1, ndim), count)]


@dtypes
@kinds
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
def test_values(any_backend, kind, whole, dtype, rng):
    exact = (whole and kind != "mean") or kind == "max"
    for shape in SHAPES:
        for axes in some(len(shape)):
            x = cases.random(rng, shape, dtype, whole)
            wide, entered = x.astype(np.float64), any_backend.enter(x)
            y = any_backend.reduce_forward(entered, kind, axes)
            with compare.during(shape, axes):
                compare.check(
                    any_backend.leave(y), getattr(np, kind)(wide, axis=axes, keepdims=True), dtype, exact=exact
                )
                dy = cases.random(rng, y.shape, dtype, whole)
                args = (shape, entered, y) if kind == "max" else (shape,)
                dx = any_backend.leave(any_backend.reduce_backward(any_backend.enter(dy), kind, axes, *args))
                wanted = reference.reduce_backward(dy.astype(np.float64), kind, axes, shape, wide)
                compare.check(dx, wanted, dtype, exact=exact)


@dtypes
def test_the_first_of_the_largest_takes_the_gradient(any_backend, dtype):
    x = np.array([[[[1, 5], [5, 5]], [[2, 5], [0, 1]]], [[[0, 0], [0, 0]], [[np.nan, 0], [np.nan, np.inf]]]], dtype)
    entered, dy = any_backend.enter(x), np.full((2, 1, 1, 1), 7, dtype)
    y = any_backend.reduce_forward(entered, "max", (1, 2, 3))
    compare.check(any_backend.leave(y).ravel(), np.array([5, np.nan], dtype))
    dx = any_backend.leave(any_backend.reduce_backward(any_backend.enter(dy), "max", (1, 2, 3), x.shape, entered, y))
    expected = np.zeros_like(x)
    expected[0, 0, 0, 1] = expected[1, 1, 0, 0] = 7
    compare.check(dx, expected, exact=True)
    y = any_backend.reduce_forward(entered, "max", (1,))
    dy = np.ones((2, 1, 2, 2), dtype)
    dx = any_backend.leave(any_backend.reduce_backward(any_backend.enter(dy), "max", (1,), x.shape, entered, y))
    compare.check(dx[0], np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]]], dtype), exact=True)


def test_a_maximum_of_the_smallest_number(any_backend):
    x = np.full((2, 3), -np.inf, np.float32)
    entered = any_backend.enter(x)
    y = any_backend.reduce_forward(entered, "max", (1,))
    compare.check(any_backend.leave(y), x[:, :1], exact=True)
    one = any_backend.enter(np.ones((2, 1), np.float32))
    dx = any_backend.leave(any_backend.reduce_backward(one, "max", (1,), (2, 3), entered, y))
    compare.check(dx, np.array([[1, 0, 0]] * 2, np.float32), exact=True)


NEIGHBOURS = [axes for axes in some(4) if axes[-1] - axes[0] < len(axes)]


@pytest.mark.chosen_numbers  # near one class alone dx is a difference whose rounding is 5e-5 of it
@dtypes
@pytest.mark.parametrize("log", [False, True], ids=["", "log"])
def test_softmax(backend, log, dtype, rng):
    for shape in SHAPES:
        for axes in NEIGHBOURS:
            if axes[-1] >= len(shape):
                continue
            x, dy = 5 * cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            with compare.during(shape, axes):
                y = backend.softmax_forward(backend.enter(x), axes, log)
                expected = reference.softmax_forward(x.astype(np.float64), axes, log)
                compare.check(backend.leave(y), expected, dtype)
                dx = backend.leave(backend.softmax_backward(backend.enter(dy), y, axes, log))
                compare.check(dx, reference.softmax_backward(dy.astype(np.float64), expected, axes, log), dtype)


def test_softmax_of_the_reference():
    """Two classes: the logistic function of the difference."""
    x = np.array([[0.5, 2.0], [3.0, -1.0]])
    first = 1 / (1 + np.exp(x[:, 1] - x[:, 0]))
    expected = np.stack([first, 1 - first], 1)
    compare.check(reference.softmax_forward(x, (1,)), expected)
    compare.check(reference.softmax_forward(x, (1,), True), np.log(expected))


@dtypes
def test_softmax_of_large_and_of_bad_numbers(any_backend, dtype):
    top = np.finfo(dtype).max
    x = np.array([[1e4, 0, 1e4], [top, -top, 0], [-np.inf, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0]], dtype)
    nan = [np.nan] * 3
    for log, expected in (
        (False, [[0.5, 0, 0.5], [1, 0, 0], [0, 0.5, 0.5], nan, nan]),
        (True, None),
    ):
        with np.errstate(all="ignore"):
            y = any_backend.leave(any_backend.softmax_forward(any_backend.enter(x), (1,), log))
        if expected is not None:
            compare.check(y, np.array(expected, dtype))
        else:
            compare.check(y[0], np.array([-np.log(2), -1e4 - np.log(2), -np.log(2)]), dtype)
            compare.check(y[2], np.array([-np.inf, -np.log(2), -np.log(2)]), dtype)
            assert np.isnan(y[3:]).all()


def test_long_rows_keep_their_digits(backend, rng):
    x = rng.random((3, 1, 150, 200), np.float32)
    wide = x.astype(np.float64)
    y = backend.leave(backend.softmax_forward(backend.enter(x), (2, 3)))
    compare.check(y, reference.softmax_forward(wide, (2, 3)), np.float32, 1e-6)
    for kind in ("sum", "mean"):
        got = backend.leave(backend.reduce_forward(backend.enter(x), kind, (2, 3)))
        np.testing.assert_allclose(got, getattr(wide, kind)((2, 3), keepdims=True), rtol=2e-7)


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    for shape in ((1, 3, 2, 5), (2, 7), (1, 2, 4)):
        x = cases.random(rng, shape, dtype)
        entered = native.enter(x, infer=True)
        for axes in some(len(shape)):
            for kind in ("sum", "mean", "max"):
                y, wide = native.leave(native.reduce_forward(entered, kind, axes)), x.astype(np.float64)
                # Of numbers that nearly cancel, the sum is rounded as they are: one image has few sums, or one.
                terms = np.abs(reference.reduce_forward(np.abs(wide), kind, axes)).max()
                compare.check(y, reference.reduce_forward(wide, kind, axes), dtype, at_least=terms, exact=kind == "max")
        y = native.leave(native.softmax_forward(entered, (1,)))
        compare.check(y, reference.softmax_forward(x.astype(np.float64), (1,)), dtype)


def test_wrong_axes_and_kinds_are_refused(native):
    x = native.enter(np.ones((3, 2, 4, 5), np.float32))
    for axes in ((), (0,), (4,), (-1,)):
        with pytest.raises(ValueError, match="axes must be some of"):
            native.reduce_forward(x, "sum", axes)
        with pytest.raises(ValueError, match="axes must be some of"):
            native.softmax_forward(x, axes)
    for axes in ((1, 3), (2, 1)):
        with pytest.raises(ValueError, match="axes must be neighbours"):
            native.softmax_forward(x, axes)
    with pytest.raises(ValueError, match="kind must be sum, mean or max"):
        native.reduce_forward(x, "min", (1,))
    with pytest.raises(ValueError, match="dy must have shape"):
        native.reduce_backward(x, "sum", (1,), (3, 2, 4, 5))
    with pytest.raises(TypeError, match="x must be a LaneArray, got None"):
        native.reduce_backward(native.enter(np.ones((3, 1, 4, 5), np.float32)), "max", (1,), (3, 2, 4, 5))
