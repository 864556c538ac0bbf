"""Rounding errors of float32 convolutions, direct and Winograd, against float64; fused blocks against their parts."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, operations

from minidl.kernels import im2col
from minidl.kernels.counter_random import keep_mask

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

LIMIT = 5e-6
"""Of the largest result, as the benchmark suite demands it."""

ONE, NONE = (1, 1), (0, 0)
SHAPES = (
    ((20, 1, 28, 28), (8, 1, 3, 3), ONE, ONE, 1),
    ((20, 8, 14, 14), (16, 8, 3, 3), ONE, ONE, 1),
    ((17, 3, 32, 32), (32, 3, 3, 3), ONE, ONE, 1),
    ((5, 32, 32, 32), (32, 32, 3, 3), ONE, ONE, 1),
    ((33, 64, 24, 24), (64, 64, 3, 3), ONE, ONE, 1),
    ((3, 128, 16, 16), (128, 128, 3, 3), ONE, ONE, 1),
    ((5, 256, 8, 8), (64, 256, 3, 3), ONE, ONE, 1),
    ((2, 64, 56, 56), (16, 64, 3, 3), ONE, ONE, 1),
    ((17, 512, 8, 8), (64, 512, 3, 3), ONE, ONE, 1),
    ((5, 64, 12, 12), (512, 64, 3, 3), ONE, ONE, 1),
    ((2, 768, 8, 8), (32, 768, 3, 3), ONE, ONE, 1),
    ((3, 64, 32, 32), (32, 64, 3, 3), (2, 2), ONE, 1),
    ((17, 128, 16, 16), (64, 128, 1, 1), ONE, NONE, 1),
    ((5, 32, 16, 16), (64, 32, 5, 5), ONE, (2, 2), 1),
    ((17, 6, 14, 14), (16, 6, 5, 5), ONE, NONE, 1),
    ((3, 16, 56, 56), (16, 16, 7, 7), (2, 2), (3, 3), 1),
    ((5, 64, 32, 32), (64, 1, 3, 3), ONE, ONE, 64),
)


@pytest.mark.parametrize("inputs", ["normal", "positive"])
@pytest.mark.parametrize(("x_shape", "w_shape", "stride", "padding", "groups"), SHAPES, ids=str)
def test_convolutions_are_exact_to_a_few_roundings(native, x_shape, w_shape, stride, padding, groups, inputs, rng):
    """Normal images, and positive ones as a Relu leaves them: sums in a transform must not cancel what they are of."""
    x = rng.standard_normal(x_shape, np.float32)
    x = abs(x) if inputs == "positive" else x
    w = rng.standard_normal(w_shape, np.float32) / np.float32(np.sqrt(np.prod(w_shape[1:])))
    b = rng.standard_normal(w_shape[0], np.float32)
    window = stride, padding, ONE, groups
    y = im2col.conv2d_forward(*(a.astype(np.float64) for a in (x, w, b)), *window)
    dy = rng.standard_normal(y.shape, np.float32)
    expected = (y, *im2col.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *window))
    entered = native.enter(x)
    got = native.leave(native.conv2d_forward(entered, w, b, *window))
    dx, dw, db = native.conv2d_backward(native.enter(dy), entered, w, *window)
    for name, value, wanted in zip(("y", "dx", "dw", "db"), (got, native.leave(dx), dw, db), expected, strict=True):
        with compare.during(name):
            compare.check(value, wanted, np.float32, LIMIT)


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("pool", operations.POOLS.values(), ids=operations.POOLS)
@pytest.mark.parametrize("name", operations.CONVS)
def test_a_fused_convolution_equals_its_parts(native, name, pool, relu, dtype, rng):
    shape, window = operations.CONVS[name]
    x, w, b = (cases.random(rng, s, dtype) for s in ((19, shape[1] * window[3], 9, 8), shape, shape[:1]))
    entered = native.enter(x)
    z = native.conv2d_forward(entered, w, b, *window)
    y = a = native.relu_forward(z) if relu else z
    if pool is not None:
        y, argmax = pooled(native, a, pool)
    fused, saved = native.conv_block_forward(entered, w, b, *window, relu, pool)
    near(native.leave(fused), native.leave(y))

    d = dy = native.enter(cases.random(rng, y.shape, dtype))
    if pool is not None:
        d = unpooled(native, dy, argmax, a.shape, pool)
    d = native.relu_backward(d, a) if relu else d
    dx, dw, db = native.conv2d_backward(d, entered, w, *window)
    got = native.conv_block_backward(dy, saved, entered, w, *window, relu, pool)
    for value, wanted in zip((native.leave(got[0]), *got[1:]), (native.leave(dx), dw, db), strict=True):
        near(value, wanted)


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("pool", operations.POOLS.values(), ids=operations.POOLS)
@pytest.mark.parametrize("train", [False, True], ids=["constant", "train"])
def test_a_fused_norm_equals_its_parts(native, train, pool, relu, dtype, rng):
    C = operations.CHANNELS
    x = native.enter(cases.random(rng, (19, C, 9, 8), dtype))
    gamma, beta = cases.random(rng, (C,), dtype), cases.random(rng, (C,), dtype)
    running = np.zeros(C, dtype), np.ones(C, dtype)
    running_of_block = np.zeros(C, dtype), np.ones(C, dtype)
    z, mean, inv_std = native.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-3, train)
    y = a = native.relu_forward(z) if relu else z
    if pool is not None:
        y, argmax = pooled(native, a, pool)
    fused, saved = native.norm_block_forward(x, gamma, beta, *running_of_block, 0.9, 1e-3, train, relu, pool)
    near(native.leave(fused), native.leave(y))
    for value, wanted in zip(running_of_block, running, strict=True):
        compare.check(value, wanted, exact=True)

    d = dy = native.enter(cases.random(rng, y.shape, dtype))
    if pool is not None:
        d = unpooled(native, dy, argmax, a.shape, pool)
    d = native.relu_backward(d, a) if relu else d
    dx, dgamma, dbeta = native.batchnorm_backward(d, x, gamma, mean, inv_std, train)
    got = native.norm_block_backward(dy, saved, x, gamma, train, relu, pool)
    for value, wanted in zip((native.leave(got[0]), *got[1:]), (native.leave(dx), dgamma, dbeta), strict=True):
        near(value, wanted)


def near(value, wanted):
    compare.check(value, wanted, tolerance=2e-6 if value.dtype == np.float32 else 1e-14)


def pooled(native, a, pool):
    if pool[0] == "max":
        return native.maxpool2d_forward(a, *pool[1:])
    return native.avgpool2d_forward(a, *pool[1:]), None


def unpooled(native, dy, argmax, shape, pool):
    if pool[0] == "max":
        return native.maxpool2d_backward(dy, argmax, shape, *pool[1:])
    return native.avgpool2d_backward(dy, shape, *pool[1:])


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 3, 4, 6), (17, 2, 3, 3), (33, 129)], ids=str)
def test_dropout_keeps_what_the_mask_says(native, shape, dtype):
    x = np.random.default_rng(1).uniform(1, 2, shape).astype(dtype)
    for rate in (0.0, 0.1, 0.5, 0.999):
        for key in (0, 1, 2**63 + 5, 2**64 - 1):
            kept = keep_mask(shape, rate, key)
            expected = np.where(kept, x * dtype(1 / (1 - rate)), 0)
            compare.check(native.leave(native.dropout_forward(native.enter(x), rate, key)), expected, dtype)
            got = native.leave(native.dropout_backward(native.enter(x), rate, key))
            np.testing.assert_array_equal(got != 0, kept)


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
def test_powers_of_a_local_response_are_exact_to_a_few_roundings(native, dtype):
    """s^-0.75 for s from 1 to 61, whose logarithm is a series: against longer floats, where the machine has them."""
    longer = np.longdouble if dtype is np.float64 else np.float64
    if np.finfo(longer).eps > np.finfo(dtype).eps / 100:
        pytest.skip("this machine has no longer floats")
    x = np.sqrt(np.linspace(0.001, 60, 4000)).astype(dtype).reshape(10, 1, 20, 20)
    y = native.leave(native.local_response_forward(native.enter(x), 1, 1.0, 0.75, 1.0))
    wide = x.astype(longer)
    expected = wide * (1 + wide * wide) ** longer(-0.75)
    assert np.abs(y / expected - 1).max() < 6 * np.finfo(dtype).eps
