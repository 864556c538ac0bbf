"""Values at the ends of what a float can hold: NaN of any payload, infinities, signed zeros, denormals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from kernels import cases, compare, operations

from minidl.kernels import arrange, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

BITS = {
    np.float32: [0x7FC01234, 0xFFC00001, 0x7F800001, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 0x80000000, 0, 1, 0x80000001],
    np.float64: [
        *(0x7FF8000000001234, 0xFFF8000000000001, 0x7FF0000000000001, 2**64 - 1, 0x7FF << 52, 0xFFF << 52),
        *(1 << 63, 0, 1, (1 << 63) + 1),
    ],
}
"""NaN that is quiet, negative, signalling, all ones; both infinities, -0, 0, the least denormals."""


@pytest.fixture(autouse=True)
def _direct_sums_and_no_warnings(any_backend):
    if any_backend.name == "native":
        any_backend.use_winograd(0)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
    if any_backend.name == "native":
        any_backend.use_winograd(4)


def bits(shape, dtype, count=10):
    """The first so many of `BITS`, over and over, as floats."""
    kind = f"u{np.dtype(dtype).itemsize}"
    return np.resize(np.array(BITS[dtype][:count], kind), shape).view(dtype)


@dtypes
def test_what_only_moves_keeps_every_bit(any_backend, dtype):
    for n in (1, 3, 17):
        x = bits((n, 4, 3, 6), dtype)
        for infer in (False, True):
            entered = any_backend.enter(x, infer)
            assert any_backend.leave(entered).tobytes() == x.tobytes()
            assert any_backend.leave(any_backend.reshape(entered, (72,))).tobytes() == x.tobytes()
            moved = any_backend.boxes_forward((entered,), *arrange.transposed("", x.shape[1:], (0, 3, 1, 2)))
            assert any_backend.leave(moved).tobytes() == x.transpose(0, 3, 1, 2).tobytes()


@dtypes
def test_whole_multiples_of_the_least_denormal_are_summed_exactly(any_backend, dtype, rng):
    """No kernel, and no thread, takes denormals for zero."""
    x, w, dy = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((5, 8, 9, 8), (12, 8, 3, 3), (5, 12, 9, 8)))

    def results(unit):
        window = (1, 1), (1, 1), (1, 1), 1
        of, back = any_backend.enter(x * unit), any_backend.enter(dy * unit)
        yield any_backend.leave(any_backend.conv2d_forward(of, w, None, *window))
        dx, dw, db = any_backend.conv2d_backward(back, any_backend.enter(x), w, *window)
        yield from (any_backend.leave(dx), dw, db)
        flat = any_backend.reshape(of, (576,))
        yield any_backend.leave(any_backend.linear_forward(flat, np.resize(w, (7, 576)), None))
        yield any_backend.leave(any_backend.relu_forward(of))
        yield any_backend.leave(any_backend.global_maxpool_forward(of)[0])
        yield any_backend.leave(any_backend.reduce_forward(of, "sum", (1, 2, 3)))
        p, grad = x[0].ravel() * unit, x[1].ravel() * unit
        any_backend.sgd_update(p, grad, None, 1.0, 0.0, 0.0)
        yield p

    least = np.finfo(dtype).smallest_subnormal
    for small, large in zip(results(least), results(dtype(1)), strict=True):
        assert np.abs(large).max() > 1
        np.testing.assert_array_equal(small / least, large)


@dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stands_where_the_formula_puts_it(any_backend, dtype, bad, rng):
    """In windows that hold it, and nowhere else."""
    x = rng.standard_normal((3, 8, 9, 8)).astype(dtype)
    x[1, 3, 4, 5] = bad
    entered = any_backend.enter(x)
    for name, (shape, window) in operations.CONVS.items():
        w = rng.standard_normal(shape).astype(dtype)
        with compare.during(name):
            y = any_backend.leave(any_backend.conv2d_forward(entered, w, None, *window))
            compare.check(y, reference.conv2d_forward(x, w, None, *window))
    for name, (shape, window) in operations.TRANSPOSED.items():
        w = rng.standard_normal(shape).astype(dtype)
        with compare.during(name):
            y = any_backend.leave(any_backend.conv_transpose2d_forward(entered, w, None, *window))
            compare.check(y, reference.conv_transpose2d_forward(x, w, None, *window))
    for name, pool in operations.POOLS.items():
        if pool is None:
            continue
        operation = "maxpool2d_forward" if pool[0] == "max" else "avgpool2d_forward"
        found, wanted = getattr(any_backend, operation)(entered, *pool[1:]), getattr(reference, operation)(x, *pool[1:])
        with compare.during(name):
            if pool[0] == "max":
                compare.check(any_backend.leave(found[1]), wanted[1], exact=True)
                found, wanted = found[0], wanted[0]
            compare.check(any_backend.leave(found), wanted)
    flat, w = x.reshape(3, -1), rng.standard_normal((5, 576)).astype(dtype)
    y = any_backend.leave(any_backend.linear_forward(any_backend.enter(flat), w, None))
    compare.check(y, reference.linear_forward(flat, w, None))
    for axes in ((1,), (2, 3), (1, 2, 3)):
        for kind in ("sum", "mean", "max"):
            with compare.during(kind, axes):
                y = any_backend.leave(any_backend.reduce_forward(entered, kind, axes))
                compare.check(y, reference.reduce_forward(x, kind, axes))


@dtypes
def test_functions_of_every_special_value(any_backend, dtype):
    """At NaN, infinities, zeros of both signs, denormals, the largest: where they are, and which NaN comes out."""
    limits = np.finfo(dtype)
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1]
    values += [limits.smallest_subnormal, limits.tiny, limits.max, -limits.max]
    x = np.array(values, dtype)[:, None]
    entered = any_backend.enter(x)
    for row in cases.ELEMENTWISE:
        with compare.during(row):
            y = any_backend.leave(any_backend.elementwise_forward(entered, *row))
            same_kind(y, reference.elementwise_forward(x, *row))
    for row in cases.ACTIVATIONS:
        with compare.during(row.name):
            same_kind(any_backend.leave(row.forward(any_backend, entered)), row.forward(reference, x))


def same_kind(y, wanted):
    """NaN, infinities, and else near: each number beside its own; what ends in 0 may end in next to nothing."""
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    infinite = np.isinf(wanted)
    np.testing.assert_array_equal(y[infinite], wanted[infinite])
    finite = np.isfinite(wanted)
    rtol, atol = (2e-5, 1e-30) if y.dtype == np.float32 else (1e-12, 1e-300)
    np.testing.assert_allclose(y[finite], wanted[finite], rtol=rtol, atol=atol)


@dtypes
def test_zeros_of_both_signs_are_equal(any_backend, dtype):
    """The first of them is the maximum, and the class that is told."""
    x = np.array([[0.0, -0.0], [-0.0, 0.0]], dtype)
    _, argmax = any_backend.maxpool2d_forward(any_backend.enter(x[:, None, None]), (1, 2), (1, 2), (0, 0))
    assert any_backend.leave(argmax).ravel().tolist() == [0, 0]
    _, argmax = any_backend.global_maxpool_forward(any_backend.enter(x[:, None, None]))
    assert any_backend.leave(argmax).ravel().tolist() == [0, 0]
    assert any_backend.softmax_cross_entropy(any_backend.enter(x), np.array([0, 0]))[2] == 2
    assert any_backend.softmax_cross_entropy(any_backend.enter(x), np.array([1, 1]))[2] == 0
    y = any_backend.leave(any_backend.elementwise_forward(any_backend.enter(x), "reciprocal", 0.0, 0.0))
    np.testing.assert_array_equal(y, np.array([[np.inf, -np.inf], [-np.inf, np.inf]], dtype))
