"""The weights of the best epoch, and the end of a training that no longer improves."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.monitor import Monitor
from minidl.training.state import Training


class KeepBest(Callback):
    """Give the model the weights of its best epoch when the training ends, as CS231n's Solver does.

    monitor: "val_accuracy", "val_loss", "train_accuracy", "train_loss", or "val_<name>" for a metric of the Trainer;
    None for val_accuracy, or val_loss where the loss knows no classes. mode: "max" or "min", for a metric that does not
    say which is better. Of equal epochs the first is kept, NaN never wins; a monitor that has no number after the first
    epoch although the loss has one is a ValueError. The running statistics of batch normalisation belong to the
    weights. Also after Ctrl-C; without a completed epoch, or if every epoch's number is NaN, the model stays as it is.
    """

    def __init__(self, monitor: str | None = None, mode: str | None = None) -> None:
        self.monitor, self.mode = monitor, mode
        self._watch = Monitor(type(self).__name__, monitor, mode)
        self.best_epoch: int | None = None
        self.best_value = float("nan")
        self._weights: dict[str, np.ndarray] = {}

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget an earlier run. Raises ValueError if `monitor` needs validation data or a metric that is not there."""
        self._watch.begin(trainer)
        self.best_epoch, self.best_value, self._weights = None, float("nan"), {}

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Copy the weights if they are the best so far."""
        value = self._watch.value(history)
        if self._watch.better(value, self.best_value):
            self.best_epoch, self.best_value = history.epochs - 1, value
            self._weights = trainer.model.state()
        return None

    def on_fit_end(self, trainer: Training, history: History) -> None:
        """Give the best weights back, and say which they are."""
        parts = [self._reason()]
        if self.best_epoch is not None:
            trainer.model.load_state(self._weights)
            value = f"{self._watch.name} {self.best_value:.4f}"
            parts.append(f"the weights are those of epoch {self.best_epoch + 1} ({value})")
        if any(parts):
            trainer.say(f"{type(self).__name__}: {'; '.join(filter(None, parts))}")

    def state(self) -> dict[str, Any]:
        """What is watched, the best epoch, its number and its weights."""
        weights = {f"weights.{name}": array for name, array in self._weights.items()}
        return {"monitor": self._watch.name, "best_epoch": self.best_epoch, "best_value": self.best_value, **weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Raises ValueError if that watched something else."""
        self._watch.resume(str(state["monitor"]), state["best_epoch"] is not None)
        epoch = state["best_epoch"]
        self.best_epoch = epoch if epoch is None else checks.integer(type(self).__name__, "best_epoch", epoch, 0)
        self.best_value = checks.real_or_infinite(type(self).__name__, "best_value", state["best_value"])
        weights = {name: value for name, value in state.items() if name.startswith("weights.")}
        self._weights = {name.partition(".")[2]: array for name, array in weights.items()}

    def _reason(self) -> str:
        """Why this callback has ended the run; "" if it has not."""
        return ""


class EarlyStopping(KeepBest):
    """End the training when `monitor` has not improved for `patience` epochs; the best weights always come back.

    At the end one line says why, and which epoch's weights these are.

    monitor, mode: as in `KeepBest`. patience: epochs without improvement to wait, an int of at least 1. min_delta: an
    improvement must be larger than this, in the unit of `monitor`; at least 0.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0, mode: str | None = None
    ) -> None:
        super().__init__(monitor, mode)
        self.patience = operator.index(patience)
        self.min_delta = checks.real("EarlyStopping", "min_delta", min_delta, "at least 0", lambda v: v >= 0)
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        self._waited = 0
        self._reference = float("nan")

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget an earlier run."""
        super().on_fit_begin(trainer)
        self._waited, self._reference = 0, float("nan")

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Copy the weights if they are the best so far; count the epochs without a real improvement."""
        super().on_epoch_end(trainer, history)
        value = history[self._watch.name][-1]
        # min_delta counts from the last real improvement: many small steps together are one.
        if self._watch.better(value, self._reference, self.min_delta):
            self._reference, self._waited = value, 0
        else:
            self._waited += 1
        return self._waited >= self.patience

    def state(self) -> dict[str, Any]:
        """As `KeepBest`, and how long it has waited for more than which value."""
        return {**super().state(), "waited": self._waited, "reference": self._reference}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Raises ValueError if that watched something else."""
        super().load_state(state)
        self._waited = checks.integer("EarlyStopping", "waited", state["waited"], 0)
        self._reference = checks.real_or_infinite("EarlyStopping", "reference", state["reference"])

    def _reason(self) -> str:
        if self._waited < self.patience:
            return ""
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"{self._watch.name} has not improved{by} for {self._waited} epoch{'s' * (self._waited > 1)}"
