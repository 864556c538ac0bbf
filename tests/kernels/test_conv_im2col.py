"""Convolution as a matrix product: its chunks, its scratch, its checks; drawn windows against the reference."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels.drawn import dilations, dtypes, fits, kernels, paddings, sizes, strides, whole

from minidl.kernels import im2col, reference
from minidl.kernels.im2col import conv


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
