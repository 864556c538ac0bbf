"""Files that grow by one line an epoch. A log always tells what the history tells: a resumed run has no epoch twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

from minidl.support import atomic
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.state import Training


class EpochLog(Callback):
    """Base of the logs. A subclass writes `_line`, and `_head` if the file begins with a line of names.

    path: the file. The first epoch that ends writes it anew, with all epochs of the history: one, or, if a run was
    resumed, those before it too. That drops the half line of a killed writer, and the epochs after the checkpoint. The
    epochs that follow are appended; where a callback has gone back to a checkpoint the file is written anew. Raises
    FileNotFoundError before the first step if the folder does not exist, OSError where the file cannot be written.
    """

    writes = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._written: int | None = None
        """Epochs in the file; None before the first of this run."""

    def on_fit_begin(self, trainer: Training) -> None:
        """Check the folder."""
        atomic.check_folder(type(self).__name__, self.path)
        self._written = None

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Append the epoch."""
        if self._written != history.epochs - 1:
            self._rewrite(history)
            return None
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._line(history, history.epochs - 1))
        self._written = history.epochs
        return None

    def on_fit_end(self, trainer: Training, history: History) -> None:
        """Write the epochs of a run that has gone back, or was resumed, and had none left to do."""
        if self._written != history.epochs and history.epochs:
            self._rewrite(history)

    def _rewrite(self, history: History) -> None:
        lines = [self._head(history), *(self._line(history, epoch) for epoch in range(history.epochs))]
        atomic.replace(self.path, ["".join(lines).encode()])
        self._written = history.epochs

    def _head(self, history: History) -> str:
        return ""

    def _line(self, history: History, epoch: int) -> str:
        raise NotImplementedError(f"{type(self).__name__} must define _line")


class CSVLog(EpochLog):
    """Comma-separated values: a line of names, then one line an epoch, counted from 1.

    Columns: epoch and those of `History`; all digits of each number, "nan" where there is none. path: see `EpochLog`.
    """

    def _head(self, history: History) -> str:
        return ",".join(("epoch", *history)) + "\n"

    def _line(self, history: History, epoch: int) -> str:
        return ",".join([str(epoch + 1), *(repr(history[key][epoch]) for key in history)]) + "\n"


class JSONLinesLog(EpochLog):
    """One JSON object an epoch, each on its own line: {"epoch": 1, "train_loss": 0.12, ...}.

    Keys: epoch, counted from 1, and those of `History`; null where there is no finite number. path: see `EpochLog`.
    """

    def _line(self, history: History, epoch: int) -> str:
        numbers = {key: history[key][epoch] for key in history}
        finite = {key: value if abs(value) < float("inf") else None for key, value in numbers.items()}
        return json.dumps({"epoch": epoch + 1, **finite}) + "\n"
