"""Softmax cross-entropy: values by hand, targets of every kind, weights of classes, messages."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from layers.numeric import central_differences

import minidl
from minidl.losses import SoftmaxCrossEntropyLoss

LOGITS = np.log(np.array([[1.0, 2.0, 1.0], [6.0, 1.0, 1.0]]))  # softmax: 1/4 1/2 1/4 and 3/4 1/8 1/8
X = np.zeros((2, 3))


@pytest.mark.usefixtures("any_backend")
class TestSoftmaxCrossEntropy:
    @pytest.mark.parametrize(
        "target",
        [
            [1, 2],
            np.array([1, 2], np.uint8),
            np.array([1, 2], np.int32),
            np.array([[0, 1, 0], [0, 0, 1]]),
            np.array([[0, 1, 0], [0, 0, 1]], bool),
            np.array([[0, 1, 0], [0, 0, 1]], np.float32),
            np.asfortranarray([[0.0, 1, 0], [0, 0, 1]]),
        ],
        ids=["list", "uint8", "int32", "onehot-int", "onehot-bool", "onehot-float32", "onehot-fortran"],
    )
    def test_values_by_hand(self, target: Any) -> None:
        loss = SoftmaxCrossEntropyLoss()
        assert loss.forward(LOGITS, target) == pytest.approx((np.log(2) + np.log(8)) / 2, rel=1e-12)
        assert loss.correct == 1
        expected = np.array([[1 / 4, -1 / 2, 1 / 4], [3 / 4, 1 / 8, -7 / 8]]) / 2
        np.testing.assert_allclose(loss.backward(), expected, rtol=1e-10)

    def test_label_smoothing_mixes_with_the_uniform_distribution(self) -> None:
        smooth = SoftmaxCrossEntropyLoss(label_smoothing=0.3)
        plain = SoftmaxCrossEntropyLoss()
        mixed = 0.7 * np.eye(3)[[1, 2]] + 0.1
        assert smooth.forward(LOGITS, [1, 2]) == pytest.approx(plain.forward(LOGITS, mixed), rel=1e-12)
        np.testing.assert_allclose(smooth.backward(), plain.backward(), rtol=1e-10)

    def test_gradient(self, rng: np.random.Generator) -> None:
        logits = rng.standard_normal((4, 5))
        for target in (rng.integers(0, 5, 4), rng.dirichlet(np.ones(5), 4)):
            loss = SoftmaxCrossEntropyLoss(0.1)
            loss.forward(logits, target)
            analytic = loss.backward()
            numeric = central_differences(lambda t=target, f=loss: f.forward(logits, t), logits)  # type: ignore[misc]
            np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_dtype_and_large_logits(self, dtype: str) -> None:
        loss = SoftmaxCrossEntropyLoss()
        with np.errstate(over="raise"):
            value = loss.forward(np.array([[1e4, 0, -1e4]], dtype), [1])
        assert type(value) is float
        assert value == pytest.approx(1e4)
        assert loss.backward().dtype == dtype
        np.testing.assert_allclose(loss.backward(), [[1, -1, 0]], atol=1e-30)

    def test_a_fresh_classifier_starts_at_log_of_the_classes(self, rng: np.random.Generator) -> None:
        logits = 1e-3 * rng.standard_normal((500, 10))
        assert SoftmaxCrossEntropyLoss().forward(logits, rng.integers(0, 10, 500)) == pytest.approx(
            np.log(10), rel=1e-3
        )

    def test_empty_batch_and_nan(self) -> None:
        loss = SoftmaxCrossEntropyLoss()
        assert loss.forward(np.zeros((0, 3)), np.zeros(0, int)) == 0.0
        assert loss.backward().shape == (0, 3)
        assert loss.correct == 0
        assert np.isnan(loss.forward(np.array([[1.0, np.nan]]), [0]))
        assert loss.correct == 0


@pytest.mark.usefixtures("any_backend")
class TestClassWeights:
    C = (1.0, 2.0, 5.0)

    def test_labels_and_rows_as_in_pytorch(self) -> None:
        """cross_entropy(x, t, weight=c): divided by sum c[y] for labels, by N for rows."""
        loss = SoftmaxCrossEntropyLoss(class_weight=self.C)
        value = 2 * np.log(2) + 5 * np.log(8)
        assert loss.forward(LOGITS, [1, 2]) == pytest.approx(value / 7, rel=1e-12)
        assert loss.correct == 1
        assert loss.forward(LOGITS, np.eye(3)[[1, 2]]) == pytest.approx(value / 2, rel=1e-12)
        assert repr(loss) == "SoftmaxCrossEntropyLoss(class_weight=(1.0, 2.0, 5.0))"

    def test_they_multiply_with_weights_of_rows(self) -> None:
        loss = SoftmaxCrossEntropyLoss(class_weight=np.array(self.C))
        expected = (3 * 2 * np.log(2) + 0.5 * 5 * np.log(8)) / (6 + 2.5)
        assert loss.forward(LOGITS, [1, 2], [3, 0.5]) == pytest.approx(expected, rel=1e-12)
        assert loss.correct == 3
        assert loss.forward(LOGITS, [1, 2], [0, 0]) == 0
        assert not loss.backward().any()

    def test_gradient(self, rng: np.random.Generator) -> None:
        logits = rng.standard_normal((4, 3))
        for target in (rng.integers(0, 3, 4), rng.dirichlet(np.ones(3), 4)):
            assert minidl.gradcheck(SoftmaxCrossEntropyLoss(0.1, self.C), logits, target)

    def test_balanced(self) -> None:
        """M / (K m[k]): 8 labels of 3 classes, 1, 2 and 5 of each."""
        labels = np.array([0, 1, 1, 2, 2, 2, 2, 2], np.uint8)
        loss = SoftmaxCrossEntropyLoss(class_weight="balanced")
        with pytest.raises(
            RuntimeError, match=r"class_weight='balanced' is known from training labels: call Trainer.fit"
        ):
            loss.forward(LOGITS, [1, 2])
        loss.observe(labels, (8, 3))
        same = SoftmaxCrossEntropyLoss(class_weight=[8 / 3, 8 / 6, 8 / 15])
        assert loss.forward(LOGITS, [1, 2]) == pytest.approx(same.forward(LOGITS, [1, 2]), rel=1e-14)
        value = loss.forward(LOGITS, [0, 2])
        assert copy.deepcopy(loss).forward(LOGITS, [0, 2]) == value
        loss.observe(np.eye(3)[labels], (8, 3))
        assert loss.forward(LOGITS, [0, 2]) == value
        assert repr(loss) == "SoftmaxCrossEntropyLoss(class_weight='balanced')"

    def test_a_balanced_set_has_the_mean_over_the_classes(self, rng: np.random.Generator) -> None:
        labels = np.repeat([0, 1, 2], [40, 7, 3])
        logits = rng.standard_normal((50, 3))
        loss = SoftmaxCrossEntropyLoss(class_weight="balanced")
        loss.observe(labels, (50, 3))
        each = [SoftmaxCrossEntropyLoss().forward(logits[labels == k], labels[labels == k]) for k in range(3)]
        assert loss.forward(logits, labels) == pytest.approx(np.mean(each), rel=1e-12)


def test_labels_of_any_integer_dtype() -> None:
    """300 classes do not fit into a byte, nor does a sum of labels."""
    labels = np.arange(300)
    prepared = SoftmaxCrossEntropyLoss().prepare(labels.astype(np.int16), (300, 300), np.float32)
    np.testing.assert_array_equal(prepared, labels)
    for dtype in (np.int8, np.uint8, np.uint64):
        prepared = SoftmaxCrossEntropyLoss().prepare(labels[:128].astype(dtype), (128, 300), np.float32)
        np.testing.assert_array_equal(prepared, labels[:128])
        loss = SoftmaxCrossEntropyLoss(class_weight="balanced")
        loss.observe(np.repeat(labels[:100], 5).astype(dtype), (500, 100))
        assert loss.forward(np.zeros((1, 100)), [3]) == pytest.approx(np.log(100))
        np.testing.assert_array_equal(loss.factors, np.ones(100))


def test_bools_are_labels() -> None:
    prepared = SoftmaxCrossEntropyLoss().prepare([True, False], (2, 2), np.float32)
    assert (prepared.dtype, prepared.tolist()) == (np.intp, [1, 0])


def test_rows_that_do_not_sum_to_1_are_told_once() -> None:
    loss = SoftmaxCrossEntropyLoss()
    with pytest.warns(
        UserWarning, match=r"each row of targets should sum to 1, got 2 in row 1; .*sample weights, and"
    ) as told:
        loss.forward(X, [[0, 1, 0], [1, 0, 1]])
    assert len(told) == 1
    assert "SigmoidCrossEntropyLoss" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.forward(X, [[0, 1, 0], [1, 0, 1]])
        SoftmaxCrossEntropyLoss().forward(X, [[0.333, 0.333, 0.333], [0.3, 0.3, 0.404]])
        SoftmaxCrossEntropyLoss().forward(X[:0], np.zeros((0, 3)))


def weighted(class_weight: Any) -> float:
    loss = SoftmaxCrossEntropyLoss(class_weight=class_weight)
    return loss.forward(np.zeros((2, 3), np.float32), np.array([0, 1]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SoftmaxCrossEntropyLoss(1.0), ValueError, r"label_smoothing must be in \[0, 1\), got 1.0"),
        (lambda: SoftmaxCrossEntropyLoss("x"), TypeError, "label_smoothing must be a number"),  # type: ignore[arg-type]
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 3]), ValueError, r"labels must lie in \[0, 3\), got 3"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [-1, 0]), ValueError, r"labels must lie in \[0, 3\), got -1"),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [0.0, 1.0]),
            TypeError,
            r"labels must be integers, got dtype float64; numbers: y.astype\(int\)",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, ["cat", "dog"]),
            TypeError,
            r"labels must be integers, got dtype <U3; numbers: np.unique\(y, return_inverse=True\)\[1\]",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [[0], [1]]),
            ValueError,
            r"target must have shape \(2, 3\) .*; a column of labels: y.ravel\(\)",
        ),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0]), ValueError, r"target must have shape \(2,\) .*got \(1,\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, np.ones((2, 4))), ValueError, r"target must have shape \(2, 3\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X[0], [0]), ValueError, r"logits must have 2 dimensions \(N, K\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X[:, :0], [0, 0]), ValueError, "K at least 1"),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X[:, :1], [0, 0]),
            ValueError,
            r"SoftmaxCrossEntropyLoss: logits must have K = 2 .* got K = 1, .* use SigmoidCrossEntropyLoss",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X.astype(int), [0, 0]),
            TypeError,
            "logits must be an array of float32",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [[0, 1, 0], [1, -1, -1]]),
            ValueError,
            r"targets must lie in \[0, 1\], got -1 in row 1",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, np.array([[0, 255, 0], [0, 0, 255]], np.uint8)),
            ValueError,
            r"targets must lie in \[0, 1\], got 255 in row 0",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [[0, np.nan, 0], [0, 0, 1]]),
            ValueError,
            r"targets must lie in \[0, 1\], got nan in row 0",
        ),
        (lambda: SoftmaxCrossEntropyLoss(class_weight="even"), ValueError, "must be numbers or 'balanced', got 'even'"),
        (
            lambda: SoftmaxCrossEntropyLoss(class_weight=2),
            TypeError,
            r"class_weight must have one number a class, \(K,\)",
        ),
        (lambda: SoftmaxCrossEntropyLoss(class_weight={0: 1}), TypeError, "class_weight must have one number a class"),
        (lambda: SoftmaxCrossEntropyLoss(class_weight=["a"]), TypeError, "class_weight must be numbers, got dtype <U1"),
        (
            lambda: SoftmaxCrossEntropyLoss(class_weight=[0, 0, 0]),
            ValueError,
            r"class_weight must have a number above 0",
        ),
        (lambda: SoftmaxCrossEntropyLoss(class_weight=[1, np.nan]), ValueError, "at least 0, got nan in class 1"),
        (lambda: weighted([1, 1e-60, 1]), ValueError, "class_weight must fit into float32, got 1e-60 in class 1, wh"),
        (lambda: weighted([1, 2, 1e60]), ValueError, r"float32, got 1e\+60 in class 2, which becomes inf"),
        (lambda: weighted([1, 2]), ValueError, r"class_weight must have shape \(3,\) \(one a class\), got \(2,\)"),
        (
            lambda: SoftmaxCrossEntropyLoss(class_weight=[1, -1]),
            ValueError,
            "class_weight must be finite and at least 0, got -1 in class 1",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss(class_weight=[1, 1]).forward(X, [0, 1]),
            ValueError,
            r"class_weight must have shape \(3,\) .*, got \(2,\)",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss(class_weight="balanced").observe([0, 2], (2, 3)),
            ValueError,
            "must have a training label of each of 3 classes, got none of class 1",
        ),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 1], [1, 2, 3]),
            ValueError,
            r"SoftmaxCrossEntropyLoss: weight must have shape \(2,\) \(one a row\), got \(3,\)",
        ),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 1], [1, -2]), ValueError, "at least 0, got -2 in row 1"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 1], [1, np.inf]), ValueError, "finite .*got inf in row 1"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 1], ["a", "b"]), TypeError, "weight must be numbers"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
