"""Batches entered for inference: every forward operation like the reference, whichever layout the backend chooses."""

from __future__ import annotations

import os

import numpy as np
import pytest
from kernels import cases, compare, variants

from minidl.kernels import reference

pytestmark = pytest.mark.skipif(not variants.NATIVE, reason="the native backend is not installed")

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])

POOLING = (None, ("avg", (2, 2), (2, 2), (0, 0)), ("max", (2, 2), (2, 2), (0, 0)), ("max", (3, 2), (1, 2), (1, 0)))

# More rows than one band takes; the naive twin needs a minute for these where the sanitizers watch it.
LARGE = (
    cases.Conv("several-bands", (1, 12, 80, 90), (2, 12, 3, 3), padding=(1, 1)),
    cases.Conv("several-bands-strided", (1, 30, 65, 60), (3, 30, 5, 5), stride=(2, 2), padding=(2, 2)),
)

CONVS = (
    *cases.CONVS,
    cases.Conv("seed-1", (1, 1, 28, 28), (8, 1, 3, 3), padding=(1, 1)),
    cases.Conv("seed-2", (1, 8, 14, 14), (16, 8, 3, 3), padding=(1, 1)),
    *(() if os.environ.get("MINIDL_SANITIZE") else LARGE),
    cases.Conv("whole-image-relu", (1, 16, 5, 5), (21, 16, 5, 5)),
)
LINEARS = (
    *cases.LINEARS,
    *(cases.Linear(f"f{f}", 3, f, 9) for f in (15, 16, 17, 31, 32, 33)),
    *(cases.Linear(f"images-{n}", n, 40, 37) for n in (1, 2, 6, 11)),
    cases.Linear("seed", 1, 784, 256),
)


def lanes(array):
    return int(repr(array).partition("lanes=")[2].rstrip(")"))


def few(x):
    """One image of x: the plain layout for certain."""
    return np.ascontiguousarray(x[:1])


def make(rng, shapes, dtype, whole):
    return [None if shape is None else cases.random(rng, shape, dtype, whole) for shape in shapes]


def test_few_images_are_plain_and_many_are_not(native):
    for dtype in cases.FLOATS:
        full = lanes(native.enter(np.zeros((1, 3), dtype)))
        assert full > 1
        assert lanes(native.enter(np.zeros((1, 3), dtype), infer=True)) == 1
        assert lanes(native.enter(np.zeros((full, 3), dtype), infer=True)) == full


@pytest.mark.parametrize("variant", variants.ALL, ids=variants.label)
def test_batches_hold_all_images_in_order_and_no_more_than_allowed(variant):
    with variants.using(variant) as backend:
        for dtype in cases.FLOATS:
            for n in (0, 1, 2, 5, 16, 17, 24, 31, 33, 100, 257):
                for most in (1, 3, 16, 20, 100, 1000):
                    sizes = backend.batches(n, most, dtype)
                    assert sum(sizes) == n
                    assert all(0 < size <= most for size in sizes)
                    assert len(sizes) <= n // max(most // 2, 1) + 2


def test_a_remainder_of_few_images_is_a_batch_of_its_own(native):
    full = lanes(native.enter(np.zeros((1, 3), np.float32)))
    assert native.batches(3 * full + 1, 1000, np.float32) == [3 * full, 1]
    assert native.batches(4 * full - 1, 1000, np.float32) == [4 * full - 1]
    assert native.batches(5 * full, 2 * full + 1, np.float32) == [2 * full, 2 * full, full]


@dtypes
@whole
@pytest.mark.parametrize("case", CONVS, ids=cases.label)
def test_conv_block(native, case, dtype, whole):
    rng = np.random.default_rng(0)
    x, w, b = make(rng, (case.x, case.w, (case.w[0],) if case.bias else None), dtype, whole)
    for images in (x, few(x)):
        entered = native.enter(images, infer=True)
        expected = reference.conv2d_forward(images.astype(np.float64), w, b, *case.window)
        got = native.leave(native.conv2d_forward(entered, w, b, *case.window))
        compare.check(got, expected, dtype, exact=whole)
        for relu in (False, True):
            for pool in POOLING:
                if pool is not None and min(got.shape[2:]) < 3:
                    continue
                args = w, b, *case.window, relu, pool
                y, _ = native.conv_block_forward(entered, *args)
                wanted = np.maximum(got, 0) if relu else got
                if pool is not None:
                    op = reference.avgpool2d_forward if pool[0] == "avg" else reference.maxpool2d_forward
                    wanted = op(wanted, *pool[1:])
                    wanted = wanted if pool[0] == "avg" else wanted[0]
                with compare.during(case.name, images.shape, relu, pool):
                    compare.check(native.leave(y), wanted, dtype, exact=whole and not (pool and pool[0] == "avg"))
        compare.check(native.leave(entered), images, exact=True)


