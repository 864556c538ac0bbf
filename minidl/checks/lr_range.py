"""Which learning rate to train with: let it grow from step to step and look at the loss."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import plots
from minidl.kernels import checks
from minidl.training.position import as_seed
from minidl.training.samples import Batch, Samples, observe, prepare
from minidl.training.snapshot import Snapshot
from minidl.training.state import Training
from minidl.training.step import NonFiniteLoss, Step

SMOOTHING = 0.9
"""Weight of the past in the moving average of the losses."""

DIVERGED = 4.0
"""The test ends where the averaged loss is so many times its least value."""

WINDOW = 10
"""Steps over which a fall of the averaged loss is looked for."""


CLEAR = 3.0
"""Standard errors that a fall must be larger than, to be one."""


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
        """The rate in the middle of those `WINDOW` steps over which the averaged loss falls most; see `doubt`."""
        first, last = self._steepest()
        return math.sqrt(self.rates[first] * self.rates[last])

    @property
    def doubt(self) -> str:
        """Why the curve gives no answer, and what to do; "" where it gives one.

        It gives none where the fall is within what the losses of the batches vary by anyway: less than `CLEAR`
        standard errors of the difference of the two averages, with the median step from loss to loss as the measure of
        a batch's deviation. Nor where the fall is at one of the ends of the range.
        """
        if len(self.rates) < 3:
            return "there are too few steps: take more, or a smaller start"
        first, last = self._steepest()
        fall = self.smoothed[first] - self.smoothed[last]
        # Of independent losses with deviation s the median absolute difference is 0.6745 sqrt(2) s.
        deviation = float(np.median(np.abs(np.diff(self.losses)))) / (0.6745 * math.sqrt(2))
        error = deviation * math.sqrt(_variance(first + 1) + _variance(last + 1))
        if not fall > CLEAR * error:
            return (
                f"the averaged loss nowhere falls by more than it varies ({max(fall, 0):.2g}, standard error"
                f" {error:.2g}): the model may be trained already, or the rates are all too small"
            )
        if first == 0:
            return (
                "the loss falls most at the first rates, by chance if the model is trained already; else take a start"
                f" below {self.rates[0]:.2g}"
            )
        if last == len(self.rates) - 1:
            return f"the loss still falls fastest at the last rate: take an end above {self.rates[-1]:.2g}"
        return ""

    def _steepest(self) -> tuple[int, int]:
        """The steps between which the averaged loss falls most."""
        window = min(WINDOW, len(self.rates) - 1)
        first = int(np.argmax(self.smoothed[: len(self.smoothed) - window] - self.smoothed[window:]))
        return first, first + window

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
    generators, loss and history come back to the bit, gradients do not. data: as for `Trainer.fit`. start, end:
    positive, start below end. steps: at least 2. batch_size, seed: as for `fit`; the data begin anew where they end.
    Warns (UserWarning) where the curve gives no answer, as for a model that is trained already; see `RangeTest.doubt`.
    Raises TypeError or ValueError for other arguments, FloatingPointError if the first loss is not finite.
    """
    who = "find_lr"
    start = checks.real(who, "start", start, "positive", lambda value: value > 0)
    end = checks.real(who, "end", end, f"above start ({start:g})", lambda value: value > start)
    steps = checks.integer(who, "steps", steps, 2)
    batch_size = checks.integer(who, "batch_size", batch_size, 1)
    train = prepare("training", data, trainer.model, trainer.loss)
    loss = copy.copy(trainer.loss)  # which learns from the data, and remembers the steps
    observe(train, trainer.model, loss)
    rng = np.random.default_rng(as_seed(who, seed))
    rates = np.geomspace(start, end, steps)
    before = Snapshot(trainer.model, trainer.optimizer)
    try:
        with np.errstate(all="ignore"):
            losses, smoothed = _measure(trainer, loss, train, rates, batch_size, rng)
    finally:
        before.restore()
        trainer.model.release()
    if not losses:
        raise FloatingPointError(f"{who}: the loss must be finite before the first step")
    found = RangeTest(rates[: len(losses)], np.array(losses), np.array(smoothed))
    if found.doubt:
        warnings.warn(f"{who}: the curve gives no answer, {found.doubt}", stacklevel=2)
    return found


def _variance(number: int) -> float:
    """Of the average after so many losses, in units of that of one: sum of squared weights by squared sum."""
    return (1 - SMOOTHING) / (1 + SMOOTHING) * (1 + SMOOTHING**number) / (1 - SMOOTHING**number)


def _measure(
    trainer: Training, loss: Any, train: Samples, rates: np.ndarray, batch_size: int, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Losses and their averages, step by step."""
    losses: list[float] = []
    smoothed: list[float] = []
    step = Step(trainer.model, loss, trainer.optimizer)
    order = np.empty(0, np.intp)
    average = 0.0
    for number, rate in enumerate(rates, 1):
        if not len(order):
            order = rng.permutation(np.arange(len(train.images), dtype=np.intp))
        index, order = order[:batch_size], order[batch_size:]
        trainer.optimizer.lr = float(rate)
        try:
            value, _ = step.train(Batch(train, index))
        except NonFiniteLoss:
            break
        except FloatingPointError:  # gradients too large to be clipped
            if not losses:
                raise
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * value
        mean = average / (1 - SMOOTHING**number)
        if smoothed and mean > DIVERGED * min(smoothed):
            break
        losses.append(value)
        smoothed.append(mean)
    return losses, smoothed
