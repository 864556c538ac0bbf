"""The naive linear layer, activations, normalisation and dropout: published numbers and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import counter_random, reference


def test_the_published_affine_numbers():
    """CS231n assignment 2, "Affine layer: forward"; its weights are (F, O)."""
    x = np.linspace(-0.1, 0.5, 2 * 120).reshape(2, 120)
    w = np.linspace(-0.2, 0.3, 120 * 3).reshape(120, 3)
    published = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    y = reference.linear_forward(x, np.ascontiguousarray(w.T), np.linspace(-0.3, 0.1, 3))
    np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)


def test_linear_gradients(rng):
    x, w, b, dy = (rng.standard_normal(shape) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
    compare.check(reference.linear_forward(x, w, b), x @ w.T + b)
    gradients = reference.linear_backward(dy, x, w)
    for got, argument in zip(gradients, (x, w, b), strict=True):
        expected = numeric.gradient(lambda _: reference.linear_forward(x, w, b), argument, dy)
        compare.check(got, expected, tolerance=numeric.TOLERANCE)


def test_the_published_relu_numbers():
    """CS231n assignment 2, "ReLU activation: forward"."""
    y = reference.relu_forward(np.linspace(-0.5, 0.5, 12).reshape(3, 4))
    published = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]]
    np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activation_gradients(name, rng):
    x, dy = rng.standard_normal((3, 4, 2, 2)), rng.standard_normal((3, 4, 2, 2))
    x += np.sign(x) * 0.01  # away from the kink of relu
    forward = getattr(reference, name + "_forward")
    got = getattr(reference, name + "_backward")(dy, forward(x))
    compare.check(got, numeric.gradient(forward, x, dy), tolerance=numeric.TOLERANCE)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_activation_values(dtype):
    x = np.array([[-np.inf, -1000, -1, 0, 1, 1000, np.inf, np.nan]], dtype)
    with np.errstate(all="raise", under="ignore"):
        relu, sigmoid, tanh = reference.relu_forward(x), reference.sigmoid_forward(x), reference.tanh_forward(x)
    compare.check(relu, np.array([[0, 0, 0, 0, 1, 1000, np.inf, np.nan]], dtype), exact=True)
    logistic = 0.2689414213699951
    compare.check(sigmoid, np.array([[0, 0, logistic, 0.5, 1 - logistic, 1, 1, np.nan]]), dtype, 1e-7)
    compare.check(tanh, np.array([[-1, -1, -np.tanh(1), 0, np.tanh(1), 1, 1, np.nan]]), dtype, 1e-7)


class TestBatchNorm:
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


class TestDropout:
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