@dtypes
@whole
@pytest.mark.parametrize("case", LINEARS, ids=cases.label)
def test_linear(native, case, dtype, whole):
    rng = np.random.default_rng(1)
    x, w, b = make(rng, ((case.n, case.f), (case.o, case.f), (case.o,) if case.bias else None), dtype, whole)
    for images in (x, few(x)):
        entered = native.enter(images, infer=True)
        expected = reference.linear_forward(images.astype(np.float64), w, b)
        compare.check(native.leave(native.linear_forward(entered, w, b)), expected, dtype, exact=whole)
        got = native.leave(native.linear_block_forward(entered, w, b))
        compare.check(got, np.maximum(expected, 0), dtype, exact=whole)


@dtypes
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_pooling(native, case, dtype):
    x = cases.random(np.random.default_rng(2), case.x, dtype, whole=True)
    for images in (x, few(x)):
        entered = native.enter(images, infer=True)
        y, argmax = native.maxpool2d_forward(entered, *case.max)
        wanted, places = reference.maxpool2d_forward(images, *case.max)
        compare.check(native.leave(y), wanted, exact=True)
        compare.check(native.leave(argmax), places)
        got = native.leave(native.avgpool2d_forward(entered, *case.mean))
        compare.check(got, reference.avgpool2d_forward(images, *case.mean))
        got = native.leave(native.global_avgpool_forward(entered))
        compare.check(got, reference.global_avgpool_forward(images))


@dtypes
@pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
def test_elementwise(native, shape, dtype):
    rng = np.random.default_rng(3)
    x, other = make(rng, (shape, shape), dtype, False)
    for a, b in ((x, other), (few(x), few(other))):
        entered = native.enter(a, infer=True)
        for row in cases.ACTIVATIONS:
            compare.check(native.leave(row.forward(native, entered)), row.forward(reference, a))
        compare.check(native.leave(native.add(entered, native.enter(b, infer=True))), a + b, exact=True)
        compare.check(native.leave(native.add(native.enter(b), entered)), a + b, exact=True)
        compare.check(native.leave(native.dropout_forward(entered, 0.5, 7)), reference.dropout_forward(a, 0.5, 7))
        size = int(np.prod(shape[1:]))
        flat = native.reshape(entered, (size,))
        compare.check(native.leave(flat), a.reshape(len(a), size), exact=True)


@dtypes
@pytest.mark.parametrize("train", [False, True], ids=["running", "batch"])
@pytest.mark.parametrize("shape", [(1, 3, 7, 6), (2, 5, 4, 9), (3, 2, 1, 1), (1, 6), (2, 33)], ids=str)
def test_norm_block(native, shape, train, dtype):
    rng = np.random.default_rng(4)
    channels = (shape[1],)
    x, gamma, beta, mean = make(rng, (shape, channels, channels, channels), dtype, False)
    var = rng.uniform(0.5, 2, channels).astype(dtype)
    for relu in (False, True):
        for pool in POOLING if min(shape[2:], default=0) > 2 else (None,):
            args = gamma, beta, mean.copy(), var.copy(), 0.9, 1e-5, train, relu, pool
            y, _ = native.norm_block_forward(native.enter(x, infer=True), *args)
            args = gamma, beta, mean.copy(), var.copy(), 0.9, 1e-5, train, relu, pool
            wanted, _ = reference.norm_block_forward(x, *args)
            compare.check(native.leave(y), wanted, dtype)
    y, got_mean, got_inv = native.batchnorm_forward(
        native.enter(x, infer=True), gamma, beta, mean.copy(), var.copy(), 0.9, 1e-5, train
    )
    wanted = reference.batchnorm_forward(x, gamma, beta, mean.copy(), var.copy(), 0.9, 1e-5, train)
    for got, value in zip((native.leave(y), got_mean, got_inv), wanted, strict=True):
        compare.check(got, value, dtype)


