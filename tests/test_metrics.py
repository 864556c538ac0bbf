"""Metrics: values by hand, ties, weights, and what they refuse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from minidl.metrics import MacroF1, MeanAbsoluteError, TopKAccuracy

SCORES = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], np.float32)
LABELS = np.array([1, 1, 0, 1])
"""The second class is second, first, -, and second of two equal ones; the first one of the third row is last."""


def test_top_k_accuracy_counts_the_true_class_among_the_k_largest():
    assert [TopKAccuracy(k)(SCORES, LABELS) for k in (1, 2, 3, 9)] == [0.25, 0.75, 1.0, 1.0]
    assert TopKAccuracy(1)(SCORES, LABELS) == np.mean(SCORES.argmax(axis=1) == LABELS)
    assert TopKAccuracy(2)(SCORES, np.eye(3)[LABELS]) == 0.75
    assert TopKAccuracy(2)(SCORES, LABELS.astype(np.uint8), weight=[1, 1, 4, 2]) == 0.5
    assert TopKAccuracy(3)(np.array([[np.nan, 1, 2]]), [0]) == 0


def test_many_classes_in_small_labels():
    labels = np.arange(200, dtype=np.uint8)
    assert TopKAccuracy(1)(np.eye(200), labels) == 1
    assert MacroF1()(np.eye(200), labels) == 1


def test_macro_f1_is_the_mean_over_the_classes_that_occur():
    scores = np.eye(4)[[0, 0, 1, 1, 1, 0]]
    labels = np.array([0, 1, 1, 1, 0, 0])
    # Class 0: 2 true positives, 1 false one, 1 missed; class 1 the same; 2 and 3 do not occur.
    assert MacroF1()(scores, labels) == pytest.approx(2 / 3)
    # Predicted and never true counts 0; a class that is always right 1.
    assert MacroF1()(np.eye(4)[[0, 2]], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)
    # Weight 3 for the first row counts like three of it.
    weighted = MacroF1()(scores, labels, weight=[3, 1, 1, 1, 1, 1])
    assert weighted == pytest.approx(MacroF1()(scores[[0, 0, *range(6)]], labels[[0, 0, *range(6)]]))
    assert MacroF1()(scores, np.eye(4, dtype=bool)[labels]) == pytest.approx(2 / 3)


def test_mean_absolute_error():
    metric = MeanAbsoluteError()
    assert metric(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0, 2], [6, 5]])) == pytest.approx((1 + 0 + 3 + 1) / 4)
    assert metric(np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]]), weight=[3, 1]) == pytest.approx(1.5)
    assert metric.mode == "min"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TopKAccuracy(0), "TopKAccuracy: k must be at least 1"),
        (lambda: TopKAccuracy(2)(SCORES, [0, 1, 2, 3]), r"labels must lie in \[0, 3\), got 3"),
        (lambda: TopKAccuracy(2)(SCORES[:, 0], LABELS), r"scores must have shape \(N, K\)"),
        (lambda: TopKAccuracy(2)(SCORES[:0], LABELS[:0]), "N at least 1"),
        (lambda: MacroF1()(SCORES, np.ones((4, 3))), "must sum to 1: one class an image"),
        (lambda: MacroF1()(SCORES, LABELS[:3]), "target must have shape"),
        (lambda: MeanAbsoluteError()(SCORES, LABELS), "MeanAbsoluteError: targets must have shape"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_metrics_are_equal_by_value_and_can_be_pickled():
    for metric in (TopKAccuracy(3), MacroF1(), MeanAbsoluteError()):
        assert pickle.loads(pickle.dumps(metric)) == metric


@pytest.mark.parametrize("targets", [[0, 1, 1, 0], [[0.0], [1.0], [1.0], [0.0]], [False, True, True, False]])
def test_a_single_score_is_a_decision_between_two_classes(targets):
    scores = [[-1.0], [2.0], [-0.5], [3.0]]  # right, right, wrong, wrong
    assert MacroF1()(scores, targets) == 0.5
    assert TopKAccuracy(1)(scores, targets) == 0.5
    assert MacroF1()(scores, [0, 0, 0, 0]) == pytest.approx((2 * 2 / (2 * 2 + 2)) / 2)
