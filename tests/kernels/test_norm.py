"""Batch normalisation: published numbers, central differences; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)


class TestReference:
    def settings(self, channels):
        return np.zeros(channels), np.zeros(channels), 0.9, 1e-5

    def test_the_published_training_statistics(self):
        """CS231n assignment 2, "Spatial batch normalization: forward", whose seed is 231."""
        legacy = np.random.RandomState(231)
        x = 4 * legacy.randn(2, 3, 4, 5) + 10
        np.testing.assert_allclose(x.mean((0, 2, 3)), [9.33463814, 8.90909116, 9.11056338], rtol=0, atol=5e-9)
        np.testing.assert_allclose(x.std((0, 2, 3)), [3.61447857, 3.19347686, 3.5168142], rtol=0, atol=5e-9)
        y, mean, inv_std = reference.batchnorm_forward(x, np.ones(3), np.zeros(3), *self.settings(3), True)
        np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-14)
        np.testing.assert_allclose(y.std((0, 2, 3)), [0.99999962, 0.99999951, 0.9999996], rtol=0, atol=5e-9)
        np.testing.assert_allclose(mean, [9.33463814, 8.90909116, 9.11056338], rtol=0, atol=5e-9)
        np.testing.assert_allclose(1 / inv_std, np.sqrt(x.var((0, 2, 3)) + 1e-5))
        gamma, beta = np.array([3.0, 4, 5]), np.array([6.0, 7, 8])
        y, _, _ = reference.batchnorm_forward(x, gamma, beta, *self.settings(3), True)
        np.testing.assert_allclose(y.mean((0, 2, 3)), [6, 7, 8], rtol=1e-14)
        np.testing.assert_allclose(y.std((0, 2, 3)), [2.99999885, 3.99999804, 4.99999798], rtol=0, atol=5e-9)

    def test_the_published_test_time_statistics(self):
        """The same notebook: 50 training passes, then one with the running statistics, which start at zero."""
        legacy = np.random.RandomState(231)
        mean, var, momentum, eps = self.settings(4)
        for train in [True] * 50 + [False]:
            x = 2.3 * legacy.randn(10, 4, 11, 12) + 13
            y, _, _ = reference.batchnorm_forward(x, np.ones(4), np.zeros(4), mean, var, momentum, eps, train)
        means, deviations = y.mean((0, 2, 3)), y.std((0, 2, 3))
        np.testing.assert_allclose(means, [-0.08034406, 0.07562881, 0.05716371, 0.04378383], rtol=0, atol=5e-9)
        np.testing.assert_allclose(deviations, [0.96718744, 1.0299714, 1.02887624, 1.00585577], rtol=0, atol=5e-9)

    @pytest.mark.parametrize("momentum", [0.0, 0.25, 1.0])
    def test_momentum_keeps_its_share_of_the_old(self, momentum, rng):
        x, mean, var = rng.standard_normal((5, 2)), np.array([3.0, 4]), np.array([5.0, 6])
        reference.batchnorm_forward(x, np.ones(2), np.zeros(2), mean, var, momentum, 1e-5, True)
        compare.check(mean, momentum * np.array([3.0, 4]) + (1 - momentum) * x.mean(0))
        compare.check(var, momentum * np.array([5.0, 6]) + (1 - momentum) * x.var(0))

    @pytest.mark.parametrize("train", [True, False])
    @pytest.mark.parametrize("shape", [(2, 3, 4, 5), (6, 3)])
    def test_gradients(self, shape, train, rng):
        x, dy = 5 * rng.standard_normal(shape) + 12, rng.standard_normal(shape)
        gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
        running = rng.standard_normal(3) + 12, rng.uniform(10, 30, 3)

        def forward(_):
            copies = running[0].copy(), running[1].copy()
            return reference.batchnorm_forward(x, gamma, beta, *copies, 0.9, 1e-5, train)[0]

        _, mean, inv_std = reference.batchnorm_forward(x, gamma, beta, *map(np.copy, running), 0.9, 1e-5, train)
        gradients = reference.batchnorm_backward(dy, x, gamma, mean, inv_std, train)
        for got, argument in zip(gradients, (x, gamma, beta), strict=True):
            compare.check(got, numeric.gradient(forward, argument, dy), tolerance=1e-7)

    def test_the_running_statistics_rest_outside_training(self, rng):
        mean, var = np.array([1.0, 2]), np.array([4.0, 9])
        x = rng.standard_normal((4, 2, 3, 3))
        y, used, inv_std = reference.batchnorm_forward(x, np.ones(2), np.zeros(2), mean, var, 0.9, 0.0, False)
        assert mean.tolist() == used.tolist() == [1, 2]
        assert var.tolist() == [4, 9]
        compare.check(inv_std, np.array([1 / 2, 1 / 3]))
        compare.check(y[:, 1], (x[:, 1] - 2) / 3)


@dtypes
@shapes
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_batchnorm(backend, shape, dtype, train, rng):
    x = (4 * rng.standard_normal(shape) + 10).astype(dtype)
    dy = cases.random(rng, shape, dtype)
    channels = (shape[1],)
    gamma, beta, mean = (cases.random(rng, channels, dtype) for _ in range(3))
    running = [mean, rng.uniform(0.5, 2, channels).astype(dtype)]
    expected_running = list(judged.wide(*running))
    expected = reference.batchnorm_forward(*judged.wide(x, gamma, beta), *expected_running, 0.9, 1e-5, train)
    y, mean, inv_std = backend.batchnorm_forward(backend.enter(x), gamma, beta, *running, 0.9, 1e-5, train)
    compare.check(mean, expected[1], dtype)
    # One image of one pixel, or a batch whose variance is 0, would divide rounding errors by sqrt(eps).
    steady = not train or x.size // shape[1] > 1
    if steady:
        compare.check(backend.leave(y), expected[0], dtype, tolerance=1e-5 if dtype == np.float32 else 1e-12)
        compare.check(inv_std, expected[2], dtype)
    for got, wanted in zip(running, expected_running, strict=True):
        compare.check(got, wanted, dtype)

    out = [compare.Guarded(channels, dtype) for _ in range(2)]
    dx, dgamma, dbeta = backend.batchnorm_backward(
        backend.enter(dy), backend.enter(x), gamma, mean, inv_std, train, (out[0].array, out[1].array)
    )
    assert dgamma is out[0].array
    assert dbeta is out[1].array
    expected = reference.batchnorm_backward(*judged.wide(dy, x, gamma, mean, inv_std), train)
    for got, wanted in zip((backend.leave(dx), dgamma, dbeta), expected, strict=True):
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        scale = 1.0 if steady else 1 / np.sqrt(1e-5)
        compare.check(got, wanted, dtype, tolerance=tolerance * scale)
    for guard in out:
        guard.check()


def test_batchnorm_of_an_empty_batch_changes_nothing(backend):
    gamma, beta, mean, var = np.ones(3), np.zeros(3), np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    x = backend.enter(np.zeros((0, 3, 2, 2)))
    y, batch_mean, inv_std = backend.batchnorm_forward(x, gamma, beta, mean, var, 0.9, 1e-5, True)
    assert tuple(y.shape) == (0, 3, 2, 2)
    compare.check(batch_mean, np.zeros(3), exact=True)
    compare.check(inv_std, np.full(3, 1 / np.sqrt(1e-5)))
    compare.check(mean, np.array([1.0, 2, 3]), exact=True)
    compare.check(var, np.array([4.0, 5, 6]), exact=True)


@dtypes
def test_batchnorm_of_a_large_mean_keeps_its_variance(backend, dtype, rng):
    """A variance taken as mean of squares minus square of mean would lose every digit here."""
    x = (rng.integers(-1, 2, (9, 2, 16, 16)) + 4096).astype(dtype)
    ones, zeros = np.ones(2, dtype), np.zeros(2, dtype)
    _, mean, inv_std = backend.batchnorm_forward(
        backend.enter(x), ones, zeros, zeros.copy(), ones.copy(), 0.9, 1e-5, True
    )
    wide = x.astype(np.float64)
    compare.check(mean, wide.mean((0, 2, 3)), dtype, tolerance=1e-6)
    compare.check(inv_std, 1 / np.sqrt(wide.var((0, 2, 3)) + 1e-5), dtype, tolerance=1e-5)


@dtypes
class TestIm2col:
    @pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 3)])
    @pytest.mark.parametrize("train", [True, False])
    def test_batchnorm(self, shape, train, dtype, rng):
        x, dy = (2 + 3 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
        gamma, beta, mean, var = (rng.random(3).astype(dtype) for _ in range(4))
        results = []
        for backend in (im2col, reference):
            running = mean.copy(), var.copy()
            y, m, s = backend.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-5, train)
            results.append([y, m, s, *running, *backend.batchnorm_backward(dy, x, gamma, m, s, train)])
        for got, expected in zip(*results, strict=True):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=3e-6)

    def test_batchnorm_of_nothing_moves_nothing(self, dtype):
        x, ones = np.zeros((0, 2, 3, 3), dtype), np.ones(2, dtype)
        running = np.full(2, 5, dtype), np.full(2, 7, dtype)
        y, mean, inv_std = im2col.batchnorm_forward(x, ones, ones, *running, 0.5, 0.25, True)
        assert y.shape == x.shape
        assert mean.tolist() == [0, 0]
        assert inv_std.tolist() == [2, 2]
        assert running[0].tolist() == [5, 5]
        assert running[1].tolist() == [7, 7]
        dx, dgamma, dbeta = im2col.batchnorm_backward(y, x, ones, mean, inv_std)
        assert dx.shape == x.shape
        assert dgamma.tolist() == dbeta.tolist() == [0, 0]
