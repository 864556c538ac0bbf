"""A learning rate that falls when nothing improves any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidl.kernels import checks
from minidl.optim.base import rated
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.monitor import Monitor
from minidl.training.state import Training


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    Of an optimiser around another one, such as `Muon`, the rates of both, each down to `min_lr` by itself.

    monitor, mode: as in `KeepBest`; None for the one that fits the loss. factor: in (0, 1). patience: epochs without
    improvement to wait, an int of at least 1. min_delta: an improvement must be larger than this, in the unit of
    `monitor`; at least 0. cooldown: epochs after a reduction that do not count as waiting, an int of at least 0; the
    last of them counts again, as in Keras. min_lr: the rate never falls below it; at least 0.

    A line tells each reduction. The state goes on in a resumed run. Raises TypeError or ValueError for other arguments,
    and ValueError before the first step if the optimiser's rate is a schedule, which would set it again at the next
    step, or if the monitor is not there.
    """

    def __init__(
        self,
        monitor: str | None = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str | None = None,
    ) -> None:
        who = type(self).__name__
        self.monitor, self.mode = monitor, mode
        self.factor = checks.real(who, "factor", factor, "in (0, 1)", lambda value: 0 < value < 1)
        self.patience = checks.integer(who, "patience", patience, 1)
        self.min_delta = checks.real(who, "min_delta", min_delta, "at least 0", lambda value: value >= 0)
        self.cooldown = checks.integer(who, "cooldown", cooldown, 0)
        self.min_lr = checks.real(who, "min_lr", min_lr, "at least 0", lambda value: value >= 0)
        self._watch = Monitor(who, monitor, mode)
        self._best, self._waited, self._cooling = float("nan"), 0, 0

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget an earlier run; refuse schedules."""
        for optimizer in rated(trainer.optimizer):
            schedule = getattr(optimizer, "schedule", None)
            if schedule is not None:
                raise ValueError(
                    f"{type(self).__name__}: the optimizer's lr must be a number, got {schedule!r},"
                    " which sets the rate anew at each step"
                )
        self._watch.begin(trainer)
        self._best, self._waited, self._cooling = float("nan"), 0, 0

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Count the epochs without improvement; reduce the rate when there have been enough."""
        value = self._watch.value(history)
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, 0
        if self._watch.better(value, self._best, self.min_delta):
            self._best, self._waited = value, 0
        elif not self._cooling:
            self._waited += 1
            if self._waited >= self.patience:
                self._reduce(trainer, history)
        return None

    def _reduce(self, trainer: Training, history: History) -> None:
        changed = False
        for optimizer in rated(trainer.optimizer):
            rate = max(optimizer.lr * self.factor, self.min_lr)
            if rate < optimizer.lr:
                optimizer.lr, changed = rate, True
        if changed:
            rates = ", ".join(f"{optimizer.lr:.3g}" for optimizer in rated(trainer.optimizer))
            trainer.say(
                f"{type(self).__name__}: lr {rates} from epoch {history.epochs + 1} on ({self._watch.name} has not"
                f" improved for {self._waited} epoch{'s' * (self._waited > 1)})"
            )
        self._waited, self._cooling = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        """What is watched, its best number, and how long it has waited and has yet to cool."""
        return {"monitor": self._watch.name, "best": self._best, "waited": self._waited, "cooling": self._cooling}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Raises ValueError if that watched something else."""
        self._watch.resume(str(state["monitor"]), state["best"] == state["best"])
        self._best = checks.real_or_infinite("ReduceLROnPlateau", "best", state["best"])
        self._waited, self._cooling = (
            checks.integer("ReduceLROnPlateau", name, state[name], 0) for name in ("waited", "cooling")
        )
