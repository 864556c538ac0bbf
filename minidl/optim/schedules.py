"""Learning rates that change during training: `schedule(epoch, epochs)` is the rate after `epoch` of `epochs` epochs.

epoch is a float that grows with every step (2.5 is the middle of the third epoch), epochs the length of the training.
Any function of these two can stand for a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from minidl.kernels import checks
from minidl.support.settings import Settings

Schedule = Callable[[float, int], float]


def _rate(schedule: object, name: str, value: float) -> None:
    checks.real(type(schedule).__name__, name, value, "at least 0", lambda v: v >= 0)


def _part(schedule: object, name: str, value: float) -> None:
    checks.real(type(schedule).__name__, name, value, "in (0, 1]", lambda v: 0 < v <= 1)


@dataclass(frozen=True)
class Constant(Settings):
    """lr throughout. Raises TypeError or ValueError for an lr that is no number of at least 0, as all schedules do."""

    lr: float

    def __post_init__(self) -> None:
        _rate(self, "lr", self.lr)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        return self.lr


@dataclass(frozen=True)
class Step(Settings):
    """lr * factor^floor(epoch / every): multiplied by `factor`, in (0, 1], after every `every` epochs."""

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _rate(self, "lr", self.lr)
        checks.integer("Step", "every", self.every, 1)
        _part(self, "factor", self.factor)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        return self.lr * self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class Exponential(Settings):
    """lr * decay^floor(epoch): multiplied by `decay`, in (0, 1], after each epoch (the Solver of CS231n)."""

    lr: float
    decay: float

    def __post_init__(self) -> None:
        _rate(self, "lr", self.lr)
        _part(self, "decay", self.decay)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        return self.lr * self.decay ** math.floor(epoch)


@dataclass(frozen=True)
class Cosine(Settings):
    """end + (lr - end) / 2 * (1 + cos(pi * epoch / epochs)): half a cosine wave from lr down to end.

    Loshchilov, Hutter 2017, "SGDR", arXiv 1608.03983, eq. 5, without restarts.
    """

    lr: float
    end: float = 0.0

    def __post_init__(self) -> None:
        _rate(self, "lr", self.lr)
        _rate(self, "end", self.end)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        return _cosine(self.lr, self.end, epoch / epochs)


@dataclass(frozen=True)
class OneCycle(Settings):
    """From lr * start up to lr during the first part `warmup` of the training, then down to lr * end, along cosines.

    With t = epoch / epochs: a half wave over [0, warmup], another one over [warmup, 1]. warmup is in [0, 1], start and
    end are in [0, 1] each. Smith, Topin 2018, "Super-convergence", arXiv 1708.07120; cosines, and the defaults (a start
    at lr / 25, an end 10,000 times below the start), as fastai and PyTorch took them over.
    """

    lr: float
    warmup: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        _rate(self, "lr", self.lr)
        for name in ("warmup", "start", "end"):
            checks.real("OneCycle", name, getattr(self, name), "in [0, 1]", lambda v: 0 <= v <= 1)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        t = epoch / epochs
        if t < self.warmup:
            return _cosine(self.lr * self.start, self.lr, t / self.warmup)
        return _cosine(self.lr, self.lr * self.end, (t - self.warmup) / (1 - self.warmup) if self.warmup < 1 else 0.0)


@dataclass(frozen=True)
class WarmUp(Settings):
    """Another schedule, multiplied by a line from `start`, in [0, 1], up to 1 during the first `epochs` epochs.

    Gradual warm-up: Goyal et al. 2017, "Accurate, large minibatch SGD", arXiv 1706.02677, section 2.2. epochs may be a
    fraction, and is positive.
    """

    schedule: Schedule
    epochs: float
    start: float = 0.1

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise TypeError(f"WarmUp: schedule must be a schedule, got {self.schedule!r}")
        checks.real("WarmUp", "epochs", self.epochs, "positive", lambda v: v > 0)
        checks.real("WarmUp", "start", self.start, "in [0, 1]", lambda v: 0 <= v <= 1)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The rate."""
        factor = self.start + (1 - self.start) * min(epoch / self.epochs, 1.0)
        return factor * self.schedule(epoch, epochs)


def _cosine(first: float, last: float, t: float) -> float:
    """Half a cosine wave from `first` at t = 0 to `last` at t = 1."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * t))
