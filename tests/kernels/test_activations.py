"""Activations with a parameter, and gelu: their formulas, central differences, every backend against the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)

ACTIVATIONS = {"leaky_relu": (0.01,), "leaky_relu 1": (1.0,), "elu": (1.0,), "elu 0.3": (0.3,), "gelu": ()}


def forward(backend, name, x):
    return getattr(backend, name.split()[0] + "_forward")(x, *ACTIVATIONS[name])


def backward(backend, name, dy, x, y):
    return getattr(backend, name.split()[0] + "_backward")(dy, x if name == "gelu" else y, *ACTIVATIONS[name])


def test_values_of_the_reference():
    x = np.array([[-2.0, -0.5, 0, 0.5, 3]])
    compare.check(reference.leaky_relu_forward(x, 0.1), np.array([[-0.2, -0.05, 0, 0.5, 3]]))
    compare.check(reference.elu_forward(x, 2.0), np.array([[2 * math.expm1(-2), 2 * math.expm1(-0.5), 0, 0.5, 3]]))
    phi = [(1 + math.erf(value / math.sqrt(2))) / 2 for value in x[0]]
    compare.check(reference.gelu_forward(x), x * phi)
    # The normal distribution's table: Phi(1) = 0.841344746068543, Phi(-3) = 0.001349898031630
    y = reference.gelu_forward(np.array([[1.0, -3.0]]))
    np.testing.assert_allclose(y, [[0.841344746068543, -3 * 0.001349898031630095]], rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_the_reference(name, rng):
    x, dy = 2 * rng.standard_normal((3, 4, 2, 2)), rng.standard_normal((3, 4, 2, 2))
    x += np.sign(x) * 0.01  # away from the kinks
    got = backward(reference, name, dy, x, forward(reference, name, x))
    expected = numeric.gradient(lambda x: forward(reference, name, x), x, dy)
    compare.check(got, expected, tolerance=numeric.TOLERANCE)


@dtypes
@shapes
def test_backends(backend, shape, dtype, rng):
    for name in ACTIVATIONS:
        with compare.during(name):
            x, dy = 3 * cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            y = backend.leave(forward(backend, name, backend.enter(x)))
            compare.check(y, forward(reference, name, x.astype(np.float64)), dtype)
            dx = backend.leave(backward(backend, name, *map(backend.enter, (dy, x, y))))
            compare.check(dx, backward(reference, name, *judged.wide(dy, x, y)), dtype)


@dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_special_numbers(any_backend, name, dtype):
    tiny = np.finfo(dtype).tiny
    x = [-np.inf, -1e30, -1e4, -100, -1e-6, -tiny, -0.0, 0.0, tiny, 1e-6, 88, 1e4, 1e30, np.inf, np.nan]
    x = np.array([x], dtype)
    slope = {"leaky_relu": 0.01, "leaky_relu 1": 1.0}.get(name)
    with np.errstate(all="raise", under="ignore"):
        y = any_backend.leave(forward(any_backend, name, any_backend.enter(x)))
        dx = any_backend.leave(backward(any_backend, name, *map(any_backend.enter, (np.ones_like(x), x, y))))
    if slope is None:
        least = 0 if name == "gelu" else -ACTIVATIONS[name][0]
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
