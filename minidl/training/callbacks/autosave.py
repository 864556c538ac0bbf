"""A file from which a run that was cut off goes on."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minidl.kernels import checks
from minidl.support import atomic
from minidl.training.callbacks.base import Callback
from minidl.training.callbacks.file_names import FileNames
from minidl.training.history import History
from minidl.training.monitor import Monitor
from minidl.training.non_finite import non_finite_parameter
from minidl.training.state import Training


class Checkpoint(Callback):
    """Write the whole training to a file now and then, for `fit(resume=path)` to go on from.

    path: the file, replaced each time by an atomic rename: a kill at any moment leaves a complete one, the old or the
    new. Its name may have fields, as in "e{epoch:03}-{val_loss:.3f}.safetensors": the epoch, counted from 1, and the
    numbers of `History`; then there is a file for each name. every_epochs: write after every so many epochs, an int of
    at least 1. every_seconds: write after the first step that ends so many seconds (of at least 0) after the last
    write. One of both or both; neither means every epoch. The end of a run and Ctrl-C are always written.

    best_only: write only at the end of an epoch whose monitor is better than that of the last file. monitor, mode: for
    best_only, as in `KeepBest`. keep: of a name with fields only the last so many files stay, an int of at least 1;
    older ones are removed once the new one is complete, and none that this run has not written. A resumed run goes on
    with their list.

    What is written is the position after a finished step, before another callback's `on_fit_end` changes the weights:
    with `KeepBest` the file holds the last weights, and the best ones beside them. Weights that are not finite are not
    written: a warning names the parameter, and an older file stays.

    Raises TypeError or ValueError for other arguments, FileNotFoundError before the first step if the folder does not
    exist, OSError if a write fails; the file is then as it was, and so is the training: `fit(resume=True)` goes on.
    """

    writes = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_epochs: int | None = None,
        every_seconds: float | None = None,
        best_only: bool = False,
        monitor: str | None = None,
        keep: int | None = None,
        mode: str | None = None,
    ) -> None:
        who = type(self).__name__
        self.path = Path(path)
        if every_epochs is None and every_seconds is None:
            every_epochs = 1
        self.every_epochs = None if every_epochs is None else checks.integer(who, "every_epochs", every_epochs, 1)
        self.every_seconds: float | None = None
        if every_seconds is not None:
            self.every_seconds = checks.real(who, "every_seconds", every_seconds, "at least 0", lambda v: v >= 0)
        self.keep = None if keep is None else checks.integer(who, "keep", keep, 1)
        self.best_only, self.monitor, self.mode = bool(best_only), monitor, mode
        if best_only and every_seconds is not None:
            raise ValueError(f"{who}: best_only must not go with every_seconds: the monitor is known after an epoch")
        if monitor is not None and not best_only:
            raise ValueError(f"{who}: monitor must go with best_only=True, got monitor={monitor!r} alone")
        self._watch = Monitor(who, monitor, mode)
        self._files = FileNames(who, self.path, self.keep)
        self._best = math.nan
        self._written = 0.0

    def on_fit_begin(self, trainer: Training) -> None:
        """Check the folder, start the clock, forget an earlier run."""
        atomic.check_folder("Checkpoint", self.path)
        self._files.check(trainer.metrics)
        if self.best_only:
            self._watch.begin(trainer)
        self._files.written, self._best = [], math.nan
        self._written = time.monotonic()

    def on_step_end(self, trainer: Training, history: History) -> None:
        """Write if `every_seconds` have passed."""
        if self.every_seconds is not None and time.monotonic() - self._written >= self.every_seconds:
            self._write(trainer)

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Write if the epoch, the clock, the monitor or the end of the run says so."""
        run = trainer.run
        due = self.every_epochs is not None and history.epochs % self.every_epochs == 0
        if self.best_only:
            value = self._watch.value(history)
            if due and self._watch.better(value, self._best):
                before, self._best = self._best, value
                if not self._write(trainer):
                    self._best = before
        elif due or (run is not None and (run.stopped or history.epochs >= run.epochs)):
            self._write(trainer)
        else:
            self.on_step_end(trainer, history)
        return None

    def on_interrupt(self, trainer: Training, history: History) -> None:
        """Write."""
        if not self.best_only:
            self._write(trainer)

    def state(self) -> dict[str, Any]:
        """The files of a name with fields, and the best number; {} for a single file that is always written."""
        if not self.best_only and not self._files.fields:
            return {}
        monitor = self._watch.name if self.best_only else None
        return {"files": list(self._files.written), "monitor": monitor, "best": self._best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Raises ValueError if that watched something else."""
        if self.best_only and state["monitor"] is not None:
            self._watch.resume(str(state["monitor"]), state["best"] == state["best"])
            self._best = float(state["best"])
        self._files.load(state["files"])

    def _write(self, trainer: Training) -> bool:
        """Whether there is a new file."""
        path = self._files.next(trainer.history, trainer.run is not None and trainer.run.done > 0)
        bad = non_finite_parameter(trainer.model)
        if bad:
            kept = f"{os.fspath(path)!r} stays as it was" if path.exists() else "nothing was written"
            warnings.warn(f"Checkpoint: the parameter {bad} is not finite; {kept}", stacklevel=3)
            self._written = time.monotonic()
            return False
        before = self._files.written
        self._files.add(path)  # the file's own list has it, too
        try:
            trainer.save(path)
        except BaseException:
            self._files.written = before
            raise
        self._files.remove_old()
        self._written = time.monotonic()
        return True


def in_order(callbacks: Callback | Iterable[Callback]) -> list[Callback]:
    """One callback or several, checked, every `Checkpoint` last: it must hold what all others made of the epoch.

    Those of `best_only` come before the others, whose files go on with the best number.

    Raises TypeError for anything else.
    """
    if isinstance(callbacks, Callback):
        return [callbacks]
    if isinstance(callbacks, type) or not isinstance(callbacks, Iterable):
        raise TypeError(f"Trainer: callbacks must be a Callback or a list of them, got {callbacks!r}")
    listed = list(callbacks)
    for callback in listed:
        if not isinstance(callback, Callback):
            raise TypeError(f"Trainer: callbacks must hold objects such as minidl.KeepBest(), got {callback!r}")
    return sorted(listed, key=lambda each: 2 - each.best_only if isinstance(each, Checkpoint) else 0)
