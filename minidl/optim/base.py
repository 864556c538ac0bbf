"""What every optimiser is: learning rate, weight decay, clipping, groups, slots, and their state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.parameter import Parameter, by_name
from minidl.optim.groups import Groups
from minidl.support.settings import Settings

if TYPE_CHECKING:
    from minidl.optim.schedules import Schedule

Slots = tuple[np.ndarray, ...]
Grouped = Mapping[str, Mapping[str, float]] | None
Given = Sequence[Parameter] | Mapping[str, Parameter]
Work = tuple[str, Parameter, np.ndarray, np.ndarray, Slots, float, float | None]
"""Name of a parameter, it, its data, gradient and slots, its factor of lr, and its own weight decay if it has one."""

Update = tuple[Any, Any, tuple[Any, ...], float, float | None]
"""Data, gradients and slots, each an array or several together, and what `Work` says of lr and weight decay."""
TOGETHER = "takes_together"

Kept = TypeVar("Kept")


def at_once(update: Callable[..., None]) -> Callable[..., None]:
    """An `_update` that hands its arrays to the backend and so may have many of them together."""
    setattr(update, TOGETHER, True)
    return update


class Optimizer(Settings):
    """Base of the optimisers: learning rate, slots (arrays that an optimiser keeps for each parameter), and their
    state.

    lr: a number of at least 0, or a schedule (see `minidl.optim.schedules`). weight_decay: at least 0. decay_all:
    whether weight decay concerns all parameters; False spares biases and the parameters of
    normalisation. clip_norm: positive; where the Euclidean norm of all gradients together is larger, they count as if
    multiplied by clip_norm / norm (Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, algorithm 1); None never clips.
    groups: own settings by patterns of parameter names, {"*.bias": {"lr": 2.0, "weight_decay": 0.0}}: lr is a factor of
    the optimiser's, weight_decay stands in place of it, also where decay_all is False (see `minidl.optim.groups`). A
    subclass lists its slots in `slot_names` and writes `_update`.
    """

    slot_names: tuple[str, ...] = ()
    _shown = ("lr",)

    def __init__(
        self, lr: float | Schedule, weight_decay: float, decay_all: bool, clip_norm: float | None, groups: Grouped
    ) -> None:
        self.who = type(self).__name__
        self.schedule: Schedule | None = None
        if callable(lr):
            self.schedule = lr
            self.lr = float(lr(0.0, 1))
        else:
            self.lr = checks.real(self.who, "lr", lr, "at least 0", lambda v: v >= 0)
        self.weight_decay = checks.real(self.who, "weight_decay", weight_decay, "at least 0", lambda v: v >= 0)
        self.decay_all = bool(decay_all)
        self.clip_norm = clip_norm
        if clip_norm is not None:
            self.clip_norm = checks.real(self.who, "clip_norm", clip_norm, "positive", lambda v: v > 0)
        self.groups = Groups(self.who, groups)
        self.grad_norm = math.nan
        """Norm of the last step's gradients before clipping; NaN without clip_norm."""
        self.steps = 0
        """Steps done so far."""
        self._slots: dict[str, Slots] = {}
        self._loaded = False
        self._seen: Given = []
        self._bound: dict[str, Parameter] = {}
        self._work: list[Work] = []
        self._updates: list[Update] = []
        self._stands: list[tuple[Parameter, np.ndarray, np.ndarray, bool, bool]] = []
        self._backend: Any = None  # whose `_updates` are

    def __setattr__(self, name: str, value: Any) -> None:
        """Settings that decide which arrays go by which numbers count from the next step on."""
        if name == "groups" and not isinstance(value, Groups):
            value = Groups(self.who, value)
        super().__setattr__(name, value)
        if name in ("decay_all", "groups", "slot_names"):
            super().__setattr__("_backend", None)

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
        raise NotImplementedError(f"{type(self).__name__} must define _update")

    def progress(self, epoch: float, epochs: int) -> None:
        """Set `lr` from the schedule, if there is one, for the step that starts after `epoch` (a float) of `epochs`."""
        if self.schedule is not None:
            rate = float(self.schedule(epoch, epochs))
            self.lr = checks.real(self.who, f"the schedule's rate in epoch {epoch:.4g}", rate, "at least 0", _is_rate)

    def rated(self) -> list[Optimizer]:
        """The optimisers with a rate of their own: this one, and after it those inside."""
        return [self]

    def step(self, parameters: Given) -> None:
        """Change the `data` of every parameter that is not frozen by its `grad`.

        parameters: `model.parameters()`, which remembers the names in that model; any other list, whose names are those
        that the parameters have; or `named_parameters()`. The slots of a parameter stay its own when its name changes;
        those of one that is new here are found by its name, after `load_state` for instance.

        Raises ValueError if two parameters have one name, if a gradient's shape or dtype is not its parameter's, if
        the slots that were loaded do not fit, or if a pattern of the groups matches no parameter; FloatingPointError,
        before anything changes, if gradients that are to be clipped have no finite norm.
        """
        if parameters != self._seen:
            self._bind(parameters)
        backend = kernels.current()
        if backend is not self._backend or not self._stand():
            self._gather(backend)
        scale = 1.0 if self.clip_norm is None else self._clip(backend, self.clip_norm)
        self.steps += 1
        lr, weight_decay = self.lr, self.weight_decay
        for p, grad, slots, factor, own_decay in self._updates:
            decay = weight_decay if own_decay is None else own_decay
            self._update(backend, p, grad, slots, lr * factor, decay, scale)

    def _stand(self) -> bool:
        """Whether the updates are still those of the parameters' arrays."""
        for parameter, p, grad, frozen, decay in self._stands:
            if parameter._data is not p or parameter.grad is not grad or not p.flags.writeable:
                return False
            if parameter.frozen is not frozen or parameter.decay is not decay:
                return False
        return True

    def _gather(self, backend: Any) -> None:
        """Make the updates anew, with as many arrays together as go by the same numbers."""
        self.groups.check([name for name, *_ in self._work])
        work = [self._prepare(name, parameter) for name, parameter, *_ in self._work]
        together = hasattr(type(self)._update, TOGETHER)
        alone = overlapping([p for _, _, p, *_ in work])  # threads may update arrays that stand together at once
        alike: dict[Any, list[Work]] = {}
        for i, item in enumerate(work):
            _, parameter, p, _, _, factor, own_decay = item
            if not parameter.frozen:
                alike.setdefault((p.dtype, factor, own_decay) if together and i not in alone else i, []).append(item)
        updates: list[Update] = []
        for items in alike.values():
            *_, factor, own_decay = items[0]
            rows = zip(*([p, grad, *slots] for _, _, p, grad, slots, _, _ in items))
            p, grad, *slots = (row[0] if len(items) == 1 else backend.together(row) for row in rows)
            updates.append((p, grad, tuple(slots), factor, own_decay))
        stands = [(parameter, p, grad, parameter.frozen, parameter.decay) for _, parameter, p, grad, *_ in work]
        self._work, self._updates, self._stands, self._backend = work, updates, stands, backend

    def _clip(self, backend: Any, clip_norm: float) -> float:
        """The factor that brings the norm of all gradients down to clip_norm, at most 1."""
        norm = self.grad_norm = math.sqrt(
            sum(backend.sum_of_squares(grad) for _, parameter, _, grad, *_ in self._work if not parameter.frozen)
        )
        if not math.isfinite(norm):
            raise FloatingPointError(f"{self.who}: the gradients' norm must be finite to be clipped, got {norm}")
        return 1.0 if norm <= clip_norm else clip_norm / norm

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
        steps = loaded_steps(self.who, state)
        found: dict[str, dict[str, np.ndarray]] = {}
        for key, array in state.items():
            name, _, slot_name = key.rpartition(".")
            if slot_name in self.slot_names and name:
                found.setdefault(name, {})[slot_name] = np.array(checks.float_array(self.who, key, array))
            elif key != "steps":
                slots = ", ".join(self.slot_names) or "none"
                raise ValueError(f"{self.who}: state has the unknown entry {key!r}; the slots of {self.who}: {slots}")
        for name, arrays in found.items():
            for slot_name in self.slot_names:
                if slot_name not in arrays:
                    raise ValueError(f"{self.who}: state lacks the entry {name + '.' + slot_name!r}")
        self.steps = steps
        self._slots = {name: tuple(arrays[s] for s in self.slot_names) for name, arrays in found.items()}
        self._loaded = bool(self.slot_names) and self.steps > 0
        self._seen, self._bound, self._work, self._backend = [], {}, [], None

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments by name, in its order, with today's values; lr the schedule if there is one."""
        found = super().settings()
        for name, value in (("lr", self.schedule or self.lr), ("groups", self.groups.groups or None)):
            if name in found:
                found[name] = value
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the parameters; they find their slots by name."""
        return {**vars(self), "_seen": [], "_bound": {}, "_work": [], "_updates": [], "_stands": [], "_backend": None}

    def _bind(self, parameters: Given) -> None:
        """Check a new list of parameters and pair each with its slots."""
        named = by_name(self.who, parameters)
        if self._loaded:
            check_names(self.who, set(named), set(self._slots))
        self.groups.check(named)
        self._slots = follow(self._slots, self._bound, named)
        self._bound = follow(self._bound, self._bound, named) | named
        self._work = [self._prepare(name, parameter) for name, parameter in named.items()]
        self._seen = as_seen(parameters)
        self._loaded, self._backend = False, None

    def _prepare(self, name: str, parameter: Parameter) -> Work:
        """Checked arrays of one parameter; slots are made where there are none, and follow a change of dtype."""
        p, grad = parameter.data, parameter.grad
        checks.same_shape(self.who, f"the gradient of {name}", grad.shape, p.shape, "the parameter's")
        if p.dtype not in checks.FLOATS or grad.dtype != p.dtype:
            raise TypeError(
                f"{self.who}: {name} and its gradient must both be float32 or float64, got {p.dtype} and {grad.dtype}"
            )
        if not (p.flags.c_contiguous and p.flags.writeable and grad.flags.c_contiguous):
            raise ValueError(f"{self.who}: {name} and its gradient must be C-contiguous and {name} writeable")
        slots = self._slots.get(name)
        if slots is None or len(slots) != len(self.slot_names):
            slots = tuple(np.zeros_like(p) for _ in self.slot_names)
        for slot_name, slot in zip(self.slot_names, slots, strict=True):
            checks.same_shape(self.who, f"{name}.{slot_name}", slot.shape, p.shape, "the parameter's")
        self._slots[name] = slots = tuple(slot.astype(p.dtype, copy=False) for slot in slots)
        settings = self.groups.settings(name)
        decay = settings.get("weight_decay", None if self.decay_all or parameter.decay else 0.0)
        return name, parameter, p, grad, slots, settings.get("lr", 1.0), decay


def overlapping(arrays: Sequence[np.ndarray]) -> set[int]:
    """The numbers of those C-contiguous arrays that share memory with another one."""
    found: set[int] = set()
    last, end = -1, -1
    for start, i in sorted((array.ctypes.data, i) for i, array in enumerate(arrays) if array.size):
        if start < end:
            found |= {last, i}
        if start + arrays[i].nbytes > end:
            last, end = i, start + arrays[i].nbytes
    return found


def rated(optimizer: Any) -> list[Any]:
    """`Optimizer.rated`, also of an optimiser of one's own that has no more than a rate and a step."""
    return list(optimizer.rated()) if hasattr(optimizer, "rated") else [optimizer]


