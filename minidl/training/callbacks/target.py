"""The end of a training that is good enough."""

from __future__ import annotations

from minidl.kernels import checks
from minidl.training.callbacks.base import Callback
from minidl.training.history import ACCURACIES, History
from minidl.training.monitor import Monitor
from minidl.training.state import Training


class StopAt(Callback):
    """End the training after the first epoch in which `monitor` has reached `target`.

    monitor, mode: as in `KeepBest`; a loss must be at most `target`, an accuracy at least. The time it took is the sum
    of `history["seconds"]`. Raises TypeError or ValueError for other arguments, before the first step if validation
    data or a metric are needed and there are none, and after the first epoch if `monitor` is no number.
    """

    def __init__(self, monitor: str, target: float, mode: str | None = None) -> None:
        who = type(self).__name__
        self.monitor, self.mode = monitor, mode
        self.target = checks.real(who, "target", target, "finite", lambda value: True)
        self._watch = Monitor(who, monitor, mode)

    def on_fit_begin(self, trainer: Training) -> None:
        """Check that there are validation data and the metric where they are needed."""
        self._watch.begin(trainer)

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Whether the target is reached; NaN never reaches it."""
        return self._watch.sign * (self._watch.value(history) - self.target) >= 0


class StopAtAccuracy(StopAt):
    """End the training after the first epoch whose accuracy is at least `target`.

    target: a share in (0, 1]. monitor: "val_accuracy" or "train_accuracy". Raises as `StopAt`.
    """

    def __init__(self, target: float, monitor: str = "val_accuracy") -> None:
        checks.real("StopAtAccuracy", "target", target, "in (0, 1]", lambda value: 0 < value <= 1)
        if monitor not in ACCURACIES:
            raise ValueError(f"StopAtAccuracy: monitor must be one of val_accuracy, train_accuracy, got {monitor!r}")
        super().__init__(monitor, target)
