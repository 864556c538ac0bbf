"""Which learning rate to train with: let it grow from step to step and look at the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import plots
from minidl.kernels import checks
from minidl.training.position import as_seed
from minidl.training.samples import Batch, Samples, prepare
from minidl.training.snapshot import Snapshot
from minidl.training.state import Training
from minidl.training.step import NonFiniteLoss, Step

SMOOTHING = 0.9
"""Weight of the past in the moving average of the losses."""

DIVERGED = 4.0
"""The test ends where the averaged loss is so many times its least value."""

WINDOW = 10
"""Steps over which a fall of the averaged loss is looked for."""


@dataclass(frozen=True)
class RangeTest:
    """What `find_lr` measured: one entry a step, up to the step where the loss went away.

    rates: learning rates. losses: of the batches, before the step with that rate. smoothed: their exponential moving
    average (weight 0.9 of the past), divided by the sum of its weights.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def suggestion(self) -> float:
        """The rate in the middle of those `WINDOW` steps over which the averaged loss falls most."""
        window = min(WINDOW, len(self.rates) - 1)
        first = int(np.argmax(self.smoothed[: len(self.smoothed) - window] - self.smoothed[window:]))
        return math.sqrt(self.rates[first] * self.rates[first + window])

    def figure(self) -> Any:
        """The curve as a matplotlib Figure, see `plots.range_test_figure`. Needs the extra `plot`."""
        return plots.range_test_figure(self)


def find_lr(
    trainer: Training,
    data: tuple[Any, Any],
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
    batch_size: int = 100,
    seed: int = 0,
) -> RangeTest:
    """Train for some steps with a learning rate that grows from `start` to `end`; then everything is put back.

    The learning rate range test (Smith 2017, "Cyclical learning rates for training neural networks", arXiv 1506.01186,
    section 3.3). There the rate grows linearly; here each step multiplies it by the same factor, so that one test spans
    several powers of ten. It ends early where the loss is no longer finite, or its average four times the least one.

    trainer: its model and optimiser are those to be tested; weights, running statistics, optimiser, averages,
    generators and history come back to the bit, gradients do not. data: as for `Trainer.fit`. start, end: positive,
    start below end. steps: at least 2. batch_size, seed: as for `fit`; the data begin anew where they end.
    Raises TypeError or ValueError for other arguments, FloatingPointError if the first loss is not finite.
    """
    who = "find_lr"
    start = checks.real(who, "start", start, "positive", lambda value: value > 0)
    end = checks.real(who, "end", end, f"above start ({start:g})", lambda value: value > start)
    steps = checks.integer(who, "steps", steps, 2)
    batch_size = checks.integer(who, "batch_size", batch_size, 1)
    train = prepare("training", data, trainer.model, trainer.loss)
    rng = np.random.default_rng(as_seed(who, seed))
    rates = np.geomspace(start, end, steps)
    before = Snapshot(trainer.model, trainer.optimizer)
    try:
        with np.errstate(all="ignore"):
            losses, smoothed = _measure(trainer, train, rates, batch_size, rng)
    finally:
        before.restore()
        trainer.model.release()
    if not losses:
        raise FloatingPointError(f"{who}: the loss must be finite before the first step")
    return RangeTest(rates[: len(losses)], np.array(losses), np.array(smoothed))


def _measure(
    trainer: Training, train: Samples, rates: np.ndarray, batch_size: int, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Losses and their averages, step by step."""
    losses: list[float] = []
    smoothed: list[float] = []
    step = Step(trainer.model, trainer.loss, trainer.optimizer)
    order = np.empty(0, np.intp)
    average = 0.0
    for number, rate in enumerate(rates, 1):
        if not len(order):
            order = rng.permutation(len(train.images))
        index, order = order[:batch_size], order[batch_size:]
        trainer.optimizer.lr = float(rate)
        try:
            loss, _ = step.train(Batch(train, index))
        except NonFiniteLoss:
            break
        except FloatingPointError:  # gradients too large to be clipped
            if not losses:
                raise
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        mean = average / (1 - SMOOTHING**number)
        if smoothed and mean > DIVERGED * min(smoothed):
            break
        losses.append(loss)
        smoothed.append(mean)
    return losses, smoothed
