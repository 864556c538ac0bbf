"""Convolution of the im2col backend: the compiled kernels against the loops of `reference`, exact on whole numbers."""

import os
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl._ext import im2col as windows
from minidl.kernels import im2col, reference
from minidl.kernels.im2col import conv

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 4), st.integers(1, 4))
paddings = st.tuples(st.integers(0, 4), st.integers(0, 4))
dilations = st.tuples(st.integers(1, 3), st.integers(1, 3))
dtypes = st.sampled_from([np.float32, np.float64])


def fits(size, kernel, padding, dilation):
    return all(d * (k - 1) + 1 <= n + 2 * p for n, k, p, d in zip(size, kernel, padding, dilation, strict=True))


def whole(rng, shape, dtype):
    """Small whole numbers, so that every order of summation gives the same float."""
    return rng.integers(-4, 5, shape).astype(dtype)


@pytest.mark.skipif(os.environ.get("MINIDL_SANITIZE") != "1", reason="only under make sanitize")
def test_sanitized_build_is_the_one_tested():
    assert os.path.join("build", "sanitize") in windows.__file__


def test_im2col_of_a_small_image_by_hand():
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    cols = im2col.im2col(x, (2, 1), (1, 2), (1, 0), (1, 1))
    np.testing.assert_array_equal(cols, [[0, 0, 0, 2, 3, 5], [0, 2, 3, 5, 0, 0]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 3), st.integers(1, 3), sizes, kernels, strides, paddings, dilations, dtypes, st.integers(0, 99))
