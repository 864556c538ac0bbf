"""Optimisers: how parameters follow their gradients. g = grad + weight_decay * p is the gradient with L2 cost.

    SGD       v = momentum * v + g                                   p = p - lr * v          (plain: p = p - lr * g)
    RMSProp   s = decay * s + (1 - decay) * g^2                      p = p - lr * g / (sqrt(s) + eps)
    Adam      m = beta1 * m + (1 - beta1) * g
              s = beta2 * s + (1 - beta2) * g^2                      p = p - lr * m^ / (sqrt(s^) + eps)
              m^ = m / (1 - beta1^t), s^ = s / (1 - beta2^t)         t counts steps from 1

The arithmetic is the backend's (sgd_update, rmsprop_update, adam_update).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import geometry
from minidl.layers.base import Parameter
from minidl.schedules import Schedule

Slots = tuple[np.ndarray, ...]


class Optimizer:
    """Base of the optimisers: learning rate, slots (arrays that an optimiser keeps for each parameter), and their
    state.

    lr: a number of at least 0, or a schedule (see `minidl.schedules`). weight_decay: at least 0. decay_all: whether
    weight decay concerns all parameters, as in the seed; False spares biases and the parameters of normalisation. A
    subclass lists its slots in `slot_names` and writes `_update`.
    """

    slot_names: tuple[str, ...] = ()

    def __init__(self, lr: float | Schedule, weight_decay: float, decay_all: bool) -> None:
        self.who = type(self).__name__
        self.schedule: Schedule | None = None
        if callable(lr):
            self.schedule = lr
            self.lr = float(lr(0.0, 1))
        else:
            self.lr = geometry.real(self.who, "lr", lr, "at least 0", lambda v: v >= 0)
        self.weight_decay = geometry.real(self.who, "weight_decay", weight_decay, "at least 0", lambda v: v >= 0)
        self.decay_all = bool(decay_all)
        self.steps = 0
        """Steps done so far."""
        self._slots: dict[str, Slots] = {}
        self._loaded = False
        self._seen: list[Parameter] = []
        self._work: list[tuple[Parameter, np.ndarray, np.ndarray, Slots, bool]] = []

    def _update(self, backend: Any, p: np.ndarray, grad: np.ndarray, slots: Slots, weight_decay: float) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _update")

    def progress(self, epoch: float, epochs: int) -> None:
        """Set `lr` from the schedule, if there is one, for the step that starts after `epoch` (a float) of `epochs`."""
        if self.schedule is not None:
            self.lr = float(self.schedule(epoch, epochs))

    def step(self, parameters: Sequence[Parameter]) -> None:
        """Change every parameter's `data` in place by its `grad`; slots are found by the parameter's name.

        Raises ValueError if two parameters have one name, if a gradient's shape or dtype is not its parameter's, or
        if the slots that were loaded do not fit.
        """
        if parameters != self._seen:
            self._bind(parameters)
        self.steps += 1
        backend = kernels.current()
        for i, (parameter, p, grad, slots, decayed) in enumerate(self._work):
            if parameter.data is not p or parameter.grad is not grad:
                self._work[i] = item = self._prepare(parameter)
                _, p, grad, slots, decayed = item
            self._update(backend, p, grad, slots, self.weight_decay if decayed else 0.0)

    def state(self) -> dict[str, np.ndarray]:
        """A copy of all that the next steps depend on: "steps", and "<parameter>.<slot>" for each slot."""
        arrays = {"steps": np.array(self.steps, np.int64)}
        for name, slots in self._slots.items():
            for slot_name, slot in zip(self.slot_names, slots, strict=True):
                arrays[f"{name}.{slot_name}"] = slot.copy()
        return arrays

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`. What does not fit the parameters is found out at the next step.

        Raises ValueError for a missing or an unknown entry; the optimiser is then as it was.
        """
        steps = np.asarray(state.get("steps"))
        if steps.shape != () or steps.dtype.kind not in "iu" or steps < 0:
            raise ValueError(f"{self.who}: state must have steps, an int of at least 0, got {state.get('steps')!r}")
        found: dict[str, dict[str, np.ndarray]] = {}
        for key, array in state.items():
            name, _, slot_name = key.rpartition(".")
            if slot_name in self.slot_names and name:
                found.setdefault(name, {})[slot_name] = np.array(geometry.float_array(self.who, key, array))
            elif key != "steps":
                slots = ", ".join(self.slot_names) or "none"
                raise ValueError(f"{self.who}: state has the unknown entry {key!r}; the slots of {self.who}: {slots}")
        for name, arrays in found.items():
            for slot_name in self.slot_names:
                if slot_name not in arrays:
                    raise ValueError(f"{self.who}: state lacks the entry {name + '.' + slot_name!r}")
        self.steps = int(steps)
        self._slots = {name: tuple(arrays[s] for s in self.slot_names) for name, arrays in found.items()}
        self._loaded = bool(self.slot_names) and self.steps > 0
        self._seen = []

    def _bind(self, parameters: Sequence[Parameter]) -> None:
        """Check a new list of parameters and pair each with its slots."""
        names = [parameter.name for parameter in parameters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{self.who}: {names.count(name)} parameters have the name {name!r};"
                    " names must be unique: put the layers into one Sequential or Model"
                )
        if self._loaded and set(names) != set(self._slots):
            lacking = ", ".join(sorted(set(names) - set(self._slots))) or "none"
            extra = ", ".join(sorted(set(self._slots) - set(names))) or "none"
            raise ValueError(
                f"{self.who}: the loaded state must fit the parameters; missing: {lacking}; without parameter: {extra}"
            )
        self._work = [self._prepare(parameter) for parameter in parameters]
        self._seen = list(parameters)
        self._loaded = False

    def _prepare(self, parameter: Parameter) -> tuple[Parameter, np.ndarray, np.ndarray, Slots, bool]:
        """Checked arrays of one parameter; slots are made where there are none, and follow a change of dtype."""
        name, p, grad = parameter.name, parameter.data, parameter.grad
        geometry.same_shape(self.who, f"the gradient of {name}", grad.shape, p.shape, "the parameter's")
        if p.dtype not in geometry.FLOATS or grad.dtype != p.dtype:
            raise TypeError(
                f"{self.who}: {name} and its gradient must both be float32 or float64, got {p.dtype} and {grad.dtype}"
            )
        if not (p.flags.c_contiguous and p.flags.writeable and grad.flags.c_contiguous):
            raise ValueError(f"{self.who}: {name} and its gradient must be C-contiguous and {name} writeable")
        slots = self._slots.get(name)
        if slots is None:
            slots = tuple(np.zeros_like(p) for _ in self.slot_names)
        for slot_name, slot in zip(self.slot_names, slots, strict=True):
            geometry.same_shape(self.who, f"{name}.{slot_name}", slot.shape, p.shape, "the parameter's")
        self._slots[name] = slots = tuple(slot.astype(p.dtype, copy=False) for slot in slots)
        return parameter, p, grad, slots, self.decay_all or parameter.decay


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) if it is not 0.

    v = momentum * v + (grad + weight_decay * p); p = p - lr * v, on weights and biases alike. nesterov: look ahead,
    p = p - lr * (g + momentum * v) (Sutskever et al. 2013, in the form of Bengio et al. 2012); needs momentum.
    lr, weight_decay, decay_all: see `Optimizer`. momentum: in [0, 1).
    """

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        decay_all: bool = True,
    ) -> None:
        super().__init__(lr, weight_decay, decay_all)
        self.momentum = geometry.real(self.who, "momentum", momentum, "in [0, 1)", lambda v: 0 <= v < 1)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError(f"{self.who}: nesterov needs a momentum above 0, got {momentum!r}")
        self.slot_names = ("velocity",) if self.momentum else ()

    def _update(self, backend: Any, p: np.ndarray, grad: np.ndarray, slots: Slots, weight_decay: float) -> None:
        velocity = slots[0] if slots else None
        backend.sgd_update(p, grad, velocity, self.lr, self.momentum, weight_decay, self.nesterov)


class RMSProp(Optimizer):
    """Gradients divided by the root of their running mean square (Tieleman, Hinton 2012, Coursera lecture 6e).

    lr, weight_decay, decay_all: see `Optimizer`. decay: of the mean square, in [0, 1). eps: positive, added to the
    root.
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
    ) -> None:
        super().__init__(lr, weight_decay, decay_all)
        self.decay = geometry.real(self.who, "decay", decay, "in [0, 1)", lambda v: 0 <= v < 1)
        self.eps = geometry.real(self.who, "eps", eps, "positive", lambda v: v > 0)

    def _update(self, backend: Any, p: np.ndarray, grad: np.ndarray, slots: Slots, weight_decay: float) -> None:
        backend.rmsprop_update(p, grad, slots[0], self.lr, self.decay, self.eps, weight_decay)


