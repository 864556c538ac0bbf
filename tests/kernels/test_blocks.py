"""The *_block operations of every backend against the reference's plain operations, one after the other."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

MAX, AVG = ("max", (2, 2), (2, 2), (0, 0)), ("avg", (2, 2), (2, 2), (0, 0))
OVERLAP = ("max", (3, 2), (2, 1), (1, 1))
FLAT_AVG = ("avg", (1, 4), (1, 3), (0, 2))
POOLS = {"none": None, "max": MAX, "avg": AVG, "overlap": OVERLAP, "flat-avg": FLAT_AVG}

TAILS = tuple(product([True, False], POOLS.values()))
"""Relu or none, then pooling or none."""

CONVS = (
    *(cases.Conv(f"n{n}", (n, 2, 6, 7), (3, 2, 3, 3), padding=(1, 1)) for n in cases.BATCHES),
    cases.Conv("no-padding-no-bias", (3, 3, 9, 7), (5, 3, 3, 3), bias=False),
    cases.Conv("5x5", (2, 3, 8, 9), (9, 3, 5, 5), padding=(2, 2)),
    cases.Conv("strided-dilated-grouped", (3, 4, 12, 11), (6, 2, 3, 2), (2, 1), (2, 1), (1, 2), 2),
    cases.Conv("1x1", (5, 3, 5, 6), (4, 3, 1, 1)),
)


@cache
def plain_conv(case, dtype, relu, pool):
    """Whole numbers, so that every sum is exact: (x, w, b, dy) and the composed reference's (y, dx, dw, db)."""
    rng = judged.generator(case, True)
    x, w = cases.random(rng, case.x, dtype, True), cases.random(rng, case.w, dtype, True)
    b = cases.random(rng, case.w[:1], dtype, True) if case.bias else None
    x64, w64, b64 = judged.wide(x, w, b)
    a = reference.conv2d_forward(x64, w64, b64, *case.window)
    dy, y, dz = plain_tail(a, relu, pool, rng, dtype)
    return (x, w, b, dy), (y, *reference.conv2d_backward(dz, x64, w64, *case.window))


def plain_tail(a, relu, pool, rng, dtype):
    """dy, y and the gradient at a, for relu and pooling behind a. dy is a multiple of 4: means stay whole."""
    r = reference.relu_forward(a) if relu else a
    if pool is None:
        y = r
    elif pool[0] == "max":
        y, argmax = reference.maxpool2d_forward(r, *pool[1:])
    else:
        y = reference.avgpool2d_forward(r, *pool[1:])
    dy = 4 * cases.random(rng, y.shape, dtype, True)
    d = dy.astype(np.float64)
    if pool is not None and pool[0] == "max":
        d = reference.maxpool2d_backward(d, argmax, r.shape, *pool[1:])
    elif pool is not None:
        d = reference.avgpool2d_backward(d, r.shape, *pool[1:])
    return dy, y, reference.relu_backward(d, r) if relu else d


@dtypes
@pytest.mark.parametrize("case", CONVS, ids=cases.label)
def test_conv_block(backend, case, dtype):
    for relu, pool in TAILS:
        with compare.during("relu", relu, "pool", pool):
            (x, w, b, dy), (y, dx, dw, db) = plain_conv(case, dtype, relu, pool)
            entered, upstream = backend.enter(x), backend.enter(dy)
            got, saved = backend.conv_block_forward(entered, w, b, *case.window, relu, pool)
            compare.check(backend.leave(got), y, dtype, exact=True)
            out = compare.Guarded(w.shape, dtype), compare.Guarded(db.shape, dtype)
            args = upstream, saved, entered, w, *case.window, relu, pool
            got_dx, _, _ = backend.conv_block_backward(*args, out=(out[0].array, out[1].array))
            compare.check(backend.leave(got_dx), dx, dtype, exact=True)
            compare.check(out[0].array, dw, dtype, exact=True)
            compare.check(out[1].array, db, dtype, exact=True)
            compare.check(backend.leave(upstream), dy, exact=True)
            none, got_dw, got_db = backend.conv_block_backward(*args, need_dx=False)
            assert none is None
            compare.check(got_dw, dw, dtype, exact=True)
            compare.check(got_db, db, dtype, exact=True)
            for guard in out:
                guard.check()


