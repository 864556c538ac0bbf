"""The number of the history that a callback watches."""

from __future__ import annotations

import math

from minidl.training.history import ACCURACIES, LOSSES, History, direction
from minidl.training.measures import mode_of
from minidl.training.state import Training


class Monitor:
    """A name of the history, and which way it is better.

    who: the callback, for errors. given: "train_loss", "train_accuracy", "val_loss", "val_accuracy" or "val_<metric>";
    None for the one that fits the loss: val_accuracy, or val_loss where it knows no classes. mode: "max" or "min"; None
    for what the metric or the name says (`history.direction`). Raises ValueError for anything else.
    """

    def __init__(self, who: str, given: str | None, mode: str | None) -> None:
        self.who, self.given, self.mode = who, given, mode
        self.name = "val_accuracy" if given is None else given
        if given is None and mode is not None:
            raise ValueError(f"{who}: mode needs a monitor, got mode={mode!r} without one")
        try:
            self.sign = direction(self.name, mode)
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None
        self._seen = False

    def begin(self, trainer: Training) -> None:
        """A run begins. Raises ValueError if the number needs validation data or a metric, and there is none."""
        self.name, self._seen = "val_accuracy" if self.given is None else self.given, False
        if self.name.startswith("val") and trainer.validation is None:
            raise ValueError(f"{self.who}: monitor is {self.name}, but fit has no validation data")
        mode = self.mode
        if self.name not in ACCURACIES + LOSSES:
            metric = trainer.metrics.get(self.name.removeprefix("val_"))
            if metric is None:
                known = ", ".join([*LOSSES, *ACCURACIES, *(f"val_{name}" for name in trainer.metrics)])
                raise ValueError(f"{self.who}: monitor must be one of {known}, got {self.name!r}")
            mode = mode or mode_of(metric)
        self.sign = direction(self.name, mode)

    def resume(self, name: str, seen: bool) -> None:
        """Go on watching `name`. Raises ValueError if something else is to be watched."""
        if self.given is not None and name != self.given:
            raise ValueError(f"{self.who}: monitor must be {name}, as in the run to resume, got {self.given}")
        if self.given is None:
            self.name, self.sign = name, direction(name)
        self._seen = seen

    def value(self, history: History) -> float:
        """The number of the last epoch.

        Raises ValueError if it has never been one although the loss has: it will not be one later.
        """
        if self.given is None and not self._seen and math.isnan(history["val_accuracy"][-1]):
            self.name = "val_accuracy" if math.isnan(history["val_loss"][-1]) else "val_loss"
            self.sign = direction(self.name)
        value = history[self.name][-1]
        if value == value:
            self._seen = True
        elif not self._seen and math.isfinite(history[f"{self.name.partition('_')[0]}_loss"][-1]):
            cause = "the metric gave nan"
            if self.name in ACCURACIES:
                cause = f"the loss and the targets know no classes; watch {self.name.replace('accuracy', 'loss')}"
            raise ValueError(
                f"{self.who}: monitor {self.name} must be a number after the first epoch, got nan: {cause}"
            )
        return value

    def better(self, value: float, than: float, by: float = 0.0) -> bool:
        """Whether `value` is better by more than `by`; NaN never is, and any number is better than NaN."""
        return value == value and not self.sign * (value - than) <= by
