"""Lookahead: slow weights that follow the fast ones of another optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.parameter import Parameter, by_name
from minidl.optim.base import Given, Optimizer, as_seen, check_names, follow
from minidl.support.settings import Settings

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule


class Lookahead(Settings):
    """k steps forward, one step back (Zhang, Lucas, Hinton, Ba 2019, arXiv 1907.08610, algorithm 1).

    The slow weights start as the parameters before the first step; after every `every`-th step of `optimizer`

        slow = slow + alpha * (p - slow),   p = slow

    The slots of `optimizer` stay as they are. To be used in place of `optimizer`, whose learning rate and schedule it
    has. optimizer: an `SGD`, `RMSProp`, `Adam` or `AdamW`. every: the paper's k, an int of at least 1. alpha: in
    (0, 1].
    """

    def __init__(self, optimizer: Optimizer, every: int = 5, alpha: float = 0.5) -> None:
        self.who = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self.who}: optimizer must be one such as minidl.SGD(lr=0.01), got {optimizer!r}")
        self.optimizer = optimizer
        self.every = checks.integer(self.who, "every", every, 1)
        self.alpha = checks.real(self.who, "alpha", alpha, "in (0, 1]", lambda v: 0 < v <= 1)
        self._slow: dict[str, np.ndarray] = {}
        self._seen: Given = []
        self._bound: dict[str, Parameter] = {}
        self._loaded = False

    @property
    def lr(self) -> float:
        """The optimiser's learning rate; may be set."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self.optimizer.lr = lr

    @property
    def schedule(self) -> Schedule | None:
        """The optimiser's schedule; may be set."""
        return self.optimizer.schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | None) -> None:
        self.optimizer.schedule = schedule

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return self.optimizer.steps

    def progress(self, epoch: float, epochs: int) -> None:
        """Set `lr` from the schedule, if there is one, for the step that starts after `epoch` (a float) of `epochs`."""
        self.optimizer.progress(epoch, epochs)

    def rated(self) -> list[Optimizer]:
        """Those of the optimiser; see `Optimizer.rated`."""
        return self.optimizer.rated()

    def step(self, parameters: Given) -> None:
        """A step of the optimiser, then perhaps one of the slow weights. Takes and raises as `Optimizer.step`."""
        if parameters != self._seen:
            named = by_name(self.who, parameters)
            slow = self._slow_weights(named)
            self.optimizer.step(parameters)
            self._slow, self._bound, self._loaded = slow, named, False
            self._seen = as_seen(parameters)
        else:
            self.optimizer.step(parameters)
        if self.optimizer.steps % self.every:
            return
        blend = kernels.current().blend
        for name, parameter in self._bound.items():
            slow_weights = self._slow[name]
            if slow_weights.dtype != parameter.data.dtype:
                slow_weights = self._slow[name] = slow_weights.astype(parameter.data.dtype)
            blend(slow_weights, parameter.data, self.alpha)
            parameter.data[...] = slow_weights

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the parameters; they find their slow weights by name."""
        return {**vars(self), "_seen": [], "_bound": {}}

    def state(self) -> dict[str, np.ndarray]:
        """The optimiser's state and "<parameter>.slow" for each parameter, as copies."""
        return self.optimizer.state() | {f"{name}.slow": array.copy() for name, array in self._slow.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`. What does not fit the parameters is found out at the next step.

        Raises ValueError for a missing or an unknown entry; everything is then as it was.
        """
        slow = {key: array for key, array in state.items() if key.endswith(".slow")}
        copies = {
            key.removesuffix(".slow"): np.array(checks.float_array(self.who, key, array)) for key, array in slow.items()
        }
        if bool(copies) != bool(np.any(state.get("steps", 0))):
            raise ValueError(
                f"{self.who}: state must have slow weights after its first step, got {len(copies)} of them"
            )
        self.optimizer.load_state({key: array for key, array in state.items() if key not in slow})
        self._slow, self._seen, self._bound, self._loaded = copies, [], {}, bool(copies)

    def _slow_weights(self, named: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
        """Slow weights of a new list of parameters: those that there are, and copies of the others."""
        if self._loaded:
            check_names(self.who, set(named), set(self._slow))
        kept = follow(self._slow, self._bound, named)
        for name, parameter in named.items():
            if name in kept:
                shape = parameter.data.shape
                checks.same_shape(self.who, f"{name}.slow", kept[name].shape, shape, "the parameter's")
        return {name: kept[name] if name in kept else parameter.data.copy() for name, parameter in named.items()}
