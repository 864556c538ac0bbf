"""A file from which a run that was cut off goes on."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from minidl.kernels import checks
from minidl.support import atomic
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.non_finite import non_finite_parameter
from minidl.training.state import Training


class Checkpoint(Callback):
    """Write the whole training to a file now and then, for `fit(resume=path)` to go on from.

    path: the file, replaced each time by an atomic rename: a kill at any moment leaves a complete one, the old or the
    new. every_epochs: write after every so many epochs, an int of at least 1. every_seconds: write after the first step
    that ends so many seconds (of at least 0) after the last write. One of both or both; neither means every epoch. The
    end of a run and Ctrl-C are always written.

    What is written is the position after a finished step, before another callback's `on_fit_end` changes the weights:
    with `KeepBest` the file holds the last weights, and the best ones beside them. Weights that are not finite are not
    written: a warning names the parameter, and an older file stays.

    Raises TypeError or ValueError for other arguments, FileNotFoundError before the first step if the folder does not
    exist, OSError if a write fails; the file is then as it was, and so is the training: `fit(resume=True)` goes on.
    """

    def __init__(
        self, path: str | os.PathLike[str], every_epochs: int | None = None, every_seconds: float | None = None
    ) -> None:
        self.path = Path(path)
        if every_epochs is None and every_seconds is None:
            every_epochs = 1
        self.every_epochs = (
            None if every_epochs is None else checks.integer("Checkpoint", "every_epochs", every_epochs, 1)
        )
        self.every_seconds: float | None = None
        if every_seconds is not None:
            self.every_seconds = checks.real(
                "Checkpoint", "every_seconds", every_seconds, "at least 0", lambda value: value >= 0
            )
        self._written = 0.0

    def on_fit_begin(self, trainer: Training) -> None:
        """Check the folder, start the clock."""
        atomic.check_folder("Checkpoint", self.path)
        self._written = time.monotonic()

    def on_step_end(self, trainer: Training, history: History) -> None:
        """Write if `every_seconds` have passed."""
        if self.every_seconds is not None and time.monotonic() - self._written >= self.every_seconds:
            self._write(trainer)

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Write if the epoch, the clock or the end of the run says so."""
        run = trainer.run
        due = self.every_epochs is not None and history.epochs % self.every_epochs == 0
        if due or (run is not None and (run.stopped or history.epochs >= run.epochs)):
            self._write(trainer)
        else:
            self.on_step_end(trainer, history)
        return None

    def on_interrupt(self, trainer: Training, history: History) -> None:
        """Write."""
        self._write(trainer)

    def _write(self, trainer: Training) -> None:
        bad = non_finite_parameter(trainer.model)
        if bad:
            kept = f"{os.fspath(self.path)!r} stays as it was" if self.path.exists() else "nothing was written"
            warnings.warn(f"Checkpoint: the parameter {bad} is not finite; {kept}", stacklevel=3)
        else:
            trainer.save(self.path)
        self._written = time.monotonic()


def in_order(callbacks: Callback | Iterable[Callback]) -> list[Callback]:
    """One callback or several, checked, every `Checkpoint` last: it must hold what all others made of the epoch.

    Raises TypeError for anything else.
    """
    if isinstance(callbacks, Callback):
        return [callbacks]
    if isinstance(callbacks, type) or not isinstance(callbacks, Iterable):
        raise TypeError(f"Trainer: callbacks must be a Callback or a list of them, got {callbacks!r}")
    listed = list(callbacks)
    for callback in listed:
        if isinstance(callback, type) or not hasattr(callback, "on_epoch_end"):
            raise TypeError(f"Trainer: callbacks must hold objects such as minidl.KeepBest(), got {callback!r}")
    return sorted(listed, key=lambda callback: isinstance(callback, Checkpoint))
