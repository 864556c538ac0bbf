"""Where a training stands, beside its weights: one object that is saved, restored, and shown to callbacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from minidl.model import Model
from minidl.optim.weight_average import WeightAverage
from minidl.training.history import History
from minidl.training.measures import Metric
from minidl.training.position import Position
from minidl.training.stream import Data

CallbackState = tuple[str, dict[str, Any]]
"""Class name and `state` of a callback."""


class Stateful(Protocol):
    """What the state of a training needs of a callback."""

    def state(self) -> dict[str, Any]:
        """See `Callback.state`."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Callback.load_state`."""


@dataclass
class State:
    """All of a training but model, optimiser, average and generators; another run, or a loaded one, has another object.

    history: of the run. position: in the run; None before the first. validation: data of the last `fit`. callbacks:
    of the last `fit`. waiting: states of callbacks that a file held, until a `fit` hands them out. settings: what the
    script that began or resumed the run had set, in words, by name (see `minidl.training.settings`). rates: the
    learning rates that the run has left in the optimiser and those inside, by which one that the script has set since
    is known; None while it runs, NaN where it has left none.
    """

    history: History = field(default_factory=History)
    position: Position | None = None
    validation: Data | None = None
    callbacks: Sequence[Stateful] = ()
    waiting: list[CallbackState] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    rates: tuple[float, ...] | None = None

    def callback_states(self) -> list[CallbackState]:
        """Class name and state of each callback, {} included: they go back by order; or what a file held."""
        if self.callbacks:
            return [(type(callback).__name__, callback.state()) for callback in self.callbacks]
        return self.waiting


class Training(Protocol):
    """What callbacks, checkpoints and the start of a run see of a `Trainer`."""

    model: Model
    loss: Any
    optimizer: Any
    average: WeightAverage | None
    metrics: dict[str, Metric]
    state: State

    @property
    def history(self) -> History:
        """What the run has measured."""

    @property
    def run(self) -> Position | None:
        """The position in the run."""

    @property
    def validation(self) -> Data | None:
        """The validation data of the run."""

    def evaluate(self, data: Any, batch_size: int = 256) -> dict[str, float]:
        """See `Trainer.evaluate`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """See `Trainer.save`."""

    def load(self, path: str | os.PathLike[str]) -> Any:
        """See `Trainer.load`; inside of a callback the run goes on from there."""

    def say(self, text: str) -> None:
        """Print a line above the moving one; nothing where `fit` is not verbose."""
