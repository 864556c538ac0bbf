"""Weights of rows and classes, in every loss and backend: by hand, by repeated rows, the edges."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged
from kernels.losses import ALL, LOSS, draw

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


every = pytest.mark.parametrize("name", ALL)


@dtypes
@every
def test_weights_against_the_reference(backend, name, dtype, rng):
    for n in cases.BATCHES:
        x, t = draw(rng, (n, 5), dtype)
        w = (rng.random(n) * rng.integers(0, 2, n)).astype(dtype)
        expected = ALL[name](reference, *judged.wide(x, t, w))
        loss, dx, *correct = ALL[name](backend, backend.enter(x), t, w)
        with compare.during(n, "rows"):
            compare.check_number(loss, expected[0], LOSS[dtype])
            compare.check(backend.leave(dx), expected[1], dtype, at_least=1 / max(w.sum(), 1))
            assert all(type(each) is float for each in correct)
            assert correct == pytest.approx(list(expected[2:]), rel=1e-12)


@every
def test_a_weighted_row_is_a_repeated_row(name, rng):
    x, t = draw(rng, (9, 4), np.float64)
    w = rng.integers(0, 4, 9)
    rows = np.repeat(np.arange(9), w)
    loss, dx, *correct = ALL[name](reference, x, t, w.astype(np.float64))
    expected = ALL[name](reference, x[rows], t[rows], None)
    assert loss == pytest.approx(expected[0], rel=1e-13)
    summed = np.zeros_like(dx)
    np.add.at(summed, rows, expected[1])
    compare.check(dx, summed)
    assert correct == list(expected[2:])


@dtypes
@every
def test_a_row_of_weight_0_counts_nothing(any_backend, name, dtype, rng):
    """Not even where it has a NaN or an infinity."""
    x, t = draw(rng, (21, 4), dtype)
    w = np.ones(21, dtype)
    w[[3, 17]] = 0
    kept = np.flatnonzero(w)
    expected = ALL[name](any_backend, any_backend.enter(x[kept]), t[kept], None)
    x[3], x[17] = np.nan, [np.inf, -np.inf, 0, np.inf]
    with np.errstate(invalid="ignore"):
        loss, dx, *correct = ALL[name](any_backend, any_backend.enter(x), t, w)
    assert loss == pytest.approx(expected[0], rel=1e-13)
    gradient = any_backend.leave(dx)
    assert not gradient[[3, 17]].any()
    compare.check(gradient[kept], any_backend.leave(expected[1]), tolerance=1e-6 if dtype == np.float32 else 1e-14)
    assert correct == list(expected[2:])


@dtypes
@every
def test_weights_of_sum_0_give_nothing(any_backend, name, dtype, rng):
    for n in (0, 5, 17):
        x, t = draw(rng, (n, 4), dtype)
        loss, dx, *correct = ALL[name](any_backend, any_backend.enter(x), t, np.zeros(n, dtype))
        assert loss == 0
        assert not any_backend.leave(dx).any()
        assert any_backend.leave(dx).dtype == dtype
        assert correct in ([], [0.0])


@dtypes
@every
def test_weights_of_1_change_nothing(any_backend, name, dtype, rng):
    x, t = draw(rng, (33, 6), dtype)
    plain = ALL[name](any_backend, any_backend.enter(x), t, None)
    ones = ALL[name](any_backend, any_backend.enter(x), t, np.ones(33, dtype))
    assert ones[0] == pytest.approx(plain[0], rel=1e-14)
    compare.check(
        any_backend.leave(ones[1]), any_backend.leave(plain[1]), tolerance=1e-6 if dtype == np.float32 else 1e-15
    )
    assert ones[2:] == plain[2:]


class TestClassWeights:
    """PyTorch's cross_entropy(x, t, weight=c, label_smoothing=s), reduction "mean", by its formulas."""

    X = np.log(np.array([[1.0, 2, 1], [6, 1, 1], [1, 1, 2]]))  # softmax: 1/4 1/2 1/4, 3/4 1/8 1/8, 1/4 1/4 1/2
    C = np.array([1.0, 2, 5])

    def test_labels(self, any_backend):
        """sum c[y] l / sum c[y]"""
        loss, dx, correct = any_backend.softmax_cross_entropy(
            any_backend.enter(self.X), np.array([1, 2, 2]), 0.0, None, self.C
        )
        assert loss == pytest.approx((2 * np.log(2) + 5 * np.log(8) + 5 * np.log(2)) / 12, rel=1e-14)
        rows = np.array([[0.25, -0.5, 0.25], [0.75, 0.125, -0.875], [0.25, 0.25, -0.5]])
        compare.check(any_backend.leave(dx), rows * np.array([[2], [5], [5]]) / 12)
        assert correct == 2

    def test_labels_with_smoothing(self, any_backend):
        """((1 - s) sum c[y] l[y] + s/K sum_n sum_k c[k] l[k]) / sum c[y], l[k] = -log softmax[k]"""
        y, s = np.array([1, 2, 2]), 0.3
        logs = -np.log(np.exp(self.X) / np.exp(self.X).sum(1, keepdims=True))
        picked = (self.C[y] * logs[np.arange(3), y]).sum()
        expected = ((1 - s) * picked + s / 3 * (self.C * logs).sum()) / self.C[y].sum()
        loss, dx, _ = any_backend.softmax_cross_entropy(any_backend.enter(self.X), y, s, None, self.C)
        assert loss == pytest.approx(expected, rel=1e-13)
        t = self.C * ((1 - s) * np.eye(3)[y] + s / 3)
        softmax = np.exp(-logs)
        compare.check(any_backend.leave(dx), (softmax * t.sum(1, keepdims=True) - t) / self.C[y].sum())

    def test_probabilities(self, any_backend):
        """sum_n sum_k c[k] t[n,k] l[n,k] / N"""
        t = np.array([[0.5, 0.5, 0], [0, 0, 1], [0.25, 0.25, 0.5]])
        logs = -np.log(np.exp(self.X) / np.exp(self.X).sum(1, keepdims=True))
        loss, _, correct = any_backend.softmax_cross_entropy(any_backend.enter(self.X), t, 0.0, None, self.C)
        assert loss == pytest.approx((self.C * t * logs).sum() / 3, rel=1e-14)
        assert correct == 1  # the weights of the classes do not move the target's first maximum

    @dtypes
    def test_with_weights_of_rows(self, backend, dtype, rng):
        c = np.array([0.5, 0, 3, 1, 2], dtype)
        for n in cases.BATCHES:
            x, t = draw(rng, (n, 5), dtype)
            w = rng.random(n).astype(dtype)
            for target in (rng.integers(0, 5, n), t):
                for smoothing, weight in ((0.0, w), (0.2, w), (0.2, None)):
                    wide = target if target.ndim == 1 else target.astype(np.float64)
                    expected = reference.softmax_cross_entropy(
                        *judged.wide(x), wide, smoothing, *judged.wide(weight, c)
                    )
                    loss, dx, correct = backend.softmax_cross_entropy(backend.enter(x), target, smoothing, weight, c)
                    compare.check_number(loss, expected[0], LOSS[dtype])
                    compare.check(backend.leave(dx), expected[1], dtype, at_least=1 / max(n, 1))
                    assert correct == pytest.approx(expected[2], rel=1e-12)

    def test_they_multiply(self, any_backend, rng):
        x, y, w = rng.standard_normal((7, 3)), np.array([0, 1, 2, 2, 1, 0, 0]), rng.random(7)
        entered = any_backend.enter(x)
        both = any_backend.softmax_cross_entropy(entered, y, 0.0, w, self.C)
        product = any_backend.softmax_cross_entropy(entered, y, 0.0, w * self.C[y])
        assert both[0] == pytest.approx(product[0], rel=1e-14)
        compare.check(any_backend.leave(both[1]), any_backend.leave(product[1]))

    def test_labels_of_weight_0_alone_give_nothing(self, any_backend):
        c = np.array([0.0, 2, 5])
        loss, dx, _ = any_backend.softmax_cross_entropy(any_backend.enter(self.X), np.zeros(3, int), 0.3, None, c)
        assert loss == 0
        assert not any_backend.leave(dx).any()
