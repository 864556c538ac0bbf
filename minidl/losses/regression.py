"""Losses of numbers: how far they are from what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses.base import Loss


class RegressionLoss(Loss):
    """Base of the losses of numbers.

    Targets: numbers of the predictions' shape, or class labels, integers (N,), which stand for one-hot rows of K > 1
    numbers.
    """

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Numbers as `dtype`, labels as one-hot rows; ValueError or TypeError where they do not fit the predictions."""
        t = np.asarray(target)
        if t.ndim == 1 and len(shape) == 2 and shape[1] > 1:
            labels = checks.class_targets(self.who, t, shape[0], shape[1], dtype)
            one_hot = np.zeros(shape, dtype)
            one_hot[np.arange(shape[0]), labels] = 1
            return one_hot
        return super().prepare(t, shape, dtype)


class MSELoss(RegressionLoss):
    """Squared differences.

    reduction: "half", half the sum of a row's squares, mean over the rows: 1/(2N) sum (x - t)^2. "mean", the mean over
    all values, 1/(N F) sum (x - t)^2, as PyTorch's MSELoss and everybody's figure of a regression: 2/F times the other.
    Targets: numbers of the predictions' shape, or class labels, integers (N,), which stand for one-hot rows of K > 1
    numbers.
    """

    def __init__(self, reduction: str = "half") -> None:
        super().__init__()
        if reduction not in ("half", "mean"):
            raise ValueError(f"{self.who}: reduction must be 'half' or 'mean', got {reduction!r}")
        self.reduction = reduction

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits`, and `correct` to None."""
        loss, self.dlogits = kernels.current().mse_loss(
            logits, target, self._weights(weight, logits), self.reduction == "mean"
        )
        return loss


class L1Loss(RegressionLoss):
    """Mean of the absolute differences over all values, 1/(N F) sum |x - t|, as in PyTorch. Targets as in `MSELoss`."""

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits`, and `correct` to None."""
        loss, self.dlogits = kernels.current().l1_loss(logits, target, self._weights(weight, logits))
        return loss


class HuberLoss(RegressionLoss):
    """Half the square of a difference d up to `delta`, delta (|d| - delta/2) beyond; mean over all values.

    Few large errors then pull no more than delta each (Huber 1964, Annals of Mathematical Statistics 35). delta:
    positive. Targets as in `MSELoss`.
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = checks.real(self.who, "delta", delta, "positive", lambda d: d > 0)

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits`, and `correct` to None."""
        loss, self.dlogits = kernels.current().huber_loss(logits, target, self.delta, self._weights(weight, logits))
        return loss
