"""Arrays on their way in and out of every backend, and batches gathered from a data set."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


@dtypes
@pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
def test_layout(backend, shape, dtype, rng):
    a, b = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    entered = backend.enter(a)
    assert tuple(entered.shape) == shape
    assert entered.ndim == len(shape)
    assert entered.dtype == dtype
    compare.check(backend.leave(entered), a, exact=True)
    compare.check(backend.leave(backend.add(entered, backend.enter(b))), a + b, exact=True)
    compare.check(backend.leave(entered), a, exact=True)
    flat = backend.reshape(entered, (int(np.prod(shape[1:])),))
    compare.check(backend.leave(flat), a.reshape(shape[0], int(np.prod(shape[1:]))), exact=True)
    compare.check(backend.leave(backend.reshape(flat, shape[1:])), a, exact=True)


@pytest.mark.parametrize("source", [np.uint8, np.float32, np.float64])
@dtypes
@pytest.mark.parametrize("image", [(3, 4, 5), (1, 28, 3), (7,)], ids=str)
def test_gather(backend, source, dtype, image, rng):
    for n in cases.BATCHES:
        with compare.during("batch", n):
            images = rng.integers(0, 256, (20, *image)).astype(source)
            index = rng.integers(0, 20, n).astype(np.intp)
            scale = np.array([0.5, 2, 0.25, 1, 4, 8, 1][: image[0]], dtype)
            shift = np.arange(image[0]).astype(dtype) - 1
            expected = reference.gather(images, index, scale, shift)
            compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, exact=True)
            scale, shift = (cases.random(rng, (image[0],), dtype) for _ in range(2))
            expected = reference.gather(images.astype(np.float64), index, *judged.wide(scale, shift))
            compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, dtype)


@dtypes
def test_gather_scales_all_features_alike(backend, dtype, rng):
    images, index = rng.integers(0, 256, (9, 6)).astype(np.uint8), np.array([8, 0, 8, 3], np.intp)
    scale, shift = np.array([0.5], dtype), np.array([-3], dtype)
    expected = images[index].astype(dtype) * scale - 3
    compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, exact=True)


@dtypes
class TestIm2col:
    def test_gather_is_one_multiplication_and_one_addition(self, dtype, rng):
        images = rng.integers(0, 256, (6, 2, 3, 4)).astype(np.uint8)
        index = np.array([5, 0, 5], np.intp)
        scale, shift = np.array([0.1, 3], dtype), np.array([-1, 0.3], dtype)
        y = im2col.gather(images, index, scale, shift)
        expected = images[index].astype(dtype) * scale[:, None, None] + shift[:, None, None]
        np.testing.assert_array_equal(y, expected, strict=True)

    def test_gather_of_flat_images(self, dtype, rng):
        images = rng.standard_normal((6, 3)).astype(dtype)
        y = im2col.gather(images, np.array([1], np.intp), np.ones(1, dtype), np.zeros(1, dtype))
        np.testing.assert_array_equal(y, images[1:2], strict=True)
        assert im2col.gather(images, np.empty(0, np.intp), np.ones(3, dtype), np.zeros(3, dtype)).shape == (0, 3)
