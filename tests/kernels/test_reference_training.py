"""The naive losses, matrix form and updates: published numbers, central differences, adjointness."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import reference


class TestSoftmaxCrossEntropy:
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
    def test_gradient(self, kind, smoothing, rng):
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


def test_mse_loss(rng):
    x, target = rng.standard_normal((3, 2, 2, 2)), rng.standard_normal((3, 2, 2, 2))
    loss, dx = reference.mse_loss(x, target)
    assert loss == pytest.approx(np.sum((x - target) ** 2) / 6)
    expected = numeric.gradient(lambda x: reference.mse_loss(x, target)[0], x)
    compare.check(dx, expected, tolerance=numeric.TOLERANCE)
    assert reference.mse_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))[0] == 2.5
    assert reference.mse_loss(np.zeros((0, 3)), np.zeros((0, 3)))[0] == 0.0


class TestMatrix:
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


class TestUpdates:
    """CS231n assignment 2, "Update rules": 4x5 parameters from -0.4 to 0.6, gradients from -0.6 to 0.4."""

    def setup_method(self):
        self.p, self.grad = self.table(-0.4, 0.6), self.table(-0.6, 0.4)

    def table(self, first, last):
        return np.linspace(first, last, 20).reshape(4, 5)

    def corners(self, array):
        return array[[0, 0, 1, 3, 3], [0, 1, 2, 3, 4]]

    def test_sgd_with_momentum(self):
        """CS231n's velocity is -lr times ours; its published values are linear in the index."""
        velocity = self.table(0.6, 0.9) / -1e-3
        reference.sgd_update(self.p, self.grad, velocity, 1e-3, 0.9, 0.0)
        published = [0.1406, 0.20738947, 0.60812632, 1.34281053, 1.4096]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        published = [0.5406, 0.55475789, 0.63970526, 0.79544211, 0.8096]
        np.testing.assert_allclose(self.corners(-1e-3 * velocity), published, rtol=0, atol=5e-9)

    def test_rmsprop(self):
        square = self.table(0.6, 0.9)
        reference.rmsprop_update(self.p, self.grad, square, 1e-2, 0.99, 1e-8, 0.0)
        published = [-0.39223849, -0.34037513, -0.02881884, 0.54365823, 0.59576619]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        published = [0.5976, 0.6126277, 0.70395734, 0.87657507, 0.8926]
        np.testing.assert_allclose(self.corners(square), published, rtol=0, atol=5e-9)

    def test_adam(self):
        """The notebook has made 5 steps before: this is the sixth."""
        m, v = self.table(0.6, 0.9), self.table(0.7, 0.5)
        reference.adam_update(self.p, self.grad, m, v, 6, 1e-2, 0.9, 0.999, 1e-8, 0.0)
        published = [-0.40094747, -0.34836187, -0.03286534, 0.54544852, 0.59801459]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        np.testing.assert_allclose(self.corners(m), [0.48, 0.49947368, 0.61631579, 0.83052632, 0.85], rtol=0, atol=5e-9)
        published = [0.69966, 0.68908382, 0.6257431, 0.51013645, 0.49966]
        np.testing.assert_allclose(self.corners(v), published, rtol=0, atol=5e-9)

    def test_the_seed_formula_twice(self):
        """v = 0.9 v + (grad + 0.1 p), p = p - 0.5 v, by hand from p = 1, grad = 2."""
        p, v, grad = np.ones(1), np.zeros(1), np.full(1, 2.0)
        reference.sgd_update(p, grad, v, 0.5, 0.9, 0.1)
        assert (v.item(), p.item()) == pytest.approx((2.1, -0.05))
        reference.sgd_update(p, grad, v, 0.5, 0.9, 0.1)
        assert (v.item(), p.item()) == pytest.approx((3.885, -1.9925))

    def test_nesterov_and_plain(self):
        p, v = np.ones(1), np.ones(1)
        reference.sgd_update(p, np.full(1, 2.0), v, 0.5, 0.9, 0.0, nesterov=True)
        assert (v.item(), p.item()) == pytest.approx((2.9, 1 - 0.5 * (2 + 0.9 * 2.9)))
        p = np.ones(1)
        reference.sgd_update(p, np.full(1, 2.0), None, 0.5, 0.0, 0.1)
        assert p.item() == pytest.approx(1 - 0.5 * 2.1)

    def test_decoupled_decay_does_not_pass_the_moments(self):
        p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
        reference.adam_update(p, np.full(1, 2.0), m, v, 1, 0.1, 0.9, 0.999, 0.0, 0.5, decoupled=True)
        assert (m.item(), v.item()) == pytest.approx((0.2, 0.004))
        assert p.item() == pytest.approx(0.95 - 0.1)
        p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
        reference.adam_update(p, np.full(1, 2.0), m, v, 1, 0.1, 0.9, 0.999, 0.0, 0.5)
        assert m.item() == pytest.approx(0.25)

    def test_a_scaled_gradient_is_a_smaller_gradient(self):
        """scale concerns grad and not the decay: g = 0.25 * 2 + 0.1 * 1."""
        for rule, slots, before, after in (
            ("sgd_update", 1, (0.5, 0.9, 0.1, True), ()),
            ("rmsprop_update", 1, (0.5, 0.9, 1e-8, 0.1), ()),
            ("adam_update", 2, (2, 0.5, 0.9, 0.99, 1e-8, 0.1), (False,)),
            ("adam_update", 2, (2, 0.5, 0.9, 0.99, 1e-8, 0.1), (True,)),
        ):
            mine, theirs = (np.ones((1 + slots, 3)) for _ in range(2))
            update = getattr(reference, rule)
            update(mine[0], np.full(3, 2.0), *mine[1:], *before, *after, scale=0.25)
            update(theirs[0], np.full(3, 0.5), *theirs[1:], *before, *after)
            compare.check(mine, theirs)

    def test_blend(self):
        a = np.array([1.0, 2.0])
        reference.blend(a, np.array([3.0, 2.0]), 0.25)
        assert a.tolist() == [1.5, 2.0]

    def test_sum_of_squares(self):
        assert reference.sum_of_squares(np.array([[3.0, -4.0]], np.float32)) == 25.0
        assert reference.sum_of_squares(np.zeros(0)) == 0.0
        assert reference.sum_of_squares(np.array([1e200])) == np.inf

    @pytest.mark.parametrize("dtype", cases.FLOATS)
    def test_every_rule_works_in_place_in_its_dtype(self, dtype):
        p, grad, a, b = (np.ones(3, dtype) for _ in range(4))
        reference.sgd_update(p, grad, a, 0.1, 0.9, 0.1)
        reference.rmsprop_update(p, grad, a, 0.1, 0.9, 1e-8, 0.1)
        reference.adam_update(p, grad, a, b, 1, 0.1, 0.9, 0.999, 1e-8, 0.1)
        reference.blend(p, np.zeros(3, dtype), 0.1)
        assert p.dtype == a.dtype == b.dtype == dtype
        assert (p < 1).all()
