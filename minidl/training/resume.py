"""The first moment of a call of `fit`: a new run, or one that goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from minidl.training import checkpoint
from minidl.training.history import History
from minidl.training.position import Run
from minidl.training.progress import Progress

if TYPE_CHECKING:
    from minidl.training.callbacks import Callback
    from minidl.training.trainer import Trainer


def begin(
    trainer: Trainer, run: Run, callbacks: list[Callback], resume: bool | str | os.PathLike[str], line: Progress
) -> Run:
    """Start `run`, or go on with an older one; returns the one that `trainer` then has, with callbacks ready for it.

    resume: as in `Trainer.fit`. line: to say that a file was found. On any error everything is as it was.
    """
    if not isinstance(resume, (bool, str, os.PathLike)):
        raise TypeError(f"Trainer: resume must be True, False or a path, got {resume!r}")
    path = None if isinstance(resume, bool) else os.fspath(resume)
    before = checkpoint.pack(trainer) if path is not None else None
    history, old, former = trainer.history, trainer.run, trainer.callbacks
    try:
        if path is not None and os.path.exists(path):
            trainer.load(path)
            line.line(f"going on from {path}: {trainer.history.epochs} epochs are done")
        elif path is not None:
            resume = False
        states = trainer.callback_states() if resume else []
        if resume and trainer.run is not None:
            trainer.run.check(run)
        else:
            trainer.history, trainer.run = History(), run
            run.begin()
        for callback in callbacks:
            callback.on_fit_begin(trainer)
        checkpoint.hand_out(states, callbacks)
    except BaseException:
        if before is not None:
            checkpoint.unpack(trainer, before)
        trainer.history, trainer.run, trainer.callbacks = history, old, former
        raise
    trainer.run.go_on(run.epochs, [type(callback).__name__ for callback in callbacks])
    trainer.history.interrupted = False
    trainer.callbacks, trainer.waiting_states = callbacks, []
    return trainer.run
