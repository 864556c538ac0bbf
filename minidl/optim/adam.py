"""Adam and AdamW: steps by the running moments of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks
from minidl.optim.base import Grouped, Optimizer, Slots, at_once

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule


class Adam(Optimizer):
    """Adaptive moments (Kingma, Ba 2015, arXiv 1412.6980, algorithm 1).

    beta1, beta2: in [0, 1). eps: positive, added to the root. lr, weight_decay, decay_all, clip_norm, groups: see
    `Optimizer`; weight decay is part of the gradient here, and in AdamW apart from it.
    """

    _decoupled = False
    slot_names = ("mean", "square")

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decay_all: bool = True,
        clip_norm: float | None = None,
        groups: Grouped = None,
    ) -> None:
        super().__init__(lr, weight_decay, decay_all, clip_norm, groups)
        self.beta1 = checks.real(self.who, "beta1", beta1, "in [0, 1)", lambda v: 0 <= v < 1)
        self.beta2 = checks.real(self.who, "beta2", beta2, "in [0, 1)", lambda v: 0 <= v < 1)
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
        mean, square = slots
        moments = self.beta1, self.beta2, self.eps
        backend.adam_update(p, grad, mean, square, self.steps, lr, *moments, weight_decay, self._decoupled, scale)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov, Hutter 2019, arXiv 1711.05101, algorithm 2).

    Weight decay leaves the gradient and its moments alone and multiplies p by 1 - lr * weight_decay before the step: in
    the paper's symbols lr = eta_t * alpha, weight_decay = lambda / alpha. Arguments as in `Adam`.
    """

    _decoupled = True

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        decay_all: bool = True,
        clip_norm: float | None = None,
        groups: Grouped = None,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, decay_all=decay_all, clip_norm=clip_norm, groups=groups)