def test_im2col_and_col2im_equal_reference(n, c, size, kernel, stride, padding, dilation, dtype, seed):
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
def test_col2im_is_the_adjoint_of_im2col(n, c, size, kernel, stride, padding, dilation, seed):
    assume(fits(size, kernel, padding, dilation))
    rng = np.random.default_rng(seed)
    x = whole(rng, (n, c, *size), np.float64)
    cols = im2col.im2col(x, kernel, stride, padding, dilation)
    other = whole(rng, cols.shape, np.float64)
    assert np.vdot(cols, other) == np.vdot(x, im2col.col2im(other, x.shape, kernel, stride, padding, dilation))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    sizes,
    kernels,
    strides,
    paddings,
    dilations,
    dtypes,
    st.sampled_from([1, 600, 2**21]),
    st.integers(0, 99),
)
def test_convolution_equals_reference(
    n, groups, cg, og, size, kernel, stride, padding, dilation, dtype, scratch_bytes, seed
):
    assume(fits(size, kernel, padding, dilation))
    rng = np.random.default_rng(seed)
    x = whole(rng, (n, groups * cg, *size), dtype)
    w = whole(rng, (groups * og, cg, *kernel), dtype)
    b = whole(rng, groups * og, dtype)
    geometry = (stride, padding, dilation, groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "SCRATCH_BYTES", scratch_bytes)
        y = im2col.conv2d_forward(x, w, b, *geometry)
        dy = whole(rng, y.shape, dtype)
        grads = im2col.conv2d_backward(dy, x, w, *geometry)
    np.testing.assert_array_equal(y, reference.conv2d_forward(x, w, b, *geometry), strict=True)
    for got, expected in zip(grads, reference.conv2d_backward(dy, x, w, *geometry), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize(("rows", "expected"), [(1, 12), (3, 8), (5, 4), (9, 4), (10, 2), (14, 2), (20, 1)])
def test_chunks_cover_every_row_once(rows, expected):
    """4 images of 5 rows, less the last: whole images where they fit, else rows of one."""
    n, oh = (4, 5) if expected != 12 else (4, 3)
    chunks = list(conv._chunks(n, oh, conv.SCRATCH_BYTES // rows))
    seen = np.zeros((n, oh), int)
    for images, lines in chunks:
        seen[images, lines] += 1
        assert seen[images, lines].size <= rows
    assert (seen == 1).all()
    assert len(chunks) == expected


def test_scratch_stays_bounded():
    """The whole matrix of this batch has 150 MB; what comes on top of the results may only be a few chunks."""
    x = np.ones((128, 8, 64, 64), np.float32)
    w = np.ones((1, 8, 3, 3), np.float32)
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    tracemalloc.start()
    y = im2col.conv2d_forward(x, w, None, *geometry)
    forward = tracemalloc.get_traced_memory()[1] - y.nbytes
    tracemalloc.reset_peak()
    im2col.conv2d_backward(y, x, w, *geometry)
    backward = tracemalloc.get_traced_memory()[1] - y.nbytes - x.nbytes
    tracemalloc.stop()
    assert forward < 3 * conv.SCRATCH_BYTES
    assert backward < 3 * conv.SCRATCH_BYTES


def test_gradients_go_where_asked_and_only_where_asked():
    rng = np.random.default_rng(0)
    x, w = whole(rng, (2, 2, 5, 4), np.float32), whole(rng, (3, 2, 3, 2), np.float32)
    geometry = ((2, 1), (1, 0), (1, 1), 1)
    dy = whole(rng, im2col.conv2d_forward(x, w, None, *geometry).shape, np.float32)
    dx, dw, db = im2col.conv2d_backward(dy, x, w, *geometry)
    out = np.full_like(w, np.nan), np.full(3, np.nan, np.float32)
    none, *same = im2col.conv2d_backward(dy, x, w, *geometry, need_dx=False, out=out)
    assert none is None
    assert same[0] is out[0]
    assert same[1] is out[1]
    np.testing.assert_array_equal(out[0], dw)
    np.testing.assert_array_equal(out[1], db)
    assert im2col.conv2d_backward(dy, x, w, *geometry, out=(out[0], None))[2] is None
    assert dx.shape == x.shape


def test_empty_batch_has_zero_gradients():
    x, w = np.zeros((0, 2, 5, 5), np.float32), np.ones((4, 2, 3, 3), np.float32)
    y = im2col.conv2d_forward(x, w, np.ones(4, np.float32), (1, 1), (0, 0), (1, 1), 1)
    assert y.shape == (0, 4, 3, 3)
    dx, dw, db = im2col.conv2d_backward(y, x, w, (1, 1), (0, 0), (1, 1), 1)
    assert dx.shape == x.shape
    assert not dw.any()
    assert not db.any()


def test_wrong_shapes_are_refused_before_the_kernel():
    x, w = np.zeros((3, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"conv2d: dy must have shape \(3, 1, 2, 2\)"):
        im2col.conv2d_backward(np.zeros((2, 1, 2, 2), np.float32), x, w, (1, 1), (0, 0), (1, 1), 1)
    with pytest.raises(ValueError, match=r"conv2d: .* width must be at least 1"):
        im2col.conv2d_forward(x[..., :0], w, None, (1, 1), (1, 2), (1, 1), 1)
    with pytest.raises(ValueError, match="conv2d: input must have 1 channels"):
        im2col.conv2d_forward(np.zeros((3, 2, 4, 4), np.float32), w, None, (1, 1), (0, 0), (1, 1), 1)
    with pytest.raises(ValueError, match=r"col2im: cols must have shape \(9, 12\)"):
        im2col.col2im(np.zeros((9, 11)), x.shape, (3, 3), (1, 1), (0, 0), (1, 1))


def test_read_only_and_strided_inputs_work():
    x = np.arange(2 * 3 * 5 * 4, dtype=np.float64).reshape(2, 4, 5, 3).transpose(0, 3, 2, 1)
    x.setflags(write=False)
    w = np.ones((2, 3, 3, 2))
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    np.testing.assert_array_equal(
        im2col.conv2d_forward(x, w, None, *geometry), reference.conv2d_forward(x, w, None, *geometry)
    )


@pytest.mark.parametrize("kernel", [(4, 1), (1, 4), (3, 2)])
def test_kernels_keep_inside_their_arrays(kernel):
    """The arrays lie between margins of NaN: none is written, and none is read into a result."""
    size, stride, padding, dilation = (5, 7), (2, 3), (3, 1), (1, 2)
    oh, ow = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation))
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


def test_python_threads_share_the_kernels():
    rng = np.random.default_rng(1)
    x, w = whole(rng, (8, 4, 16, 16), np.float32), whole(rng, (8, 4, 3, 3), np.float32)
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    expected = im2col.conv2d_forward(x, w, None, *geometry)
    wrong = []

    def work():
        for _ in range(10):
            if not np.array_equal(im2col.conv2d_forward(x, w, None, *geometry), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
