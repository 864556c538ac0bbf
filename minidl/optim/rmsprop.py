"""RMSProp: steps by the gradient's size in the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks
from minidl.optim.base import Grouped, Optimizer, Slots, at_once

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule


class RMSProp(Optimizer):
    """Gradients divided by the root of their running mean square (Tieleman, Hinton 2012, Coursera lecture 6e).

    decay: of the mean square, in [0, 1). eps: positive, added to the root. lr, weight_decay, decay_all, clip_norm,
    groups: see `Optimizer`.
    """

    slot_names = ("square",)

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        decay: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decay_all: bool = True,
        clip_norm: float | None = None,
        groups: Grouped = None,
    ) -> None:
        super().__init__(lr, weight_decay, decay_all, clip_norm, groups)
        self.decay = checks.real(self.who, "decay", decay, "in [0, 1)", lambda v: 0 <= v < 1)
        self.eps = checks.real(self.who, "eps", eps, "positive", lambda v: v > 0)

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
        backend.rmsprop_update(p, grad, slots[0], lr, self.decay, self.eps, weight_decay, scale)
