"""What every loss has, also one of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.support.settings import Settings

ROUNDING = 1e-3
"""How far numbers may be outside of [0, 1] that stand for probabilities."""


class Loss(Settings):
    """Base of the losses, also of one's own.

    A subclass writes `compute`, on numpy arrays, and `prepare` where targets are no numbers of the predictions' shape:

        class LogCoshLoss(Loss):
            def compute(self, x, t):
                return float(np.log(np.cosh(x - t)).sum() / len(x)), np.tanh(x - t) / len(x)

    or, where a backend has the operation, `run` on its arrays in place of `compute`. Both are means over the rows, so
    that batches of different size weigh alike; `minidl.gradcheck(LogCoshLoss(), x, t)` compares them. With weights of
    the rows, `compute` is asked row by row; one that takes a third argument `weight`, (N,) or None, is asked once. A
    subclass with arguments calls `super().__init__()` and keeps them as attributes of the same names.
    """

    def __init__(self) -> None:
        self.who = type(self).__name__
        self.dlogits: Any = None
        """Gradient of the last loss, as the backend's array; None before the first."""
        self.correct: float | None = None
        """Rows of the last batch with the right class in front, with weights the sum of theirs; None: no such thing."""
        self.mass: float | None = None
        """What the last loss was divided by, to join batches by; None: the number of rows, or their weights' sum."""
        self._kernels: Any = None

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Targets as `compute` and `run` take them, checked, for predictions of this shape (N, ...) and dtype.

        One call may prepare the targets of a whole data set, rows of which then go to `run`. Here: numbers of the
        predictions' shape, as `dtype`. Raises TypeError or ValueError that names the loss for others.
        """
        t = np.asarray(target)
        hint = "; y.reshape(-1, 1)" if t.shape == shape[:1] and shape[1:] == (1,) else ""
        checks.same_shape(self.who, "target", t.shape, shape, f"the predictions'{hint}")
        return checks.float_array(self.who, "target", t.astype(dtype) if t.dtype.kind in "iub" else t, dtype)

    def observe(self, target: Any, shape: tuple[int, ...]) -> None:
        """Is told the targets of the training set, and the shape of their predictions, before the first step.

        Here nothing comes of it. What a loss learns from them, validation uses too. They come from arrays, not from
        data in batches, which nobody has seen whole.
        """

    def ready(self) -> None:
        """Raise RuntimeError where a training cannot begin before `observe` was told the targets; here nothing."""

    def observed(self) -> dict[str, Any]:
        """What `observe` has learnt, as JSON can hold it, for checkpoints; here nothing."""
        return {}

    def load_observed(self, values: Mapping[str, Any]) -> None:
        """Take back what `observed` gave. Raises ValueError that names the loss for anything else."""

    def compute(self, predictions: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss, and its gradient with respect to the predictions (their shape), for a prepared target."""
        raise NotImplementedError(f"{type(self).__name__} must define compute, or run")

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits` and `correct`.

        weight: (N,) of the rows, at least 0. Raises ValueError that names the loss if it is no mean over rows and
        therefore cannot be weighted.
        """
        backend = kernels.current()
        predictions = backend.leave(logits)
        weight = self._weights(weight, logits)
        if weight is None:
            loss, gradient = self.compute(predictions, target)
        elif "weight" in inspect.signature(self.compute).parameters:
            loss, gradient = self.compute(predictions, target, weight)  # type: ignore[call-arg]
        else:
            loss, gradient = self._by_rows(predictions, target, weight)
        gradient = checks.float_array(self.who, "the gradient", np.asarray(gradient), predictions.dtype)
        checks.same_shape(self.who, "the gradient", gradient.shape, predictions.shape, "the predictions'")
        self.dlogits = backend.enter(gradient)
        return float(loss)

    def forward(self, logits: Any, target: Any, weight: Any = None) -> float:
        """The loss of predictions, a float array (N, K), and their targets. weight: (N,) of the rows, at least 0.

        Raises TypeError or ValueError that names the loss for shapes, dtypes and labels that do not go together.
        """
        logits = checks.float_array(self.who, "logits", logits)
        target = self.prepare(target, logits.shape, logits.dtype)
        self._kernels = kernels.current()
        return self.run(self._kernels.enter(logits), target, *(() if weight is None else (weight,)))

    def backward(self) -> np.ndarray:
        """Gradient of the last `forward` with respect to its predictions. RuntimeError before the first forward."""
        if self._kernels is None:
            raise RuntimeError(f"{self.who}: call forward before backward")
        return self._kernels.leave(self.dlogits)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the backend and the last gradient."""
        return {**vars(self), "_kernels": None, "dlogits": None}

    # ---- for subclasses ----------------------------------------------------------------------------------------------

    def _weights(self, weight: Any, logits: Any) -> np.ndarray | None:
        """Weights of the rows of `logits`, checked, of its dtype; None for none."""
        return checks.weights(self.who, "weight", weight, logits.shape[0], "one a row", logits.dtype)

    def _by_rows(self, predictions: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
        """The weighted mean of what `compute` says of each row."""
        whole, gradient = self.compute(predictions, target)
        if not len(predictions):
            return whole, gradient
        rows = [self.compute(predictions[n : n + 1], target[n : n + 1]) for n in range(len(predictions))]
        losses = np.array([float(loss) for loss, _ in rows])
        if not np.isclose(losses.mean(), whole, rtol=1e-3, atol=1e-6, equal_nan=True):
            raise ValueError(
                f"{self.who}: only a mean over rows can be weighted, got {float(whole):g} of a batch and"
                f" {losses.mean():g} of its rows; let compute take a third argument, weight"
            )
        w = weight.astype(np.float64)
        shares = w / w.sum() if w.any() else w
        counted = shares > 0
        gradient = np.zeros_like(predictions)
        for n in np.flatnonzero(counted):
            gradient[n] = shares[n] * np.asarray(rows[n][1])[0]
        return float(np.sum(losses[counted] * shares[counted])), gradient

    def _two_dimensions(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse predictions of another shape than (N, K)."""
        if len(shape) != 2 or shape[1] < 1:
            raise ValueError(f"{self.who}: {name} must have 2 dimensions (N, K), K at least 1, got {tuple(shape)}")

    def _shares(self, target: np.ndarray, remedy: str) -> None:
        """Refuse rows (N, K) with numbers outside of [0, 1]; `remedy` ends the message."""
        wrong = ~((target >= -ROUNDING) & (target <= 1 + ROUNDING))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            value = target[row, column]
            raise ValueError(f"{self.who}: targets must lie in [0, 1], got {value:g} in row {row}{remedy}")

    def _constants(self, name: str, value: Any, each: str = "class") -> tuple[float, ...] | None:
        """One number of at least 0 for each class, or `each`, given as a sequence or array (K,); None passes."""
        if value is None:
            return None
        if not isinstance(value, (np.ndarray, Sequence)) or isinstance(value, str) or np.ndim(value) != 1:
            raise TypeError(f"{self.who}: {name} must have one number a {each}, (K,), got {value!r}")
        found = checks.weights(self.who, name, value, len(value), f"one a {each}", np.float64)
        assert found is not None
        return tuple(found.tolist())
