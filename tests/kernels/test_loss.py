"""Losses: by hand, published numbers, central differences; every backend against the reference."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
LOSS = {np.float32: 1e-6, np.float64: 1e-13}


class TestReference:
    def test_the_published_loss_of_small_logits(self):
        """CS231n assignment 2, "Loss layers": about 2.3, that is log(10), for ten classes and tiny scores."""
        legacy = np.random.RandomState(231)
        logits = 0.001 * legacy.randn(50, 10)
        target = legacy.randint(10, size=50)
        loss, dlogits, _ = reference.softmax_cross_entropy(logits, target)
        assert loss == pytest.approx(2.3025458445007376, abs=1e-12)
        direction = legacy.randn(50, 10)
        slope = numeric.slope(lambda z: reference.softmax_cross_entropy(z, target)[0], logits, direction)
        assert np.sum(dlogits * direction) == pytest.approx(slope, rel=1e-7)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
    @pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities", "weights"])
    def test_softmax_gradient(self, kind, smoothing, rng):
        logits = rng.standard_normal((4, 5))
        target = {
            "labels": np.array([0, 4, 2, 2]),
            "one-hot": np.eye(5)[[0, 4, 2, 2]],
            "probabilities": rng.dirichlet(np.ones(5), 4),
            "weights": rng.random((4, 5)),
        }[kind]
        _, dlogits, _ = reference.softmax_cross_entropy(logits, target, smoothing)
        expected = numeric.gradient(lambda z: reference.softmax_cross_entropy(z, target, smoothing)[0], logits)
        compare.check(dlogits, expected, tolerance=numeric.TOLERANCE)

    def test_labels_are_one_hot_rows(self, rng):
        logits, labels = rng.standard_normal((6, 3)), np.array([2, 0, 1, 1, 2, 0])
        by_label = reference.softmax_cross_entropy(logits, labels)
        by_row = reference.softmax_cross_entropy(logits, np.eye(3)[labels])
        assert by_label[0] == by_row[0]
        compare.check(by_label[1], by_row[1], exact=True)
        assert by_label[2] == by_row[2]

    def test_the_value_by_hand(self):
        """softmax([log 1, log 3]) = [1/4, 3/4]."""
        loss, dlogits, correct = reference.softmax_cross_entropy(np.log([[1.0, 3.0]]), np.array([0]))
        assert loss == pytest.approx(np.log(4))
        compare.check(dlogits, np.array([[-0.75, 0.75]]))
        assert correct == 0

    def test_smoothing_by_hand(self):
        """Two classes, s = 1/2: t = [3/4, 1/4]; equal logits cost log 2."""
        loss, dlogits, correct = reference.softmax_cross_entropy(np.zeros((1, 2)), np.array([0]), 0.5)
        assert loss == pytest.approx(np.log(2))
        compare.check(dlogits, np.array([[-0.25, 0.25]]))
        assert correct == 1

    def test_large_logits_do_not_overflow(self):
        with np.errstate(all="raise", under="ignore"):
            loss, dlogits, _ = reference.softmax_cross_entropy(np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([0, 0]))
        assert loss == 1e4
        compare.check(dlogits, np.array([[0, 0], [-0.5, 0.5]]))

    def test_a_forbidden_class_counts_nothing(self):
        loss, dlogits, _ = reference.softmax_cross_entropy(np.array([[0.0, -np.inf, 0.0]]), np.array([2]))
        assert loss == pytest.approx(np.log(2))
        compare.check(dlogits, np.array([[0.5, 0, -0.5]]))

    def test_ties_nan_and_the_empty_batch(self):
        logits = np.array([[1.0, 1, 0], [1, 1, 0], [np.nan, 0, 0]])
        assert reference.softmax_cross_entropy(logits, np.array([0, 1, 0]))[2] == 1
        loss, dlogits, correct = reference.softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, np.intp))
        assert (loss, dlogits.shape, correct) == (0.0, (0, 3), 0)

    def test_mse_loss(self, rng):
        x, target = rng.standard_normal((3, 2, 2, 2)), rng.standard_normal((3, 2, 2, 2))
        loss, dx = reference.mse_loss(x, target)
        assert loss == pytest.approx(np.sum((x - target) ** 2) / 6)
        expected = numeric.gradient(lambda x: reference.mse_loss(x, target)[0], x)
        compare.check(dx, expected, tolerance=numeric.TOLERANCE)
        assert reference.mse_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))[0] == 2.5
        assert reference.mse_loss(np.zeros((0, 3)), np.zeros((0, 3)))[0] == 0.0

    def test_margin_loss_by_hand(self):
        """Equation 4 with m+ = 0.9, m- = 0.1, lambda = 0.5."""
        lengths = np.array([[0.5, 0.3, 0.05], [0.95, 0.1, 0.6]])
        loss, dlengths, correct = reference.margin_loss(lengths, np.array([0, 2]))
        assert loss == pytest.approx((0.4**2 + 0.5 * 0.2**2 + 0.3**2 + 0.5 * 0.85**2) / 2)
        compare.check(dlengths, np.array([[-0.4, 0.1, 0], [0.425, 0, -0.3]]))
        assert correct == 1

    @pytest.mark.parametrize("target", [np.array([1, 0, 2]), np.array([[0, 1.0, 1], [1, 0, 0], [0.3, 0.2, 0]])])
    def test_margin_gradient(self, target, rng):
        lengths = rng.uniform(0, 1, (3, 3))
        _, dlengths, _ = reference.margin_loss(lengths, target, 0.8, 0.2, 0.7)
        expected = numeric.gradient(lambda a: reference.margin_loss(a, target, 0.8, 0.2, 0.7)[0], lengths)
        compare.check(dlengths, expected, tolerance=numeric.TOLERANCE)

    def test_squared_error_gradient(self, rng):
        x, target = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
        loss, dx = reference.squared_error(x, target, 0.1)
        assert loss == pytest.approx(0.1 * np.sum((x - target) ** 2) / 3)
        expected = numeric.gradient(lambda a: reference.squared_error(a, target, 0.1)[0], x)
        compare.check(dx, expected, tolerance=numeric.TOLERANCE)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_softmax_cross_entropy(backend, n, dtype, rng):
    kinds = "labels", "one-hot", "probabilities", "weights"
    for smoothing, kind, classes in product([0.0, 0.1], kinds, [1, 2, 10, 33]):
        with compare.during(kind, classes, "classes, smoothing", smoothing):
            softmax_cross_entropy(backend, n, dtype, smoothing, kind, classes, rng)


def softmax_cross_entropy(backend, n, dtype, smoothing, kind, classes, rng):
    logits = 5 * cases.random(rng, (n, classes), dtype)
    target = rng.integers(0, classes, n).astype(np.intp)
    if kind == "one-hot":
        target = np.eye(classes, dtype=dtype)[target]
    elif kind != "labels":
        target = rng.random((n, classes)).astype(dtype)
        if kind == "probabilities":
            target /= target.sum(1, keepdims=True)
    wide_target = target if kind == "labels" else target.astype(np.float64)
    expected = reference.softmax_cross_entropy(logits.astype(np.float64), wide_target, smoothing)
    loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), target, smoothing)
    compare.check_number(loss, expected[0], LOSS[dtype])
    compare.check(backend.leave(dlogits), expected[1], dtype, at_least=1 / max(n, 1))
    assert type(correct) is int
    assert correct == expected[2]


@dtypes
def test_softmax_cross_entropy_at_the_edges(backend, dtype):
    logits = np.array([[1000, 0, -1000], [-1e30, 1e30, 0], [2, 2, 2], [0, -np.inf, 1], [3, 3, 1]], dtype)
    target = np.array([0, 1, 0, 2, 1], np.intp)
    expected = reference.softmax_cross_entropy(logits.astype(np.float64), target)
    one_hot = np.eye(3, dtype=dtype)[target]
    for t in target, one_hot:
        loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), t, 0.0)
        compare.check_number(loss, expected[0], LOSS[dtype])
        compare.check(backend.leave(dlogits), expected[1], dtype)
        assert correct == 4


@dtypes
def test_a_row_with_a_nan_is_never_correct(backend, dtype):
    logits = np.array([[np.nan, 0, 1], [0, 1, 0], [0, np.nan, 9]], dtype)
    for target in (np.array([0, 1, 2], np.intp), np.eye(3, dtype=dtype)):
        loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), target, 0.0)
        assert np.isnan(loss)
        assert correct == 1
        assert np.isnan(backend.leave(dlogits)).all(1).tolist() == [True, False, True]


@dtypes
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "margin_loss"])
def test_infinite_scores_can_be_right(any_backend, loss, dtype):
    """The first largest score decides, also an infinite one; only a NaN is never right."""
    inf = np.inf
    scores = np.array([[0, inf, 1], [-inf, -inf, -inf], [inf, inf, 0], [-inf, 3, inf], [inf, np.nan, 0]], dtype)
    with np.errstate(invalid="ignore"):
        for target, right in (([1, 0, 0, 2, 0], 4), ([1, 1, 1, 2, 0], 2)):
            assert getattr(any_backend, loss)(any_backend.enter(scores), np.array(target))[2] == right
            rows = np.eye(3, dtype=dtype)[target]
            assert getattr(any_backend, loss)(any_backend.enter(scores), rows)[2] == right


@dtypes
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.99999999, 1.0])
def test_smoothing_does_not_move_the_target(any_backend, smoothing, dtype):
    """`correct` is that of the targets as they were given: smoothed ones may be equal, or round to it."""
    logits = np.array([[0, 1, 2], [5, 0, 0], [0, 7, 7]], dtype)
    for target in (np.array([2, 0, 1]), np.array([[0, 0, 1], [0.34, 0.33, 0.33], [0.2, 0.4, 0.4]], dtype)):
        assert any_backend.softmax_cross_entropy(any_backend.enter(logits), target, smoothing)[2] == 3
    tied = np.array([[0.2, 0.4, 0.4], [0, 0.5, 0.5], [0.4, 0.4, 0.2]], dtype)  # the first of them counts
    assert any_backend.softmax_cross_entropy(any_backend.enter(logits), tied, smoothing)[2] == 0
    assert any_backend.softmax_cross_entropy(any_backend.enter(logits[:, ::-1].copy()), tied, smoothing)[2] == 1


@dtypes
@shapes
def test_mse_loss(backend, shape, dtype, rng):
    x, target = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    expected, expected_dx = reference.mse_loss(*judged.wide(x, target))
    loss, dx = backend.mse_loss(backend.enter(x), target)
    compare.check_number(loss, expected, LOSS[dtype])
    compare.check(backend.leave(dx), expected_dx, dtype)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_margin_loss_and_squared_error(backend, n, dtype, rng):
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    lengths = rng.uniform(0, 1, (n, 10)).astype(dtype)
    rows = (rng.random((n, 10)) < 0.2).astype(dtype)
    for target in (rng.integers(0, 10, n), rows):
        expected = reference.margin_loss(lengths.astype(np.float64), target, 0.8, 0.2, 0.4)
        loss, dlengths, correct = backend.margin_loss(backend.enter(lengths), target, 0.8, 0.2, 0.4)
        compare.check_number(loss, expected[0], tolerance)
        compare.check(backend.leave(dlengths), expected[1], dtype)
        assert type(correct) is int
        assert correct == expected[2]
    x, target = cases.random(rng, (n, 203), dtype), cases.random(rng, (n, 203), dtype)
    loss, dx = backend.squared_error(backend.enter(x), backend.enter(target), 0.01)
    expected = reference.squared_error(*judged.wide(x, target), 0.01)
    compare.check_number(loss, expected[0], tolerance)
    compare.check(backend.leave(dx), expected[1], dtype)


@dtypes
def test_a_row_of_lengths_with_a_nan_is_never_correct(backend, dtype):
    lengths = np.array([[np.nan, 0, 0.5], [0, 1, 0]], dtype)
    loss, dlengths, correct = backend.margin_loss(backend.enter(lengths), np.array([0, 1]))
    assert np.isnan(loss)
    assert correct == 1
    assert np.isfinite(backend.leave(dlengths)[1]).all()


@dtypes
class TestIm2col:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
    def test_softmax_cross_entropy(self, kind, smoothing, dtype, rng):
        logits = (5 * rng.standard_normal((7, 4))).astype(dtype)
        labels = rng.integers(0, 4, 7).astype(np.intp)
        target = {
            "labels": labels,
            "one-hot": np.eye(4, dtype=dtype)[labels],
            "probabilities": rng.random((7, 4)).astype(dtype),
        }
        before = target[kind].copy()
        loss, dlogits, correct = im2col.softmax_cross_entropy(logits, target[kind], smoothing)
        expected = reference.softmax_cross_entropy(logits, target[kind], smoothing)
        assert isinstance(loss, float)
        assert loss == pytest.approx(expected[0], rel=1e-6)
        compare.close(dlogits, expected[1], dtype)
        assert correct == expected[2]
        np.testing.assert_array_equal(target[kind], before)

    def test_softmax_of_masked_and_huge_logits(self, dtype):
        logits = np.array([[0, -np.inf], [3e4, -3e4]], dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss, dlogits, correct = im2col.softmax_cross_entropy(logits, np.array([0, 0], np.intp))
        assert loss == 0
        assert not dlogits.any()
        assert correct == 2

    def test_a_row_with_nan_is_never_correct(self, dtype):
        logits = np.array([[np.nan, 1], [2, 1]], dtype)
        loss, _, correct = im2col.softmax_cross_entropy(logits, np.array([0, 0], np.intp))
        assert np.isnan(loss)
        assert correct == 1

    def test_losses_of_nothing_are_zero(self, dtype):
        assert im2col.softmax_cross_entropy(np.zeros((0, 3), dtype), np.zeros(0, np.intp))[::2] == (0, 0)
        assert im2col.mse_loss(np.zeros((0, 3), dtype), np.zeros((0, 3), dtype))[0] == 0

    def test_mse_loss(self, dtype, rng):
        x, target = (rng.standard_normal((5, 3)).astype(dtype) for _ in range(2))
        loss, dx = im2col.mse_loss(x, target)
        expected = reference.mse_loss(x, target)
        assert loss == pytest.approx(expected[0], rel=1e-6)
        compare.close(dx, expected[1], dtype)
