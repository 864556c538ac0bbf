"""The end of a training that is good enough."""

from __future__ import annotations

from minidl.kernels import checks
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.state import Training

MONITORS = ("val_accuracy", "train_accuracy")


class StopAtAccuracy(Callback):
    """End the training after the first epoch whose accuracy is at least `target`.

    target: a share in (0, 1]. monitor: "val_accuracy" or "train_accuracy". The time it took is the sum of
    `history["seconds"]`. Raises TypeError or ValueError for other arguments, and before the first step if validation
    data are needed and there are none.
    """

    def __init__(self, target: float, monitor: str = "val_accuracy") -> None:
        self.target = checks.real("StopAtAccuracy", "target", target, "in (0, 1]", lambda value: 0 < value <= 1)
        if monitor not in MONITORS:
            raise ValueError(f"StopAtAccuracy: monitor must be one of {', '.join(MONITORS)}, got {monitor!r}")
        self.monitor = monitor

    def on_fit_begin(self, trainer: Training) -> None:
        """Check that there are validation data where they are needed."""
        if self.monitor == "val_accuracy" and trainer.validation is None:
            raise ValueError("StopAtAccuracy: monitor is val_accuracy, but fit has no validation data")

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Whether the target is reached; NaN never reaches it."""
        return history[self.monitor][-1] >= self.target
