"""Losses of single values: by hand, PyTorch's numbers, the edges; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged
from kernels.losses import LOSS, VALUES, draw

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
every = pytest.mark.parametrize("name", VALUES)


class TestReference:
    def test_sigmoid_cross_entropy_by_hand(self):
        """sigmoid(log 3) = 3/4; PyTorch: binary_cross_entropy_with_logits(x, t, pos_weight=(1, 2)), mean of all."""
        x, t = np.log([[3.0, 1 / 3], [1, 3]]), np.array([[1.0, 0], [0.5, 1]])
        loss, dx, correct = reference.sigmoid_cross_entropy(x, t, None, np.array([1.0, 2]))
        assert loss == pytest.approx((3 * np.log(4 / 3) + np.log(2) + np.log(4 / 3)) / 4)
        compare.check(dx, np.array([[-0.25, 0.25], [0, -0.5]]) / 4)
        assert correct == 3  # 0 is a no, and 1/2 wants a yes

    def test_pytorchs_numbers(self):
        """binary_cross_entropy_with_logits, l1_loss, huber_loss(delta=1.5), mse_loss of PyTorch 2, in float64.

        Each is the mean over all six values of: -t log s - (1 - t) log(1 - s) with s = sigmoid(x); |x - t|;
        min(d^2 / 2, 1.5 (|d| - 0.75)); d^2.
        """
        x = np.array([[0.5, -1.25, 2.0], [-3.0, 0.0, 4.0]])
        t = np.array([[1.0, 0.0, 0.25], [0.0, 1.0, 1.0]])
        s = 1 / (1 + np.exp(-x))
        expected = np.mean(-t * np.log(s) - (1 - t) * np.log(1 - s))
        assert reference.sigmoid_cross_entropy(x, t)[0] == pytest.approx(expected, rel=1e-14)
        assert reference.sigmoid_cross_entropy(x, t)[0] == pytest.approx(0.5188031, abs=1e-7)
        assert reference.l1_loss(x, t)[0] == pytest.approx((0.5 + 1.25 + 1.75 + 3 + 1 + 3) / 6)
        huber = (0.125 + 0.78125 + 1.5 * 1 + 1.5 * 2.25 + 0.5 + 1.5 * 2.25) / 6
        assert reference.huber_loss(x, t, 1.5)[0] == pytest.approx(huber)
        assert reference.mse_loss(x, t, None, True)[0] == pytest.approx((0.25 + 1.5625 + 3.0625 + 9 + 1 + 9) / 6)
        compare.check(reference.l1_loss(x, t)[1], np.array([[-1, -1, 1], [-1, -1, 1.0]]) / 6)
        compare.check(reference.huber_loss(x, t, 1.5)[1], np.array([[-0.5, -1.25, 1.5], [-1.5, -1, 1.5]]) / 6)


@dtypes
@every
@pytest.mark.parametrize("n", cases.BATCHES)
def test_against_the_reference(backend, name, n, dtype, rng):
    for f in (1, 2, 10, 203):
        x, t = draw(rng, (n, f), dtype)
        expected = VALUES[name](reference, *judged.wide(x, t), None)
        with compare.during(name, f, "values"):
            loss, dx, *correct = VALUES[name](backend, backend.enter(x), t, None)
            compare.check_number(loss, expected[0], LOSS[dtype])
            compare.check(backend.leave(dx), expected[1], dtype)
            assert correct == list(expected[2:])
            assert all(type(each) is int for each in correct)


@dtypes
@shapes
@pytest.mark.parametrize("name", ["mse", "mse, mean", "l1", "huber", "squared error"])
def test_images(backend, name, shape, dtype, rng):
    x, t = draw(rng, shape, dtype)
    expected = VALUES[name](reference, *judged.wide(x, t), None)
    loss, dx = VALUES[name](backend, backend.enter(x), t, None)
    compare.check_number(loss, expected[0], LOSS[dtype])
    compare.check(backend.leave(dx), expected[1], dtype)


@dtypes
def test_whole_numbers_are_exact(any_backend, dtype, rng):
    x, t = cases.random(rng, (64, 32), dtype, True), cases.random(rng, (64, 32), dtype, True)
    d = (x - t).astype(np.float64)
    w = rng.integers(0, 3, 64)
    w[0] += 64 - w.sum() % 64  # their sum is a multiple of 64
    entered, total = any_backend.enter(x), w.sum()
    assert any_backend.mse_loss(entered, t)[0] == (d**2).sum() / 128
    assert any_backend.mse_loss(entered, t, None, True)[0] == (d**2).mean()
    assert any_backend.l1_loss(entered, t)[0] == np.abs(d).mean()
    huber = np.where(np.abs(d) <= 2, d**2 / 2, 2 * (np.abs(d) - 1))
    assert any_backend.huber_loss(entered, t, 2.0)[0] == huber.mean()
    np.testing.assert_array_equal(any_backend.leave(any_backend.l1_loss(entered, t)[1]), np.sign(d) / 2048)
    loss = any_backend.l1_loss(entered, t, w.astype(dtype))[0]
    assert loss == pytest.approx((np.abs(d).mean(1) * w).sum() / total, rel=1e-15)


@dtypes
def test_sigmoid_cross_entropy_at_the_edges(any_backend, dtype):
    """Neither overflow, nor a difference of equal numbers, nor 0 * inf."""
    x = np.array([[1000, -1000, 30, -30, 0, np.inf, -np.inf]], dtype)
    t = np.array([[1, 0, 0, 1, 0.5, 1, 0]], dtype)
    with np.errstate(over="raise", invalid="raise"):
        loss, dx, correct = any_backend.sigmoid_cross_entropy(any_backend.enter(x), t)
    compare.check_number(loss, (60 + np.log(2)) / 7, LOSS[dtype])
    compare.check(any_backend.leave(dx), np.array([[0, 0, 1, -1, 0, 0, 0]]) / 7, dtype)
    assert correct == 4  # at 30 and -30 the answer is wrong, at 0 it is no
    small = np.array([[-20, -60]], dtype)
    loss, dx, _ = any_backend.sigmoid_cross_entropy(any_backend.enter(small), np.zeros_like(small))
    expected = np.exp([[-20.0, -60]])
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(any_backend.leave(dx), expected / 2, rtol=1e-5)
    loss, dx, _ = any_backend.sigmoid_cross_entropy(any_backend.enter(-small), np.ones_like(small))
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(any_backend.leave(dx), -expected / 2, rtol=1e-5)


@dtypes
def test_sigmoid_cross_entropy_over_its_range(any_backend, dtype):
    x = np.linspace(-25, 25, 2001).astype(dtype)[:, None]
    for target in (0, 1):
        wide = x.astype(np.float64) * (1 - 2 * target)
        _, dx, correct = any_backend.sigmoid_cross_entropy(any_backend.enter(x), np.full_like(x, target))
        expected = (1 - 2 * target) / (1 + np.exp(-wide)) / 2001
        np.testing.assert_allclose(any_backend.leave(dx), expected, rtol=2e-6 if dtype == np.float32 else 1e-14)
        assert correct == (1001 if target == 0 else 1000)
        for value in (-25, -3.3, -0.01, 0, 0.5, 2, 7.7):
            one = np.array([[value]], dtype)
            loss = any_backend.sigmoid_cross_entropy(any_backend.enter(one), np.full_like(one, target))[0]
            exact = np.logaddexp(0, float(one[0, 0]) * (1 - 2 * target))
            assert loss == pytest.approx(exact, rel=1e-6 if dtype == np.float32 else 1e-14)


@dtypes
@every
def test_a_nan_stays_with_its_row(any_backend, name, dtype, rng):
    x, t = draw(rng, (37, 5), dtype)
    x[20, 3] = np.nan
    loss, dx, *correct = VALUES[name](any_backend, any_backend.enter(x), t, None)
    assert np.isnan(loss)
    assert np.argwhere(np.isnan(any_backend.leave(dx))).tolist() == [[20, 3]]
    if correct:
        assert correct == [np.count_nonzero(((x > 0) == (t >= 0.5)) & ~np.isnan(x))]


@dtypes
def test_distance_of_nothing_has_no_direction(any_backend, dtype):
    x = np.array([[2, 0, -1, np.inf]], dtype)
    _, dx = any_backend.l1_loss(any_backend.enter(x), np.array([[2, 1, -2, 0]], dtype))
    np.testing.assert_array_equal(any_backend.leave(dx), np.array([[0, -1, 1, 1]], dtype) / 4)
    loss, dx = any_backend.huber_loss(any_backend.enter(x), np.array([[2, 1, -2, 0]], dtype), 0.5)
    assert loss == np.inf
    np.testing.assert_array_equal(any_backend.leave(dx), np.array([[0, -0.5, 0.5, 0.5]], dtype) / 4)
