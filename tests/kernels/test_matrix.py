"""The matrix form of a convolution: by hand, as a product, its adjoint; every backend against the reference."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels import cases, compare
from kernels.drawn import dilations, dtypes, fits, kernels, paddings, sizes, strides, whole

from minidl._ext import im2col as windows
from minidl.kernels import im2col, reference

both = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


def test_settings_below_1_are_refused():
    x, cols = np.ones((1, 1, 4, 4), np.float32), np.ones((4, 9), np.float32)
    for stride, padding, dilation, text in (
        ((0, 1), (0, 0), (1, 1), "stride must be at least 1, got 0"),
        ((0, 1), "same", (1, 1), "stride must be at least 1, got 0"),
        ((1, 1), (0, -1), (1, 1), "padding must be at least 0, got -1"),
        ((1, 1), (0, 0), (1, 0), "dilation must be at least 1, got 0"),
        ((1, 1), (0, 0), (-(2**63), 1), "dilation must be at least 1"),
        ((1, 2**31), (0, 0), (1, 1), r"stride must be below 2\*\*31"),
    ):
        with pytest.raises(ValueError, match=f"im2col: {text}"):
            im2col.im2col(x, (2, 2), stride, padding, dilation)
        with pytest.raises(ValueError, match=f"col2im: {text}"):
            im2col.col2im(cols, x.shape, (2, 2), stride, padding, dilation)
    with pytest.raises(ValueError, match="im2col: kernel_size must be at least 1, got 0"):
        im2col.im2col(x, (0, 2), (1, 1), (0, 0), (1, 1))


class TestReference:
    def test_a_small_matrix_by_hand(self):
        x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
        cols = reference.im2col(x, (2, 2), (1, 1), (0, 0), (1, 1))
        assert cols.tolist() == [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]
        assert reference.col2im(cols, x.shape, (2, 2), (1, 1), (0, 0), (1, 1)).tolist() == [
            [[[1, 4, 3], [8, 20, 12], [7, 16, 9]]]
        ]

    @pytest.mark.parametrize("case", [c for c in cases.CONVS if c.groups == 1], ids=cases.label)
    def test_it_turns_a_convolution_into_a_product(self, case, rng):
        x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
        y = reference.conv2d_forward(x, w, None, *case.window)
        cols = reference.im2col(x, case.w[2:], *case.window[:3])
        product = w.reshape(len(w), -1) @ cols
        compare.check(product.reshape(len(w), len(x), *y.shape[2:]).swapaxes(0, 1), y)

    @pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
    def test_col2im_is_the_adjoint(self, case, rng):
        """<im2col(x), cols> = <x, col2im(cols)>, in whole numbers: exactly."""
        x = cases.random(rng, case.x, np.float64, whole=True)
        there = reference.im2col(x, case.w[2:], *case.window[:3])
        cols = cases.random(rng, there.shape, np.float64, whole=True)
        back = reference.col2im(cols, case.x, case.w[2:], *case.window[:3])
        assert np.sum(there * cols) == np.sum(x * back)


@both
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_the_matrix_form(backend, case, dtype, rng):
    kernel, (stride, padding, dilation, _) = case.w[2:], case.window
    x = cases.random(rng, case.x, dtype, whole=True)
    cols = reference.im2col(x, kernel, stride, padding, dilation)
    compare.check(backend.im2col(x, kernel, stride, padding, dilation), cols, exact=True)
    cols = cases.random(rng, cols.shape, dtype, whole=True)
    expected = reference.col2im(cols, case.x, kernel, stride, padding, dilation)
    compare.check(backend.col2im(cols, case.x, kernel, stride, padding, dilation), expected, exact=True)


class TestIm2col:
    @pytest.mark.skipif(not os.environ.get("MINIDL_SANITIZE"), reason="only under make sanitize")
    def test_sanitized_build_is_the_one_tested(self):
        assert os.path.join("build", "sanitize") in windows.__file__

    def test_im2col_of_a_small_image_by_hand(self):
        x = np.arange(6.0).reshape(1, 1, 2, 3)
        cols = im2col.im2col(x, (2, 1), (1, 2), (1, 0), (1, 1))
        np.testing.assert_array_equal(cols, [[0, 0, 0, 2, 3, 5], [0, 2, 3, 5, 0, 0]])

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        st.integers(0, 3), st.integers(1, 3), sizes, kernels, strides, paddings, dilations, dtypes, st.integers(0, 99)
    )
    def test_im2col_and_col2im_equal_reference(self, n, c, size, kernel, stride, padding, dilation, dtype, seed):
        assume(fits(size, kernel, padding, dilation))
        rng = np.random.default_rng(seed)
        x = whole(rng, (n, c, *size), dtype)
        cols = im2col.im2col(x, kernel, stride, padding, dilation)
        np.testing.assert_array_equal(cols, reference.im2col(x, kernel, stride, padding, dilation), strict=True)
        back = whole(rng, cols.shape, dtype)
        np.testing.assert_array_equal(
            im2col.col2im(back, x.shape, kernel, stride, padding, dilation),
            reference.col2im(back, x.shape, kernel, stride, padding, dilation),
            strict=True,
        )

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.integers(1, 3), st.integers(1, 3), sizes, kernels, strides, paddings, dilations, st.integers(0, 99))
    def test_col2im_is_the_adjoint_of_im2col(self, n, c, size, kernel, stride, padding, dilation, seed):
        assume(fits(size, kernel, padding, dilation))
        rng = np.random.default_rng(seed)
        x = whole(rng, (n, c, *size), np.float64)
        cols = im2col.im2col(x, kernel, stride, padding, dilation)
        other = whole(rng, cols.shape, np.float64)
        assert np.vdot(cols, other) == np.vdot(x, im2col.col2im(other, x.shape, kernel, stride, padding, dilation))

    @pytest.mark.parametrize("kernel", [(4, 1), (1, 4), (3, 2)])
    def test_kernels_keep_inside_their_arrays(self, kernel):
        """The arrays lie between margins of NaN: none is written, and none is read into a result."""
        size, stride, padding, dilation = (5, 7), (2, 3), (3, 1), (1, 2)
        oh, ow = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
        )
        shape_x, shape_cols = (2, 3, *size), (3 * kernel[0] * kernel[1], 2 * oh * ow)

        def framed(shape):
            memory = np.full(np.prod(shape) + 64, np.nan, np.float32)
            inner = memory[32:-32].reshape(shape)
            inner[...] = 1
            return memory, inner

        (around_x, x), (around_cols, cols) = framed(shape_x), framed(shape_cols)
        windows.im2col(x, cols, *kernel, *stride, *padding, *dilation, 0, oh, ow)
        assert set(np.unique(cols)) <= {0, 1}
        windows.col2im(cols, x, *kernel, *stride, *padding, *dilation, 0, oh, ow)
        assert np.isfinite(x).all()
        for memory in (around_x, around_cols):
            assert np.isnan(memory[:32]).all()
            assert np.isnan(memory[-32:]).all()
