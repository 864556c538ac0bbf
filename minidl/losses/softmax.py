"""Cross-entropy of one class out of several."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses.base import Loss

SUM = 0.01
"""How far the sum of a row of probabilities may be from 1."""


class SoftmaxCrossEntropyLoss(Loss):
    """Cross-entropy of the targets and softmax(logits), the softmax shifted by its maximum.

    Targets: class labels, integers (N,) in [0, K), or one row of probabilities an image, (N, K), one-hot for instance.
    label_smoothing: s in [0, 1) replaces t by (1 - s) t + s/K (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    class_weight: c, K numbers of at least 0, makes t[n,k] after smoothing c[k] t[n,k]. As in PyTorch the mean is then
    sum_n l[n] / sum_n c[label[n]] for labels, but sum_n l[n] / N for rows of probabilities. "balanced": M / (K m[k])
    for m[k] of M training labels, so that every class weighs alike; `Trainer.fit` tells the loss the labels by
    `observe`, and validation uses the same weights. Weights of rows multiply both sums; `correct` is of them alone.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weight: Any = None) -> None:
        super().__init__()
        self.label_smoothing = checks.real(
            self.who, "label_smoothing", label_smoothing, "in [0, 1)", lambda s: 0 <= s < 1
        )
        balanced = isinstance(class_weight, str) and class_weight == "balanced"
        if isinstance(class_weight, str) and not balanced:
            raise ValueError(f"{self.who}: class_weight must be numbers or 'balanced', got {class_weight!r}")
        constants = None if balanced else self._constants("class_weight", class_weight)
        self.class_weight = class_weight if balanced else constants
        if constants is not None and not any(constants):
            raise ValueError(f"{self.who}: class_weight must have a number above 0, got {class_weight!r}")
        self.factors: np.ndarray | None = None if balanced or class_weight is None else np.array(self.class_weight)
        """The weights of the classes, (K,), those of "balanced" once the training labels were seen; else None."""
        self._warned = False

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as intp, probabilities as `dtype`; ValueError or TypeError where they do not fit logits (N, K).

        Rows that do not sum to 1 are a UserWarning, once.
        """
        self._two_dimensions("logits", shape)
        if shape[1] == 1:
            raise ValueError(
                f"{self.who}: logits must have K = 2 classes or more, got K = 1, whose softmax is always 1;"
                " for one output use SigmoidCrossEntropyLoss"
            )
        checks.weights(self.who, "class_weight", self.factors, shape[1], "one a class", dtype)
        found = checks.class_targets(self.who, target, shape[0], shape[1], dtype)
        if found.ndim == 2:
            self._check_rows(found)
        return found

    def observe(self, target: Any, shape: tuple[int, ...]) -> None:
        """Take class_weight="balanced" from the targets of the training set, for logits of `shape` (N, K).

        Rows of probabilities count with their sums. ValueError that names a class without any.
        """
        if self.class_weight != "balanced":
            return
        t = self.prepare(target, shape, np.float64)
        counts = np.bincount(t, minlength=shape[1]) if t.ndim == 1 else t.sum(axis=0)
        if not counts.all():
            raise ValueError(
                f"{self.who}: class_weight='balanced' must have a training label of each of {shape[1]} classes,"
                f" got none of class {int(np.argmin(counts))}; give the weights as numbers"
            )
        self.factors = counts.sum() / (shape[1] * counts)

    def observed(self) -> dict[str, Any]:
        """The factors of class_weight="balanced", once the training labels were seen."""
        if self.class_weight != "balanced" or self.factors is None:
            return {}
        return {"factors": self.factors.tolist()}

    def load_observed(self, values: Mapping[str, Any]) -> None:
        """Take them back; numbers given as class_weight stay. ValueError for what are no factors."""
        if self.class_weight != "balanced" or "factors" not in values:
            return
        try:
            self.factors = np.array(self._constants("the factors of class_weight", values["factors"]))
        except TypeError as error:
            raise ValueError(str(error)) from error

    def ready(self) -> None:
        """RuntimeError for class_weight="balanced" before the training labels were seen."""
        if self.factors is None and self.class_weight is not None:
            raise RuntimeError(
                f"{self.who}: class_weight='balanced' is known from training labels: call Trainer.fit with arrays;"
                " for data in batches give numbers, or call loss.observe(labels, (N, K)) before"
            )

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits`, `correct` and `mass`.

        RuntimeError for class_weight="balanced" before the training labels were seen.
        """
        self.ready()
        weight = self._weights(weight, logits)
        factors = None if self.factors is None else self.factors.astype(logits.dtype)
        loss, self.dlogits, self.correct = kernels.current().softmax_cross_entropy(
            logits, target, self.label_smoothing, weight, factors
        )
        self.mass = None
        if factors is not None and target.ndim == 1:
            each = factors[target].astype(np.float64)
            self.mass = float(np.sum(each if weight is None else each * weight.astype(np.float64)))
        return loss

    def _check_rows(self, rows: np.ndarray) -> None:
        self._shares(rows, ": a row has the probability of each class, one-hot rows 0 and 1")
        if self._warned or not len(rows):
            return
        sums = rows.sum(axis=1, dtype=np.float64)
        far = np.abs(sums - 1)
        if far.max() > SUM:
            self._warned = True
            row = int(far.argmax())
            warnings.warn(
                f"{self.who}: each row of targets should sum to 1, got {sums[row]:g} in row {row}; images are weighted"
                " by sample weights, and several classes an image are for SigmoidCrossEntropyLoss",
                stacklevel=4,
            )
