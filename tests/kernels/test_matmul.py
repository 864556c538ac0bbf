"""Products of an image's matrices: whole numbers exactly, every backend against the reference and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

PAIRS = (
    *(((n, 3, 5), (n, 5, 4)) for n in cases.BATCHES),
    ((3, 2, 13, 3), (3, 2, 3, 7)),
    ((17, 2, 7, 8), (17, 2, 8, 19)),
    ((5, 3, 6, 4), (5, 1, 4, 9)),
    ((5, 1, 6, 4), (5, 3, 4, 9)),
    ((9, 1, 2, 3), (9, 1, 3, 2)),
    ((2, 2, 1, 70), (2, 2, 70, 1)),
    ((2, 31, 1), (2, 1, 70)),
    ((1, 1, 1), (1, 1, 1)),
    ((2, 4, 0), (2, 0, 5)),
    ((2, 0, 3), (2, 3, 5)),
    ((2, 4, 3), (2, 3, 0)),
    ((2, 0, 4, 3), (2, 1, 3, 5)),
)
"""Tiles of all sizes, and what is left behind them; one matrix for all groups; no number at all."""


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


def compared(backend, a, b, dy, dtype, exact):
    entered = backend.enter(a), backend.enter(b)
    y = backend.matmul_forward(*entered)
    compare.check(backend.leave(y), reference.matmul_forward(*wide(a, b)), dtype, exact=exact)
    got = backend.matmul_backward(backend.enter(dy), *entered)
    expected = reference.matmul_backward(*wide(dy, a, b))
    for name, gradient, wanted in zip(("da", "db"), got, expected, strict=True):
        with compare.during(name):
            compare.check(backend.leave(gradient), wanted, dtype, exact=exact)


@dtypes
def test_products(backend, dtype, rng):
    for a_shape, b_shape in PAIRS:
        for whole in (True, False):
            a, b = (cases.random(rng, shape, dtype, whole) for shape in (a_shape, b_shape))
            dy = cases.random(rng, np.matmul(a, b).shape, dtype, whole)
            with compare.during(a_shape, b_shape, whole):
                compared(backend, a, b, dy, dtype, whole)


@dtypes
def test_the_reference_is_numpy_and_its_gradient_two_products(dtype, rng):
    a, b = cases.random(rng, (3, 2, 4, 5), dtype, True), cases.random(rng, (3, 1, 5, 6), dtype, True)
    dy = cases.random(rng, (3, 2, 4, 6), dtype, True)
    compare.check(reference.matmul_forward(a, b), a @ b, exact=True)
    da, db = reference.matmul_backward(dy, a, b)
    compare.check(da, dy @ b.swapaxes(2, 3), exact=True)
    compare.check(db, np.einsum("nsmk,nsmp->nkp", a, dy)[:, None], exact=True)


@dtypes
def test_what_is_not_needed_is_not_computed(any_backend, dtype):
    x = any_backend.enter(np.ones((3, 2, 2), dtype))
    da, db = any_backend.matmul_backward(x, x, x, (False, True))
    assert da is None
    compare.check(any_backend.leave(db), np.full((3, 2, 2), 2, dtype), exact=True)
    assert any_backend.matmul_backward(x, x, x, (True, False))[1] is None


@dtypes
def test_a_nan_comes_through(any_backend, dtype):
    a, b = np.zeros((3, 2, 2), dtype), np.ones((3, 2, 2), dtype)
    b[1, 0, 1] = np.nan
    y = any_backend.leave(any_backend.matmul_forward(any_backend.enter(a), any_backend.enter(b)))
    compare.check(y, np.matmul(a, b), exact=True)


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    """Numbers next to each other in an array of pixels, whose last vector of a row is partly the next one."""
    for a_shape, b_shape in (*PAIRS, ((1, 20, 11), (1, 11, 83)), ((1, 9, 3), (1, 3, 17))):
        n = min(a_shape[0], 2)
        a, b = cases.random(rng, (n, *a_shape[1:]), dtype, True), cases.random(rng, (n, *b_shape[1:]), dtype, True)
        y = native.matmul_forward(native.enter(a, infer=True), native.enter(b, infer=True))
        with compare.during(a_shape, b_shape):
            compare.check(native.leave(y), np.matmul(a, b), exact=True)


def test_arrays_of_two_layouts_go_together(native, rng):
    a, b = cases.random(rng, (1, 3, 4), np.float32, True), cases.random(rng, (1, 4, 5), np.float32, True)
    for first, second in ((True, False), (False, True)):
        y = native.matmul_forward(native.enter(a, infer=first), native.enter(b, infer=second))
        compare.check(native.leave(y), np.matmul(a, b), exact=True)


def test_long_sums_keep_their_digits(backend, rng):
    a, b = rng.random((3, 2, 5000), np.float32), rng.random((3, 5000, 3), np.float32)
    expected = np.matmul(*wide(a, b))
    y = backend.leave(backend.matmul_forward(backend.enter(a), backend.enter(b)))
    np.testing.assert_allclose(y, expected, rtol=2e-6)
    if backend.name == "native":  # of pixels, too
        y = backend.matmul_forward(backend.enter(a[:1], infer=True), backend.enter(b[:1], infer=True))
        np.testing.assert_allclose(backend.leave(y), expected[:1], rtol=2e-6)


@dtypes
def test_the_sum_of_no_products_is_zero(native, dtype):
    """Whatever has stood in its memory."""
    shapes = (3, 0, 4, 5), (3, 1, 5, 6), (3, 0, 4, 6)
    for _ in range(8):
        native.enter(np.full(shapes[1], np.nan, dtype))
        a, b, dy = (native.enter(np.ones(shape, dtype)) for shape in shapes)
        da, db = native.matmul_backward(dy, a, b)
        assert da.shape == shapes[0]
        np.testing.assert_array_equal(native.leave(db), np.zeros(shapes[1], dtype))


def test_what_does_not_go_together_is_refused(native):
    def ones(*shape, dtype=np.float32, **more):
        return native.enter(np.ones(shape, dtype), **more)

    x = ones(3, 2, 4, 5)
    for shape in ((3, 2, 4, 5), (2, 2, 5, 4), (3, 5, 4), (3, 5)):
        with pytest.raises(ValueError, match="a and b must have shapes"):
            native.matmul_forward(x, ones(*shape))
    with pytest.raises(ValueError, match="as many matrices"):
        native.matmul_forward(x, ones(3, 3, 5, 4))
    with pytest.raises(ValueError, match="a and b must have shapes"):
        native.matmul_forward(ones(3, 3), ones(3, 3))
    with pytest.raises(TypeError, match="b must have the dtype"):
        native.matmul_forward(x, ones(3, 2, 5, 4, dtype=np.float64))
    with pytest.raises(TypeError, match="b must be a LaneArray"):
        native.matmul_forward(x, None)
    with pytest.raises(ValueError, match="dy must have shape"):
        native.matmul_backward(x, x, ones(3, 2, 5, 4))
    with pytest.raises(ValueError, match="inference"):
        native.matmul_backward(ones(3, 2, 4, 4), x, ones(3, 2, 5, 4, infer=True))
