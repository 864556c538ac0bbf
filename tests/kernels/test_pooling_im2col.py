"""Pooling of the im2col backend against the loops of `reference`, exact on whole numbers."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl._ext import im2col as windows
from minidl.kernels import im2col, reference

axis = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
dtypes = st.sampled_from([np.float32, np.float64])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2), st.integers(1, 3), axis, axis, dtypes, st.sampled_from([0, 0.2]), st.integers(0, 99))
def test_pooling_equals_reference(n, c, vertical, horizontal, dtype, share_of_nan, seed):
    size, kernel, stride, padding = zip(vertical, horizontal, strict=True)
    assume(all(2 * p <= k <= m + 2 * p for m, k, p in zip(size, kernel, padding, strict=True)))
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (n, c, *size)).astype(dtype)
    x[rng.random(x.shape) < share_of_nan] = np.nan
    for got, expected in zip(
        im2col.maxpool2d_forward(x, kernel, stride, padding),
        reference.maxpool2d_forward(x, kernel, stride, padding),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected, strict=True)
    mean = im2col.avgpool2d_forward(x, kernel, stride, padding)
    np.testing.assert_array_equal(mean, reference.avgpool2d_forward(x, kernel, stride, padding), strict=True)
    argmax = im2col.maxpool2d_forward(x, kernel, stride, padding)[1]
    dy = rng.integers(-9, 10, mean.shape).astype(dtype)
    np.testing.assert_array_equal(
        im2col.maxpool2d_backward(dy, argmax, x.shape, kernel, stride, padding),
        reference.maxpool2d_backward(dy, argmax, x.shape, kernel, stride, padding),
        strict=True,
    )
    dy *= kernel[0] * kernel[1]
    np.testing.assert_array_equal(
        im2col.avgpool2d_backward(dy, x.shape, kernel, stride, padding),
        reference.avgpool2d_backward(dy, x.shape, kernel, stride, padding),
        strict=True,
    )


side = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(side, side, st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans(), st.booleans(), st.integers(0, 99))
def test_four_sides_dilation_and_ceil_mode(vertical, horizontal, dilation, ceil_mode, include, seed):
    size, kernel, stride, before, behind = zip(vertical, horizontal, strict=True)
    window = kernel, stride, tuple(zip(before, behind, strict=True))
    x = np.random.default_rng(seed).integers(-2, 3, (2, 2, *size)).astype(np.float64)
    for operation, rest in (("maxpool2d", (dilation, ceil_mode)), ("avgpool2d", (ceil_mode, include))):
        forward, backward = f"{operation}_forward", f"{operation}_backward"
        try:
            got = getattr(im2col, forward)(x, *window, *rest)
        except ValueError as error:
            assert any(rule in str(error) for rule in ("must fit", "smaller than", "hold a pixel"))  # noqa: PT017
            continue
        expected = getattr(reference, forward)(x, *window, *rest)
        y, *argmax = got if isinstance(got, tuple) else (got,)
        wanted, *places = expected if isinstance(expected, tuple) else (expected,)
        np.testing.assert_allclose(y, wanted, rtol=1e-14, atol=1e-15)
        for one, other in zip(argmax, places, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
        dy = np.arange(float(y.size)).reshape(y.shape)
        dx = getattr(im2col, backward)(dy, *argmax, x.shape, *window, *rest)
        np.testing.assert_allclose(dx, getattr(reference, backward)(dy, *places, x.shape, *window, *rest), rtol=1e-13)


def test_overlapping_windows_add_their_gradients():
    x = np.array([[[[0.0, 5.0, 1.0]]]])
    y, argmax = im2col.maxpool2d_forward(x, (1, 2), (1, 1), (0, 0))
    assert y.tolist() == [[[[5, 5]]]]
    dx = im2col.maxpool2d_backward(np.array([[[[2.0, 3.0]]]]), argmax, x.shape, (1, 2), (1, 1), (0, 0))
    assert dx.tolist() == [[[[0, 5, 0]]]]


def test_first_of_equals_wins_and_padding_never():
    x = np.full((1, 1, 3, 3), -np.inf, np.float32)
    y, argmax = im2col.maxpool2d_forward(x, (2, 2), (2, 2), (1, 1))
    assert np.isneginf(y).all()
    assert argmax.tolist() == [[[[0, 1], [3, 4]]]]
    assert argmax.dtype == np.int32


def test_first_nan_wins():
    x = np.array([[[[9, np.nan], [np.nan, 99]]]], np.float32)
    y, argmax = im2col.maxpool2d_forward(x, (2, 2), (2, 2), (0, 0))
    assert np.isnan(y).all()
    assert argmax.tolist() == [[[[1]]]]


@pytest.mark.parametrize("place", [-1, 4, 2**31 - 1, -(2**31)])
def test_argmax_outside_of_the_image_is_refused(place):
    argmax = np.full((1, 1, 1, 1), place, np.int32)
    with pytest.raises(ValueError, match=r"argmax must lie in \[0, 4\), 1 entries do not"):
        im2col.maxpool2d_backward(np.ones((1, 1, 1, 1)), argmax, (1, 1, 2, 2), (2, 2), (2, 2), (0, 0))


def test_wrong_gradient_shapes_are_refused_before_the_kernel():
    dy = np.ones((1, 1, 2, 1))
    with pytest.raises(ValueError, match=r"dy must have shape \(1, 1, 1, 1\)"):
        im2col.avgpool2d_backward(dy, (1, 1, 2, 2), (2, 2), (2, 2), (0, 0))
    with pytest.raises(ValueError, match=r"dy must have shape \(1, 1, 1, 1\)"):
        im2col.maxpool2d_backward(dy, np.zeros(dy.shape, np.int32), (1, 1, 2, 2), (2, 2), (2, 2), (0, 0))
    with pytest.raises(ValueError, match=r"argmax must have shape \(1, 1, 2, 1\)"):
        im2col.maxpool2d_backward(dy, np.zeros((1, 1, 1, 1), np.int32), (1, 1, 4, 2), (2, 2), (2, 2), (0, 0))


def test_an_image_without_pixels_cannot_be_pooled():
    with pytest.raises(ValueError, match="height must be at least 1"):
        im2col.maxpool2d_forward(np.zeros((1, 1, 0, 4), np.float32), (2, 2), (1, 1), (1, 1))


def test_average_of_a_corner_counts_the_padding():
    x = np.ones((1, 1, 2, 2), np.float32)
    y = im2col.avgpool2d_forward(x, (2, 2), (2, 2), (1, 1))
    assert y.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    dx = im2col.avgpool2d_backward(np.ones_like(y), x.shape, (2, 2), (2, 2), (1, 1))
    assert dx.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]


def test_kernels_keep_inside_their_arrays():
    """Every array lies between margins of NaN: none is written, and none is read into a result."""

    def framed(shape):
        memory = np.full(np.prod(shape) + 64, np.nan, np.float32)
        inner = memory[32:-32].reshape(shape)
        inner[...] = 1
        return memory, inner

    window = (3, 2, 2, 1, 1, 1)
    (around_x, x), (around_y, y) = framed((2, 3, 6, 5)), framed((2, 3, 3, 6))
    argmax = np.zeros(y.shape, np.int32)
    windows.maxpool2d_forward(x, y, argmax, *window, 1, 1)
    assert (y == 1).all()
    assert windows.maxpool2d_backward(y, argmax, x) == 0
    assert x.sum() == x.size + y.size
    windows.avgpool2d_forward(x, y, *window, -1, 7, -1, 6)
    windows.avgpool2d_backward(y, x, *window, -1, 7, -1, 6)
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    for memory in (around_x, around_y):
        assert np.isnan(memory[:32]).all()
        assert np.isnan(memory[-32:]).all()
