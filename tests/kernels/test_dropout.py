"""Dropout: its share, its mean, its generator; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import counter_random, im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)


class TestReference:
    def test_the_share_and_the_mean(self):
        """CS231n assignment 2: normal numbers around 10 keep their mean, for every rate."""
        x = np.random.RandomState(231).randn(500, 500) + 10
        for rate in 0.25, 0.6, 0.75:
            y = reference.dropout_forward(x, rate, key=7)
            assert abs(np.mean(y == 0) - rate) < 4e-3
            assert abs(y.mean() - 10) < 0.08
            kept = y != 0
            compare.check(y[kept], x[kept] / (1 - rate))

    def test_the_gradient(self, rng):
        x, dy = rng.standard_normal((4, 3, 2, 2)) + 10, rng.standard_normal((4, 3, 2, 2))
        expected = numeric.gradient(lambda x: reference.dropout_forward(x, 0.4, 99), x, dy)
        compare.check(reference.dropout_backward(dy, 0.4, 99), expected, tolerance=1e-7)

    def test_the_key_alone_decides(self):
        x = np.ones((50, 40))
        first = reference.dropout_forward(x, 0.5, 1)
        compare.check(reference.dropout_forward(x.reshape(50, 4, 5, 2), 0.5, 1).reshape(50, 40), first, exact=True)
        compare.check(reference.dropout_forward(x[:9], 0.5, 1), first[:9], exact=True)
        assert not np.array_equal(reference.dropout_forward(x, 0.5, 2), first)

    def test_rate_zero_changes_nothing_and_a_dropped_nan_is_zero(self):
        x = np.full((2, 50), np.nan)
        assert np.isnan(reference.dropout_forward(x, 0.0, 5)).all()
        mask = counter_random.keep_mask((2, 50), 0.5, 5)
        assert np.isnan(reference.dropout_forward(x, 0.5, 5)).tolist() == mask.tolist()

    def test_the_generator_is_splitmix64(self):
        """The first outputs of SplitMix64 seeded with 0 and with 1234567, as its authors publish them."""
        first = counter_random.mix(0, np.arange(3, dtype=np.uint64))
        assert [hex(int(z)) for z in first] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]
        second = counter_random.mix(1234567, np.arange(3, dtype=np.uint64))
        assert second.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@dtypes
@shapes
def test_dropout(backend, shape, dtype, rng):
    for rate, key in ((0.5, 1), (0.25, 2**64 - 1), (0.9, 123456789), (0.0, 0)):
        with compare.during("rate", rate, "key", key):
            x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            y = backend.leave(backend.dropout_forward(backend.enter(x), rate, key))
            expected = reference.dropout_forward(x.astype(np.float64), rate, key)
            compare.check(y == 0, expected == 0, exact=True)
            compare.check(y, expected, dtype)
            dx = backend.leave(backend.dropout_backward(backend.enter(dy), rate, key))
            compare.check(dx, reference.dropout_backward(dy.astype(np.float64), rate, key), dtype)


@dtypes
class TestIm2col:
    def test_dropout_masks_are_those_of_reference(self, dtype, rng):
        x = rng.standard_normal((3, 2, 4, 4)).astype(dtype)
        x[0, 0, 0] = np.inf
        y = im2col.dropout_forward(x, 0.4, 2**64 - 1)
        np.testing.assert_allclose(y, reference.dropout_forward(x, 0.4, 2**64 - 1), rtol=1e-6)
        np.testing.assert_array_equal(im2col.dropout_backward(x, 0.4, 2**64 - 1), y, strict=True)
