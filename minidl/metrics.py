"""Metrics: one number over a whole set of scores and targets, for `Trainer(metrics={"f1": MacroF1()})`.

Anything that is called as f(scores, targets) -> float will do. scores: (N, ...) as the model gives them. targets: (N,)
or (N, ...) as they stand in the data. One that also takes an argument `weight`, (N,), gets the sample weights where
there are any; an attribute `mode` = "min" says that less is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl.kernels import checks


@dataclass(frozen=True)
class TopKAccuracy:
    """Share of the rows whose class is among the `k` with the largest scores; of equal scores the first ones count.

    k: an int of at least 1. Targets are class labels (N,), or rows (N, K) whose largest entry is the class.
    """

    k: int = 5
    mode: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        checks.integer("TopKAccuracy", "k", self.k, 1)

    def __call__(self, scores: Any, targets: Any, weight: Any = None) -> float:
        """In [0, 1]. Raises ValueError where the shapes or labels do not go together."""
        scores, labels = _classes("TopKAccuracy", scores, targets)
        own = scores[np.arange(len(scores)), labels][:, None]
        before = np.arange(scores.shape[1]) < labels[:, None]
        rank = np.count_nonzero((scores > own) | ((scores == own) & before), axis=1)
        return _mean((rank < self.k) & (own == own)[:, 0], weight)


@dataclass(frozen=True)
class MacroF1:
    """Mean over the classes of 2 TP / (2 TP + FP + FN), each class counting the same however rare it is.

    Classes that neither occur nor are predicted are left out. Targets as in `TopKAccuracy`; the first of the largest
    scores is what is predicted.
    """

    mode: ClassVar[str] = "max"

    def __call__(self, scores: Any, targets: Any, weight: Any = None) -> float:
        """In [0, 1]. Raises ValueError where the shapes or labels do not go together."""
        scores, labels = _classes("MacroF1", scores, targets)
        guesses, k = scores.argmax(axis=1), scores.shape[1]
        right = labels == guesses
        rows = np.ones(len(labels)) if weight is None else np.asarray(weight, np.float64)
        true = np.bincount(labels[right], rows[right], k)
        both = np.bincount(labels, rows, k) + np.bincount(guesses, rows, k)
        there = both > 0
        return float(np.mean(2 * true[there] / both[there]))


@dataclass(frozen=True)
class MeanAbsoluteError:
    """Mean of |score - target| over all rows and values; less is better. Targets have the shape of the scores."""

    mode: ClassVar[str] = "min"

    def __call__(self, scores: Any, targets: Any, weight: Any = None) -> float:
        """In the unit of the targets. Raises ValueError for targets of another shape."""
        scores, targets = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
        checks.same_shape("MeanAbsoluteError", "targets", targets.shape, scores.shape, "that of the scores")
        return _mean(np.abs(scores - targets).reshape(len(scores), -1).mean(axis=1), weight)


def _mean(rows: np.ndarray, weight: Any) -> float:
    """sum w r / sum w; the mean without weights."""
    return float(np.average(rows, weights=None if weight is None else np.asarray(weight, np.float64)))


def _classes(who: str, scores: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K) as float64, and the class of each row."""
    scores, rows = np.asarray(scores, np.float64), np.asarray(targets)
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"{who}: scores must have shape (N, K), N at least 1, got {scores.shape}")
    if scores.shape[1] == 1:  # a single decision: the second class where the score is positive
        scores = np.hstack([np.zeros_like(scores), scores])
        rows = rows.reshape(len(rows), -1)[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 else rows
        rows = rows.astype(np.intp) if np.isin(rows, (0, 1)).all() else rows
    if rows.ndim == 2:
        checks.same_shape(who, "targets", rows.shape, scores.shape, "one row a row of scores")
        if not np.allclose(rows.sum(axis=1), 1, atol=1e-3):
            raise ValueError(f"{who}: each row of targets must sum to 1: one class an image, not several or none")
        rows = rows.argmax(axis=1)
    labels = checks.class_targets(who, rows, len(scores), scores.shape[1], np.float64)
    return scores, labels
