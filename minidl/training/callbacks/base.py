"""What may happen between steps and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidl.training.history import History
from minidl.training.state import Training


class Callback:
    """Base of all callbacks; each method does nothing until a subclass writes it.

    They are called in the order in which `fit` got them, every `Checkpoint` after all others. trainer: the `Trainer`.

    `trainer.load(path)` within `on_step_end` or `on_epoch_end` takes the run back to a checkpoint of it: model,
    optimiser, history, generators and the states of the callbacks are then those of the file, no further callback is
    called for that moment, and the next step is the one after the checkpoint. What a callback must know beyond that it
    keeps out of its `state`. `trainer.fit` within a callback is a RuntimeError, but for `on_fit_end`.
    """

    writes = False
    """Whether it writes files: where several processes train one model, only that of rank 0 then has the callback."""

    def on_fit_begin(self, trainer: Training) -> None:
        """Called once, before the first step; when a run is resumed, before `load_state`. Forget an earlier run here.

        `trainer.history` and `trainer.run` are those of the run, also when it is resumed.
        """

    def on_step_end(self, trainer: Training, history: History) -> None:
        """Called after each step, whose loss is the last of `history.step_loss`.

        It costs nothing where no callback writes it.
        """

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Called after each epoch, whose numbers are the last of `history`. Return True to end the training."""
        return None

    def on_interrupt(self, trainer: Training, history: History) -> None:
        """Called after Ctrl-C, between two steps, before any `on_fit_end`; not after a second Ctrl-C."""

    def on_fit_end(self, trainer: Training, history: History) -> None:
        """Called once at the end: after the last epoch, an early stop or Ctrl-C; not after an error."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to know of this one: arrays, and what JSON can hold; {} for nothing."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, after `on_fit_begin`. Raise ValueError if it is that of another kind of run."""
