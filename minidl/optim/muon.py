"""Muon: momentum whose singular values are all brought near one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.parameter import Parameter, by_name
from minidl.optim.base import Given, Grouped, Optimizer, Slots, as_seen
from minidl.optim.groups import check_patterns

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule

QUINTIC = (3.4445, -4.775, 2.0315)
"""a, b, c of s -> a s + b s^3 + c s^5, which takes singular values in (0, 1] to about 0.7 to 1.2 in five steps."""


class Muon(Optimizer):
    """Orthogonalised momentum for the matrices of the hidden layers, another optimiser for all other parameters.

        v = v + (1 - momentum) * (grad - v)
        u = grad + momentum * (v - grad)            (without nesterov: u = v)
        p = (1 - lr * weight_decay) * p - lr * sqrt(max(1, rows / columns)) * orthogonal(u, steps)

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". A weight (O, ...) counts as a matrix
    of O rows. The first and the last layer, biases and the parameters of norms go better with `optimizer`, an `SGD`,
    `RMSProp`, `Adam` or `AdamW` with its own rate or schedule.

    weights: the patterns (as those of `groups`) of the names that are matrices, each with at least two axes. momentum:
    in [0, 1). steps: iterations of `orthogonal`, an int of at least 1; three do for convolutions. fixed_norm: before
    each step p is scaled to the norm sqrt(rows), for layers that a normalisation follows, where only the direction of
    p matters (Jordan's speed run for CIFAR-10, airbench94_muon). lr, weight_decay, groups: see `Optimizer`.
    The products are the backend's, its linear layer's. Raises ValueError at the first step for a pattern that matches
    no parameter, or one of fewer than two axes.
    """

    slot_names = ("velocity",)
    _stored = MappingProxyType({"steps": "iterations"})

    def __init__(
        self,
        optimizer: Optimizer,
        weights: Sequence[str],
        lr: float | Schedule = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        nesterov: bool = True,
        steps: int = 5,
        *,
        fixed_norm: bool = False,
        groups: Grouped = None,
    ) -> None:
        super().__init__(lr, weight_decay, True, None, groups)
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Muon):
            raise TypeError(f"{self.who}: optimizer must be one such as minidl.SGD(lr=0.01), got {optimizer!r}")
        if isinstance(weights, str) or not weights or not all(isinstance(pattern, str) for pattern in weights):
            raise TypeError(f'{self.who}: weights must be patterns of names such as ("2.weight",), got {weights!r}')
        self.optimizer = optimizer
        self.weights = tuple(weights)
        self.momentum = checks.real(self.who, "momentum", momentum, "in [0, 1)", lambda v: 0 <= v < 1)
        self.nesterov = bool(nesterov)
        self.iterations = checks.integer(self.who, "steps", steps, 1)
        self.fixed_norm = bool(fixed_norm)
        self._all: Given = []
        self._others: dict[str, Parameter] = {}
        self._matrices: dict[str, Parameter] = {}

    def progress(self, epoch: float, epochs: int) -> None:
        """Set `lr` from the schedule, if there is one, here and in the other optimiser; see `Optimizer.progress`."""
        super().progress(epoch, epochs)
        self.optimizer.progress(epoch, epochs)

    def rated(self) -> list[Optimizer]:
        """This one and the other; see `Optimizer.rated`."""
        return [self, *self.optimizer.rated()]

    def step(self, parameters: Given) -> None:
        """A step of all parameters, each by its optimiser. Raises as `Optimizer.step`."""
        if parameters != self._all:
            self._part(parameters)
        self.optimizer.step(self._others)
        super().step(self._matrices)

    def _part(self, parameters: Given) -> None:
        """Matrices here, the others there."""
        named = by_name(self.who, parameters)
        check_patterns(self.who, "weights", self.weights, named)
        for pattern in self.weights:
            for name, parameter in named.items():
                if fnmatchcase(name, pattern) and parameter.data.ndim < 2:
                    raise ValueError(
                        f"{self.who}: {name} must have at least two axes for {pattern!r},"
                        f" got shape {parameter.data.shape}"
                    )
        self._matrices = {name: parameter for name, parameter in named.items() if self._is_matrix(name)}
        self._bind(self._matrices)
        self._others = {name: parameter for name, parameter in named.items() if not self._is_matrix(name)}
        self._all = as_seen(parameters)

    def _is_matrix(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.weights)

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
        (velocity,) = slots
        backend.blend(velocity, grad, 1 - self.momentum)
        rows, columns = len(p), p.size // len(p)
        matrix = grad + self.momentum * (velocity - grad) if self.nesterov else velocity
        change = orthogonal(matrix.reshape(rows, columns), self.iterations).reshape(p.shape)
        keep = 1 - lr * weight_decay
        if self.fixed_norm:
            norm = math.sqrt(backend.sum_of_squares(p))
            keep *= math.sqrt(rows) / norm if norm else 1.0
        p *= keep
        p -= lr * math.sqrt(max(1, rows / columns)) * change

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the parameters; they find their slots by name."""
        return {**super().__getstate__(), "_all": [], "_others": {}, "_matrices": {}}

    def state(self) -> dict[str, np.ndarray]:
        """The states of both optimisers, as copies."""
        return self.optimizer.state() | super().state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`; see `Optimizer.load_state`."""
        own = {key: array for key, array in state.items() if self._is_matrix(key.rpartition(".")[0])}
        before = super().state()
        super().load_state(own | {"steps": state.get("steps", np.array(None))})
        try:
            self.optimizer.load_state({key: array for key, array in state.items() if key not in own})
        except (TypeError, ValueError):
            super().load_state(before)
            raise
        self._all = []


def orthogonal(matrix: np.ndarray, steps: int) -> np.ndarray:
    """About U V^T of the matrix's singular value decomposition U S V^T, of its dtype, without a decomposition.

    x = matrix / |matrix| (Frobenius); then `steps` times x = a x + (b A + c A A) x with A = x x^T: the Newton-Schulz
    iteration with the coefficients of Jordan et al. 2024, which act on each singular value as `QUINTIC` says. They
    settle between 0.7 and 1.2, small ones later: exact ones train no better. A matrix of zeros stays as it is.
    """
    backend = kernels.current()
    a, b, c = QUINTIC
    tall = len(matrix) > matrix.shape[1]
    x = np.ascontiguousarray(matrix.T if tall else matrix)
    x = x / (math.sqrt(backend.sum_of_squares(x)) + 1e-7)
    for _ in range(steps):
        gram = _product(backend, x, x)
        x = a * x + _product(backend, b * gram + c * _product(backend, gram, gram), x.T)
    return x.T if tall else x


def _product(backend: Any, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x w^T, as a linear layer computes it."""
    return backend.leave(backend.linear_forward(backend.enter(x), np.ascontiguousarray(w), None))