class Adam(Optimizer):
    """Adaptive moments (Kingma, Ba 2015, arXiv 1412.6980, algorithm 1).

    decoupled: AdamW (Loshchilov, Hutter 2019, arXiv 1711.05101): weight decay leaves the gradient alone and instead
    multiplies p by 1 - lr * weight_decay before the step. lr, weight_decay, decay_all: see `Optimizer`.
    beta1, beta2: in [0, 1). eps: positive, added to the root.
    """

    slot_names = ("mean", "square")

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        *,
        decay_all: bool = True,
    ) -> None:
        super().__init__(lr, weight_decay, decay_all)
        self.beta1 = geometry.real(self.who, "beta1", beta1, "in [0, 1)", lambda v: 0 <= v < 1)
        self.beta2 = geometry.real(self.who, "beta2", beta2, "in [0, 1)", lambda v: 0 <= v < 1)
        self.eps = geometry.real(self.who, "eps", eps, "positive", lambda v: v > 0)
        self.decoupled = bool(decoupled)

    def _update(self, backend: Any, p: np.ndarray, grad: np.ndarray, slots: Slots, weight_decay: float) -> None:
        mean, square = slots
        backend.adam_update(
            p,
            grad,
            mean,
            square,
            self.steps,
            self.lr,
            self.beta1,
            self.beta2,
            self.eps,
            weight_decay,
            self.decoupled,
        )
