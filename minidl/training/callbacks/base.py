"""What may happen between steps and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidl.training.history import History

if TYPE_CHECKING:
    from minidl.training.trainer import Trainer


class Callback:
    """Base of all callbacks; each method does nothing until a subclass writes it.

    They are called in the order in which `fit` got them, every `Checkpoint` after all others.
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Called once, before the first step; when a run is resumed, before `load_state`. Forget an earlier run here.

        `trainer.history` and `trainer.run` are those of the run, also when it is resumed.
        """

    def on_step_end(self, trainer: Trainer, history: History) -> None:
        """Called after each step, whose loss is the last of `history.step_loss`.

        It costs nothing where no callback writes it.
        """

    def on_epoch_end(self, trainer: Trainer, history: History) -> bool | None:
        """Called after each epoch, whose numbers are the last of `history`. Return True to end the training."""
        return None

    def on_interrupt(self, trainer: Trainer, history: History) -> None:
        """Called after Ctrl-C, between two steps, before any `on_fit_end`; not after a second Ctrl-C."""

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Called once at the end: after the last epoch, an early stop or Ctrl-C; not after an error."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to know of this one: arrays, and what JSON can hold; {} for nothing."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, after `on_fit_begin`. Raise ValueError if it is that of another kind of run."""