@dtypes
@pytest.mark.parametrize("source", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 3, 5, 7), (4, 19)], ids=str)
def test_gather(native, shape, source, dtype):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, shape).astype(source)
    scale, shift = make(rng, (shape[1:2], shape[1:2]), dtype, False)
    for index in (np.array([3]), np.array([2, 0]), np.arange(len(images))[::-1].copy(), np.array([], np.intp)):
        got = native.leave(native.gather(images, index, scale, shift, infer=True))
        compare.check(got, reference.gather(images, index, scale, shift))


@dtypes
def test_not_a_number_stays(native, dtype):
    """In relu, pooling and products, as in the lanes."""
    x = cases.random(np.random.default_rng(6), (1, 1, 6, 8), dtype)
    x[0, 0, 2, 3] = np.nan
    w, one = np.ones((1, 1, 1, 1), dtype), (1, 1)
    for pool in POOLING:
        y, _ = native.conv_block_forward(native.enter(x, infer=True), w, None, one, (0, 0), one, 1, True, pool)
        wanted, _ = reference.conv_block_forward(x, w, None, one, (0, 0), one, 1, True, pool)
        compare.check(native.leave(y), wanted, dtype)
    flat, w = x.reshape(1, -1), np.ones((3, 48), dtype)
    assert np.isnan(native.leave(native.linear_block_forward(native.enter(flat, infer=True), w, None))).all()


def test_infinite_tails_are_no_nan(native):
    """The last features of a row stand in a vector of their own, which must not multiply 0 by infinity."""
    for f in range(1, 40):
        x, w = np.ones((1, f), np.float32), np.ones((2, f), np.float32)
        w[0, :] = np.inf
        y = native.leave(native.linear_forward(native.enter(x, infer=True), w, None))
        assert y[0].tolist() == [np.inf, f]


def test_no_backward_pass(native):
    x = np.ones((1, 2, 4, 4), np.float32)
    w, one = np.ones((3, 2, 1, 1), np.float32), (1, 1)
    entered = native.enter(x, infer=True)
    y, saved = native.conv_block_forward(entered, w, None, one, (0, 0), one, 1, True, POOLING[2])
    for dy in (y, native.enter(native.leave(y))):
        with pytest.raises(ValueError, match="entered for inference"):
            native.conv_block_backward(dy, saved, entered, w, one, (0, 0), one, 1, True, POOLING[2])
    with pytest.raises(ValueError, match="entered for inference"):
        native.relu_backward(entered, entered)


def test_indices_of_the_plain_layout_come_back_in_lanes(native):
    x = cases.random(np.random.default_rng(7), (1, 2, 4, 6), np.float32)
    window = (2, 2), (2, 2), (0, 0)
    y, argmax = native.maxpool2d_forward(native.enter(x, infer=True), *window)
    dy = native.leave(y)
    dx = native.maxpool2d_backward(native.enter(dy), argmax, x.shape, *window)
    compare.check(native.leave(dx), reference.maxpool2d_backward(dy, native.leave(argmax), x.shape, *window))


@dtypes
def test_any_number_of_threads_gives_the_same_bits(native, dtype):
    rng = np.random.default_rng(8)
    x, w, b, v = make(rng, ((1, 12, 80, 90), (7, 12, 3, 3), (7,), (70, 12 * 80 * 90)), dtype, False)
    entered, one, found = native.enter(x, infer=True), (1, 1), []
    before = native.get_num_threads()
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            y, _ = native.conv_block_forward(entered, w, b, one, one, one, 1, True, POOLING[1])
            z = native.linear_forward(native.reshape(entered, (v.shape[1],)), v, None)
            found.append((native.leave(y), native.leave(z)))
    finally:
        native.set_num_threads(before)
    for y, z in found[1:]:
        compare.check(y, found[0][0], exact=True)
        compare.check(z, found[0][1], exact=True)
