"""The first moment of a call of `fit`, and the moment after a callback's `load`: a new run, or one that goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from minidl.losses import Loss
from minidl.training.call import Call
from minidl.training.callbacks.file_names import FileNames
from minidl.training.samples import Samples, observe
from minidl.training.settings import differences
from minidl.training.snapshot import unchanged_on_error
from minidl.training.state import CallbackState, State, Stateful, Training


def begin(training: Training, call: Call, resume: bool | str | os.PathLike[str]) -> None:
    """Start a run, or go on with an older one; its state is then that of `training`, with callbacks ready for it.

    resume: as in `Trainer.fit`. On any error everything is as it was.
    """
    if not isinstance(resume, (bool, str, os.PathLike)):
        raise TypeError(f"Trainer: resume must be True, False or a path, got {resume!r}")
    path = None if isinstance(resume, bool) else newest(os.fspath(resume))
    # A callback may load another training, which then does not fit.
    with unchanged_on_error(training, deep=path is not None or bool(call.callbacks)):
        if path is not None and _is_there(path):
            training.load(path)
            training.say(f"going on from {path}: {training.history.epochs} epochs are done")
        elif path is not None:
            resume = False
        old = training.state
        waiting = old.callback_states() if resume else []
        if resume and old.position is not None:
            old.position.check(call.position)
            training.state = replace(old, validation=call.validation, waiting=waiting)
        else:
            training.state = State(position=call.position.begin(), validation=call.validation, waiting=waiting)
        if isinstance(call.data, Samples):
            observe(call.data, training.model, training.loss)
        elif isinstance(training.loss, Loss):
            training.loss.ready()
        begun = training.state
        for callback in call.callbacks:
            callback.on_fit_begin(training)
        if training.state is begun:
            take_up(training, call)
        else:  # a callback has loaded another one
            go_on_from_loaded(training, call)


def newest(path: str) -> str:
    """The newest of the files that `Checkpoint(path)` writes, where the path has fields such as {epoch}; else path.

    Raises ValueError for fields that a `Checkpoint` would not take.
    """
    if "{" not in path or _is_there(path):
        return path
    found = FileNames("Trainer: resume", Path(path), None).newest()
    return path if found is None else os.fspath(found)


def _is_there(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def go_on_from_loaded(training: Training, call: Call) -> None:
    """Make the state that a callback of the running `call` has loaded the one of its run.

    Raises ValueError if it is of a run over other data, or of other callbacks of the same class.
    """
    state = training.state
    if state.position is None:
        state.position = call.position.begin()
    state.position.check(call.position)
    state.position.stopped = ""
    take_up(training, call)


def take_up(training: Training, call: Call) -> None:
    """Hand out what waits for the callbacks, aim at the call's epochs, tell which settings are new."""
    state = training.state
    assert state.position is not None
    hand_out(state.waiting, call.callbacks)
    new = differences(state.settings, call.settings)
    if new:
        training.say(f"other settings than before, which hold from now on: {', '.join(new)}")
    state.position.go_on(call.position.epochs, [type(callback).__name__ for callback in call.callbacks])
    state.history.interrupted = False
    state.callbacks, state.waiting = call.callbacks, []
    state.settings, state.rates = call.settings, None


def hand_out(states: list[CallbackState], callbacks: Sequence[Stateful]) -> None:
    """Give each callback the first state that is left for its class; states of classes that are gone are dropped.

    {} is the state of a callback that keeps nothing: it takes its turn, and nothing is loaded.

    Raises ValueError for a state that the callback cannot take.
    """
    left = list(states)
    for callback in callbacks:
        for item in left:
            if item[0] == type(callback).__name__:
                try:
                    if item[1]:
                        callback.load_state(item[1])
                except (LookupError, TypeError) as error:
                    raise ValueError(f"{item[0]}: the state to resume is damaged: {error!r}") from error
                left.remove(item)
                break
