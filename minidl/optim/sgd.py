"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks
from minidl.optim.base import Grouped, Optimizer, Slots, at_once

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) if it is not 0.

    v = momentum * v + (grad + weight_decay * p); p = p - lr * v, on weights and biases alike. nesterov: look ahead,
    p = p - lr * (g + momentum * v) (Sutskever et al. 2013, in the form of Bengio et al. 2012); needs momentum.
    momentum: in [0, 1). lr, weight_decay, decay_all, clip_norm, groups: see `Optimizer`.
    """

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        decay_all: bool = True,
        clip_norm: float | None = None,
        groups: Grouped = None,
    ) -> None:
        super().__init__(lr, weight_decay, decay_all, clip_norm, groups)
        self.momentum = checks.real(self.who, "momentum", momentum, "in [0, 1)", lambda v: 0 <= v < 1)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError(f"{self.who}: nesterov needs a momentum above 0, got {momentum!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "momentum" and value:  # of 0 later the velocities stay
            self.slot_names = ("velocity",)

    @at_once
    def _update(
        self,
        backend: Any,
        p: np.ndarray,
        grad: np.ndarray,
        slots: Slots,
        lr: float,
        weight_decay: float,
        scale: float,
    ) -> None:
        velocity = slots[0] if slots else None
        backend.sgd_update(p, grad, velocity, lr, self.momentum, weight_decay, self.nesterov, scale)