@dtypes
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("n", cases.BATCHES)
def test_norm_block(backend, n, dtype, train):
    for relu, pool in TAILS:
        with compare.during("relu", relu, "pool", pool):
            rng = np.random.default_rng(n)
            x = cases.random(rng, (n, 3, 6, 7), dtype)
            gamma, beta, mean = (cases.random(rng, (3,), dtype) for _ in range(3))
            running = [mean, rng.uniform(0.5, 2, 3).astype(dtype)]
            expected_running = list(judged.wide(*running))
            x64, gamma64, beta64 = judged.wide(x, gamma, beta)
            a, mean, inv_std = reference.batchnorm_forward(x64, gamma64, beta64, *expected_running, 0.9, 1e-5, train)
            dy, y, dz = plain_tail(a, relu, pool, rng, dtype)
            expected = reference.batchnorm_backward(dz, x64, gamma64, mean, inv_std, train)
            # dgamma may cancel, to a thousandth of its terms: as large as their sum is where it does not.
            terms = dz * (x64 - mean[:, None, None]) * inv_std[:, None, None]
            least = 0, np.sqrt(np.square(terms).sum((0, 2, 3)).max()), 0

            entered = backend.enter(x)
            got, saved = backend.norm_block_forward(entered, gamma, beta, *running, 0.9, 1e-5, train, relu, pool)
            tolerance = 1e-5 if dtype == np.float32 else 1e-12
            compare.check(backend.leave(got), y, dtype, tolerance)
            for after, wanted in zip(running, expected_running, strict=True):
                compare.check(after, wanted, dtype)
            dx, dgamma, dbeta = backend.norm_block_backward(backend.enter(dy), saved, entered, gamma, train, relu, pool)
            for result, wanted, size in zip((backend.leave(dx), dgamma, dbeta), expected, least, strict=True):
                compare.check(result, wanted, dtype, tolerance, at_least=size)


@dtypes
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("n", cases.BATCHES)
def test_norm_block_on_features(backend, n, dtype, train):
    rng = np.random.default_rng(n)
    x, dy = cases.random(rng, (n, 5), dtype), cases.random(rng, (n, 5), dtype)
    gamma, beta = (cases.random(rng, (5,), dtype) for _ in range(2))
    running = np.zeros(5, dtype), np.ones(5, dtype)
    x64, gamma64, beta64, dy64 = judged.wide(x, gamma, beta, dy)
    a, mean, inv_std = reference.batchnorm_forward(x64, gamma64, beta64, *judged.wide(*running), 0.9, 0.1, train)
    expected = reference.batchnorm_backward(reference.relu_backward(dy64, a), x64, gamma64, mean, inv_std, train)
    entered = backend.enter(x)
    got, saved = backend.norm_block_forward(entered, gamma, beta, *running, 0.9, 0.1, train, True, None)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    compare.check(backend.leave(got), reference.relu_forward(a), dtype, tolerance)
    dx, dgamma, dbeta = backend.norm_block_backward(backend.enter(dy), saved, entered, gamma, train, True, None)
    for result, wanted in zip((backend.leave(dx), dgamma, dbeta), expected, strict=True):
        compare.check(result, wanted, dtype, tolerance)


@dtypes
@pytest.mark.parametrize("case", cases.LINEARS, ids=cases.label)
def test_linear_block(backend, case, dtype):
    (x, w, b, dy), (a, _, _, _) = judged.linear(case, dtype, True)
    y = reference.relu_forward(a)
    dx, dw, db = reference.linear_backward(reference.relu_backward(dy.astype(np.float64), y), *judged.wide(x, w))
    entered = backend.enter(x)
    got = backend.linear_block_forward(entered, w, b)
    compare.check(backend.leave(got), y, dtype, exact=True)
    out = compare.Guarded(w.shape, dtype), compare.Guarded(db.shape, dtype)
    got_dx, _, _ = backend.linear_block_backward(backend.enter(dy), got, entered, w, out=(out[0].array, out[1].array))
    compare.check(backend.leave(got_dx), dx, dtype, exact=True)
    compare.check(out[0].array, dw, dtype, exact=True)
    compare.check(out[1].array, db, dtype, exact=True)
    none, got_dw, _ = backend.linear_block_backward(backend.enter(dy), got, entered, w, need_dx=False)
    assert none is None
    compare.check(got_dw, dw, dtype, exact=True)
    for guard in out:
        guard.check()


@dtypes
@pytest.mark.parametrize("n", [0, 1, 5, 17])
def test_add_block(backend, n, dtype):
    rng = np.random.default_rng(8)
    a, b = (cases.random(rng, (n, 3, 5, 7), dtype, whole=True) for _ in range(2))
    got = backend.add_block_forward(backend.enter(a), backend.enter(b))
    compare.check(backend.leave(got), np.maximum(a + b, 0), dtype, exact=True)
    dy = cases.random(rng, a.shape, dtype, whole=True)
    compare.check(backend.leave(backend.relu_backward(backend.enter(dy), got)), np.where(a + b > 0, dy, 0), exact=True)


def test_add_block_keeps_nan(backend):
    a, b = np.array([[np.nan, -1.0, np.inf]], np.float32), np.array([[1.0, 0.5, 1.0]], np.float32)
    y = backend.leave(backend.add_block_forward(backend.enter(a), backend.enter(b)))
    np.testing.assert_array_equal(y, [[np.nan, 0, np.inf]])