def as_seen(parameters: Given) -> Given:
    """A copy, by which the same parameters are known again at the next step."""
    return dict(parameters) if isinstance(parameters, Mapping) else list(parameters)


def follow(kept: Mapping[str, Kept], bound: Mapping[str, Parameter], named: Mapping[str, Parameter]) -> dict[str, Kept]:
    """What is kept by name, that of the `bound` parameters under their names of today, `named`."""
    former = {id(parameter): name for name, parameter in bound.items()}
    moved = {name: former[id(parameter)] for name, parameter in named.items() if id(parameter) in former}
    gone = set(moved.values())
    stay = {name: value for name, value in kept.items() if name not in gone}
    return stay | {name: kept[old] for name, old in moved.items() if old in kept}


def _is_rate(lr: float) -> bool:
    return lr >= 0


def check_names(who: str, names: set[str], loaded: set[str]) -> None:
    """Refuse a loaded state that is not of the parameters with these names."""
    if names != loaded:
        lacking = ", ".join(sorted(names - loaded)) or "none"
        extra = ", ".join(sorted(loaded - names)) or "none"
        raise ValueError(
            f"{who}: the loaded state must fit the parameters; missing: {lacking}; without parameter: {extra}"
        )


def loaded_steps(who: str, state: Mapping[str, np.ndarray]) -> int:
    """The entry "steps" of a state. Raises ValueError if it is missing or no count."""
    steps = np.asarray(state.get("steps"))
    if steps.shape != () or steps.dtype.kind not in "iu" or steps < 0:
        raise ValueError(f"{who}: state must have steps, an int of at least 0, got {state.get('steps')!r}")
    return int(steps)
