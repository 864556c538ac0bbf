"""What a `Trainer` asks of the processes that train one model: here one, which is alone; `minidl.mpi` has many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from minidl.training import resume
from minidl.training.call import Call
from minidl.training.interrupt import Interrupt
from minidl.training.samples import Batch
from minidl.training.state import Training
from minidl.training.step import NonFiniteLoss, Step
from minidl.training.stream import Data, one_pass

Scored = list[tuple[Any, ...]]
"""(scores, targets, sample weights or None) of each batch."""


class Parallel:
    """One process, which does everything itself. `minidl.mpi.DataParallel` is the same for several.

    rank: number of this process, from 0. size: how many there are.
    """

    rank = 0
    size = 1

    def settling(self) -> AbstractContextManager[Any]:
        """Is open while `fit` checks its arguments: what one process refuses, all refuse."""
        return nullcontext()

    def agreed(self, training: Training, call: Call) -> Call:
        """What all processes ask for, from what this one does."""
        return call

    def interrupt(self) -> Interrupt:
        """The requests to end that a `fit` listens to."""
        return Interrupt()

    def running(self, training: Training) -> AbstractContextManager[Any]:
        """Is open while `fit` runs."""
        return nullcontext()

    def begin(self, training: Training, call: Call, start: bool | str | os.PathLike[str]) -> None:
        """See `resume.begin`."""
        resume.begin(training, call, start)

    def share(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Of each batch of a training what this process computes."""
        return batches

    def step(self, training: Training) -> Step:
        """What trains on it."""
        return Step(training.model, training.loss, training.optimizer, training.average)

    def judged(self, data: Data, batch_size: int) -> Iterator[Batch]:
        """The batches of validation data that this process computes."""
        return one_pass(data, batch_size)

    def joined(self, sums: list[float], scored: Scored) -> tuple[list[float], Scored]:
        """The sums of all processes, and what they have scored, from those of this one."""
        return sums, scored

    def end_epoch(self, training: Training) -> None:
        """Is called when the callbacks have been asked."""

    def overflow(
        self, training: Training, error: NonFiniteLoss, told: Callable[[], FloatingPointError]
    ) -> FloatingPointError:
        """What to raise for a loss that is no finite number; `told` says it of this process's batch."""
        return told()


ALONE = Parallel()
