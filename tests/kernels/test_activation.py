"""Activations: formulas, central differences, special numbers; every backend against the reference."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
rows = pytest.mark.parametrize("row", cases.ACTIVATIONS, ids=cases.label)
BENT = [row for row in cases.ACTIVATIONS if row.operation in ("leaky_relu", "elu", "gelu")]


class TestReference:
    def test_the_published_relu_numbers(self):
        """CS231n assignment 2, "ReLU activation: forward"."""
        y = reference.relu_forward(np.linspace(-0.5, 0.5, 12).reshape(3, 4))
        published = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]]
        np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)

    @pytest.mark.parametrize("dtype", cases.FLOATS)
    def test_activation_values(self, dtype):
        x = np.array([[-np.inf, -1000, -1, 0, 1, 1000, np.inf, np.nan]], dtype)
        with np.errstate(all="raise", under="ignore"):
            relu, sigmoid, tanh = reference.relu_forward(x), reference.sigmoid_forward(x), reference.tanh_forward(x)
        compare.check(relu, np.array([[0, 0, 0, 0, 1, 1000, np.inf, np.nan]], dtype), exact=True)
        logistic = 0.2689414213699951
        compare.check(sigmoid, np.array([[0, 0, logistic, 0.5, 1 - logistic, 1, 1, np.nan]]), dtype, 1e-7)
        compare.check(tanh, np.array([[-1, -1, -np.tanh(1), 0, np.tanh(1), 1, 1, np.nan]]), dtype, 1e-7)

    def test_values_of_the_reference(self):
        x = np.array([[-2.0, -0.5, 0, 0.5, 3]])
        compare.check(reference.leaky_relu_forward(x, 0.1), np.array([[-0.2, -0.05, 0, 0.5, 3]]))
        compare.check(reference.elu_forward(x, 2.0), np.array([[2 * math.expm1(-2), 2 * math.expm1(-0.5), 0, 0.5, 3]]))
        phi = [(1 + math.erf(value / math.sqrt(2))) / 2 for value in x[0]]
        compare.check(reference.gelu_forward(x), x * phi)
        logarithms = [[0.126928011042973, 0.474076984180107, math.log(2), 0.974076984180107, 3.048587351573742]]
        np.testing.assert_allclose(reference.softplus_forward(x), logarithms, rtol=1e-14)
        # The normal distribution's table: Phi(1) = 0.841344746068543, Phi(-3) = 0.001349898031630
        y = reference.gelu_forward(np.array([[1.0, -3.0]]))
        np.testing.assert_allclose(y, [[0.841344746068543, -3 * 0.001349898031630095]], rtol=1e-14)


@rows
def test_formulas(row):
    x = np.array([[-20.0, -3, -1, -0.5, -1e-3, 0, 1e-3, 0.5, 1, 3, 20]])
    expected = np.array([[row.formula(value, *row.settings) for value in x[0].tolist()]])
    compare.check(row.forward(reference, x), expected)


@dtypes
@shapes
def test_values(backend, shape, dtype, rng):
    for row in cases.ACTIVATIONS:
        with compare.during(row.name):
            x, dy = 3 * cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            exact = row.operation == "relu"
            y = backend.leave(row.forward(backend, backend.enter(x)))
            compare.check(y, row.forward(reference, x.astype(np.float64)), dtype, exact=exact)
            dx = backend.leave(row.backward(backend, *map(backend.enter, (dy, x, y))))
            compare.check(dx, row.backward(reference, *judged.wide(dy, x, y)), dtype, exact=exact)


@dtypes
@rows
def test_special_numbers(backend, row, dtype):
    tiny = np.finfo(dtype).tiny
    x = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4, 88, -88, tiny, -tiny, 1e-6, -1e-6]], dtype)
    with np.errstate(all="raise", under="ignore"):
        y = backend.leave(row.forward(backend, backend.enter(x)))
    compare.check(y, row.forward(reference, x.astype(np.float64)), dtype)


@dtypes
def test_sigmoid_and_tanh_keep_their_relative_precision_near_zero(backend, dtype, rng):
    x = (10.0 ** rng.uniform(-6, 1, (4, 100)) * rng.choice([-1, 1], (4, 100))).astype(dtype)
    for name in "sigmoid", "tanh":
        y = backend.leave(getattr(backend, name + "_forward")(backend.enter(x)))
        expected = getattr(reference, name + "_forward")(x.astype(np.float64))
        compare.check((y / expected).astype(dtype), np.ones_like(x), tolerance=8 * np.finfo(dtype).eps)


@dtypes
def test_relu_backward_is_zero_at_zero_and_at_nan(backend, dtype):
    y = np.array([[0.0, -0.0, np.nan, 1.0, -1.0, np.inf]], dtype)
    dx = backend.leave(backend.relu_backward(backend.enter(np.full_like(y, 7)), backend.enter(y)))
    compare.check(dx, np.array([[0, 0, 0, 7, 0, 7]], dtype), exact=True)


@dtypes
@pytest.mark.parametrize("row", BENT, ids=cases.label)
def test_limits_of_what_bends_at_zero(any_backend, row, dtype):
    tiny = np.finfo(dtype).tiny
    x = [-np.inf, -1e30, -1e4, -100, -1e-6, -tiny, -0.0, 0.0, tiny, 1e-6, 88, 1e4, 1e30, np.inf, np.nan]
    x = np.array([x], dtype)
    slope = row.settings[0] if row.operation == "leaky_relu" else None
    with np.errstate(all="raise", under="ignore"):
        y = any_backend.leave(row.forward(any_backend, any_backend.enter(x)))
        dx = any_backend.leave(row.backward(any_backend, *map(any_backend.enter, (np.ones_like(x), x, y))))
    if slope is None:
        least = 0 if row.operation == "gelu" else -row.settings[0]
        np.testing.assert_allclose(y[0, :4], least, atol=1e-35)
        np.testing.assert_allclose(dx[0, :4], 0, atol=1e-7)
    else:
        compare.check(y[0, :4], slope * x[0, :4].astype(np.float64), dtype)
        compare.check(dx[0, :4], np.full(4, slope), dtype)
    compare.check(y[0, 6:8], np.zeros(2, dtype), exact=True)
    compare.check(y[0, 10:], x[0, 10:], exact=True)
    np.testing.assert_allclose(dx[0, 10:14], 1, rtol=1e-6)
    assert np.isnan(dx[0, 14]) == (slope is None)


@dtypes
def test_a_leaky_relu_is_exact_where_numbers_are(backend, dtype, rng):
    x, dy = (cases.random(rng, (17, 3, 2, 5), dtype, whole=True) for _ in range(2))
    y = backend.leave(backend.leaky_relu_forward(backend.enter(x), 0.25))
    compare.check(y, np.where(x > 0, x, x / 4), dtype, exact=True)
    dx = backend.leave(backend.leaky_relu_backward(backend.enter(dy), backend.enter(y), 0.25))
    compare.check(dx, np.where(x > 0, dy, dy / 4), dtype, exact=True)


@dtypes
def test_elu_keeps_its_relative_precision_near_zero(backend, dtype, rng):
    x = -(10.0 ** rng.uniform(-6, 1, (4, 100))).astype(dtype)
    ratio = backend.leave(backend.elu_forward(backend.enter(x), 1.0)) / np.expm1(x.astype(np.float64))
    compare.check(ratio.astype(dtype), np.ones_like(x), tolerance=8 * np.finfo(dtype).eps)


@dtypes
def test_softplus_is_exact_to_a_few_roundings(any_backend, dtype, rng):
    """Far below 0, where it is exp(x) and so is its slope, and near 0 and above, against wider numbers."""
    x = np.concatenate([np.linspace(-86 if dtype == np.float32 else -700, 30, 1000), 3 * rng.standard_normal(1000)])
    x = x.astype(dtype).reshape(4, 500)
    e = np.exp(-np.abs(x.astype(np.longdouble)))
    y = any_backend.leave(any_backend.softplus_forward(any_backend.enter(x)))
    dx = any_backend.leave(any_backend.softplus_backward(*map(any_backend.enter, (np.ones_like(x), y))))
    for got, expected in (y, np.maximum(x, 0) + np.log1p(e)), (dx, np.where(x < 0, e, 1) / (1 + e)):
        compare.check((got / expected).astype(dtype), np.ones_like(x), tolerance=4 * np.finfo(dtype).eps)


@dtypes
def test_softplus_goes_down_to_zero_by_way_of_the_smallest_numbers(any_backend, dtype):
    limits = np.finfo(dtype)
    x = np.log(np.longdouble(limits.smallest_subnormal) * 2.0 ** np.arange(1, limits.nmant, 3))
    x = np.array([[*x, -1e4, -np.inf, 1e4, limits.max, np.inf, np.nan]], dtype)
    with np.errstate(all="raise", under="ignore"):
        y = any_backend.leave(any_backend.softplus_forward(any_backend.enter(x)))
        dx = any_backend.leave(any_backend.softplus_backward(*map(any_backend.enter, (np.ones_like(x), y))))
    small = x[:, :-6].astype(np.longdouble)
    for got in y, dx:
        error = abs(got[:, :-6] - np.exp(small))
        assert np.all(error <= limits.smallest_subnormal + 4 * limits.eps * np.exp(small))
    compare.check(y[:, -6:], np.array([[0, 0, 1e4, limits.max, np.inf, np.nan]], dtype), exact=True)
    compare.check(dx[:, -6:], np.array([[0, 0, 1, 1, 1, np.nan]], dtype), exact=True)


@dtypes
def test_gelu_keeps_its_relative_precision_in_the_tail(backend, dtype):
    """The left tail is x * erfc / 2; taken as 1 + erf it would be zero from -6 (float32) or -9 on."""
    x = np.linspace(-12 if dtype == np.float32 else -36, 12, 2001).astype(dtype).reshape(3, 667)
    x[x == 0] = 1
    y = backend.leave(backend.gelu_forward(backend.enter(x)))
    expected = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel().tolist()]).reshape(x.shape)
    # A rounding of x^2 / 2 in the exponent counts x^2 / 2 times.
    error = np.abs(y / expected - 1) / (1 + x.astype(np.float64) ** 2 / 2)
    assert error.max() < 3 * np.finfo(dtype).eps


@dtypes
def test_gelu_is_monotonic_where_the_function_is(backend, dtype):
    """No step where the tail meets its mirror image, at 0, nor where the exponential is cut off."""
    x = np.linspace(-0.5, 20, 4001).astype(dtype).reshape(1, -1)
    y = backend.leave(backend.gelu_forward(backend.enter(x)))
    assert (np.diff(y[0]) > 0).all()


@dtypes
class TestIm2col:
    @pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
    def test_activations(self, activation, dtype, rng):
        x, dy = (3 * rng.standard_normal((2, 3, 4, 5)).astype(dtype) for _ in range(2))
        forward, backward = getattr(im2col, f"{activation}_forward"), getattr(im2col, f"{activation}_backward")
        y = forward(x)
        compare.close(y, getattr(reference, f"{activation}_forward")(x), dtype)
        compare.close(backward(dy, y), getattr(reference, f"{activation}_backward")(dy, y), dtype)

    def test_activations_at_the_ends(self, dtype):
        x = np.array([-np.inf, -1e4, -0.0, 0.0, 1e4, np.inf, np.nan], dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(im2col.sigmoid_forward(x), [0, 0, 0.5, 0.5, 1, 1, np.nan])
            np.testing.assert_array_equal(im2col.relu_forward(x), [0, 0, 0, 0, 1e4, np.inf, np.nan])
            np.testing.assert_array_equal(
                im2col.relu_backward(np.full(7, np.inf, dtype), x), [0, 0, 0, 0, *[np.inf] * 2, 0]
            )
        assert im2col.sigmoid_forward(np.array([-80], dtype))[0] == pytest.approx(np.exp(-80.0), rel=1e-5)
