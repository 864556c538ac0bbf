"""Losses: one number that the training makes small, and its gradient; both are means over the batch.

    SoftmaxCrossEntropyLoss   -1/N sum_n sum_k t[n,k] log softmax(logits)[n,k]     dlogits = (softmax(logits) - t) / N
    MSELoss                   1/(2N) sum (x - t)^2                                 dx = (x - t) / N
    MarginLoss                1/N sum_n sum_k t max(0, 0.9 - x)^2 + 0.5 (1 - t) max(0, x - 0.1)^2

`forward` and `backward` take and give numpy arrays; `run` works on the backend's arrays, inside a training step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.support.settings import Settings


class Loss(Settings):
    """Base of the losses, also of one's own.

    A subclass writes `compute`, on numpy arrays, and `prepare` where targets are no numbers of the predictions' shape:

        class L1Loss(Loss):
            def compute(self, x, t):
                return float(np.abs(x - t).sum() / len(x)), np.sign(x - t) / len(x)

    or, where a backend has the operation, `run` on its arrays in place of `compute`. Both are means over the batch, so
    that batches of different size weigh alike; `minidl.gradcheck(L1Loss(), x, t)` compares them. A subclass with
    arguments calls `super().__init__()` and keeps them as attributes of the same names.
    """

    def __init__(self) -> None:
        self.who = type(self).__name__
        self.dlogits: Any = None
        """Gradient of the last loss, as the backend's array; None before the first."""
        self.correct: int | None = None
        """Rows of the last batch with the right class in front; None where that has no meaning."""
        self._kernels: Any = None

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Targets as `compute` and `run` take them, checked, for predictions of this shape (N, ...) and dtype.

        One call may prepare the targets of a whole data set, rows of which then go to `run`. Here: numbers of the
        predictions' shape, as `dtype`. Raises TypeError or ValueError that names the loss for others.
        """
        t = np.asarray(target)
        checks.same_shape(self.who, "target", t.shape, shape, "the predictions'")
        return checks.float_array(self.who, "target", t.astype(dtype) if t.dtype.kind in "iub" else t, dtype)

    def compute(self, predictions: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss, and its gradient with respect to the predictions (their shape), for a prepared target."""
        raise NotImplementedError(f"{type(self).__name__} must define compute, or run")

    def run(self, logits: Any, target: np.ndarray) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits` and `correct`."""
        backend = kernels.current()
        predictions = backend.leave(logits)
        loss, gradient = self.compute(predictions, target)
        gradient = checks.float_array(self.who, "the gradient", np.asarray(gradient), predictions.dtype)
        checks.same_shape(self.who, "the gradient", gradient.shape, predictions.shape, "the predictions'")
        self.dlogits = backend.enter(gradient)
        return float(loss)

    def forward(self, logits: Any, target: Any) -> float:
        """The loss of predictions, a float array (N, K), and their targets.

        Raises TypeError or ValueError that names the loss for shapes, dtypes and labels that do not go together.
        """
        logits = checks.float_array(self.who, "logits", logits)
        target = self.prepare(target, logits.shape, logits.dtype)
        self._kernels = kernels.current()
        return self.run(self._kernels.enter(logits), target)

    def backward(self) -> np.ndarray:
        """Gradient of the last `forward` with respect to its predictions. RuntimeError before the first forward."""
        if self._kernels is None:
            raise RuntimeError(f"{self.who}: call forward before backward")
        return self._kernels.leave(self.dlogits)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the backend and the last gradient."""
        return {**vars(self), "_kernels": None, "dlogits": None}


class SoftmaxCrossEntropyLoss(Loss):
    """Cross-entropy of the targets and softmax(logits), the softmax shifted by its maximum.

    Targets: class labels, integers (N,) in [0, K), or one row of probabilities an image, (N, K), one-hot for instance.
    label_smoothing: s in [0, 1) replaces t by (1 - s) t + s/K (Szegedy et al. 2016, arXiv 1512.00567, section 7).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = checks.real(
            self.who, "label_smoothing", label_smoothing, "in [0, 1)", lambda s: 0 <= s < 1
        )

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as intp, probabilities as `dtype`; ValueError or TypeError where they do not fit logits (N, K)."""
        if len(shape) != 2 or shape[1] < 1:
            raise ValueError(f"{self.who}: logits must have 2 dimensions (N, K), K at least 1, got {tuple(shape)}")
        return checks.class_targets(self.who, target, shape[0], shape[1], dtype)

    def run(self, logits: Any, target: np.ndarray) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits` and `correct`."""
        loss, self.dlogits, self.correct = kernels.current().softmax_cross_entropy(logits, target, self.label_smoothing)
        return loss


class MSELoss(Loss):
    """Half the sum of squared differences, mean over the batch.

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

    def run(self, logits: Any, target: np.ndarray) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits`, and `correct` to None."""
        loss, self.dlogits = kernels.current().mse_loss(logits, target)
        return loss


class MarginLoss(Loss):
    """Margin loss of the lengths x of class capsules (Sabour, Frosst, Hinton 2017, arXiv 1710.09829, equation 4).

        1/N sum_n sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2

    present, absent: the length that the right capsule shall reach, and the one that the others shall stay below, in
    [0, 1]. weight: of the absent classes, which would otherwise shrink all lengths at first; at least 0. Targets: class
    labels, integers (N,) in [0, K), or one row an image, (N, K), with ones for all classes that are there.
    """

    def __init__(self, present: float = 0.9, absent: float = 0.1, weight: float = 0.5) -> None:
        super().__init__()
        unit = "in [0, 1]", lambda value: 0 <= value <= 1
        self.present = checks.real(self.who, "present", present, *unit)
        self.absent = checks.real(self.who, "absent", absent, *unit)
        self.weight = checks.real(self.who, "weight", weight, "at least 0", lambda value: value >= 0)

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as intp, rows as `dtype`; ValueError or TypeError where they do not fit lengths (N, K)."""
        if len(shape) != 2 or shape[1] < 1:
            raise ValueError(f"{self.who}: lengths must have 2 dimensions (N, K), K at least 1, got {tuple(shape)}")
        return checks.class_targets(self.who, target, shape[0], shape[1], dtype)

    def run(self, logits: Any, target: np.ndarray) -> float:
        """The loss of the backend's array of lengths and a prepared target; sets `dlogits` and `correct`."""
        loss, self.dlogits, self.correct = kernels.current().margin_loss(
            logits, target, self.present, self.absent, self.weight
        )
        return loss
