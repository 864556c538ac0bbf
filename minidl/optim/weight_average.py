"""An average of the weights over the steps of a training, which often predicts better than the last weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.optim.base import loaded_steps
from minidl.support.settings import Settings

if TYPE_CHECKING:
    from minidl.layers.base import Layer

SLOTS = ("average", "raw")


class WeightAverage(Settings):
    """Exponential moving average of a model's weights: `Trainer(model, loss, optimizer, average=WeightAverage(0.999))`.

    With w_t the parameters and the running statistics of normalisation after every `every`-th step, t counted from 1:

        a_t = a_(t-1) + (1 - decay) / (1 - decay^t) (w_t - a_(t-1))

    which is the mean of w_1, ..., w_t with weights decay^(t-i) that add up to 1, so that nothing is left of the weights
    from before the training (Polyak, Juditsky 1992; in this form Kingma, Ba 2015, arXiv 1412.6980, section 7.2).

    The model has the averages from the end of an epoch's steps on: for the validation, the callbacks, and after `fit`.
    The raw weights come back when training goes on, unless the model was given other weights meanwhile (by `KeepBest`
    or `load`): then it goes on with those, and the average starts anew.

    decay: in [0, 1); about every / (1 - decay) steps count. every: steps between two updates, an int of at least 1.
    """

    def __init__(self, decay: float = 0.999, every: int = 1) -> None:
        self.who = type(self).__name__
        self.decay = checks.real(self.who, "decay", decay, "in [0, 1)", lambda v: 0 <= v < 1)
        self.every = checks.integer(self.who, "every", every, 1)
        self.steps = 0
        """Steps seen so far."""
        self._average: dict[str, np.ndarray] = {}
        self._raw: dict[str, np.ndarray] = {}
        """The model's own weights while it has the averages."""
        self._weights: dict[str, np.ndarray] | None = None
        """The model's arrays, between `train` and a copy or another state."""

    def train(self, model: Layer) -> None:
        """Make ready for steps of `model`, with its raw weights. Raises ValueError if the averages are another's."""
        weights = {name: parameter.data for name, parameter in model.named_parameters().items()} | model.buffers()
        shapes = {name: array.shape for name, array in weights.items()}
        if self._average and {name: array.shape for name, array in self._average.items()} != shapes:
            raise ValueError(f"{self.who}: the averages must be those of the model, got averages of other weights")
        if self._raw:
            if all(np.array_equal(self._average[name], array, equal_nan=True) for name, array in weights.items()):
                for name, array in weights.items():
                    array[...] = self._raw[name]
            else:
                self.steps, self._average = 0, {}
            self._raw = {}
        if self._average:
            self._average = {name: self._average[name].astype(w.dtype, copy=False) for name, w in weights.items()}
        self._weights = weights

    def step(self) -> None:
        """Take the weights after a step of the optimiser into account. RuntimeError without a `train` before."""
        if self._weights is None:
            raise RuntimeError(f"{self.who}: call train(model) before step")
        self.steps += 1
        count, rest = divmod(self.steps, self.every)
        if rest:
            return
        if not self._average:
            self._average = {name: array.copy() for name, array in self._weights.items()}
            return
        share = (1 - self.decay) / (1 - self.decay**count)
        blend = kernels.current().blend
        for average, weights in zip(self._average.values(), self._weights.values()):
            blend(average, weights, share)

    def apply(self) -> None:
        """Put the averages into the model, if there are any, and keep its raw weights for `train`."""
        if self._raw or not self._average or self._weights is None:
            return
        for name, array in self._weights.items():
            self._raw[name] = array.copy()
            array[...] = self._average[name]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the model's arrays: `train` comes before their next `step`."""
        return {**vars(self), "_weights": None}

    def state(self) -> dict[str, np.ndarray]:
        """A copy of all that the next steps depend on: "steps", "<name>.average", and "<name>.raw" after `apply`."""
        arrays = {"steps": np.array(self.steps, np.int64)}
        for slot, kept in zip(SLOTS, (self._average, self._raw)):
            arrays |= {f"{name}.{slot}": array.copy() for name, array in kept.items()}
        return arrays

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state`. What does not fit the model is found out by `train`.

        Raises ValueError for a missing or an unknown entry; nothing has changed then.
        """
        steps = loaded_steps(self.who, state)
        found: dict[str, dict[str, np.ndarray]] = {slot: {} for slot in SLOTS}
        for key, array in state.items():
            name, _, slot = key.rpartition(".")
            if slot in SLOTS and name:
                found[slot][name] = np.array(checks.float_array(self.who, key, array))
            elif key != "steps":
                raise ValueError(f"{self.who}: state has the unknown entry {key!r}")
        average, raw = (found[slot] for slot in SLOTS)
        if bool(average) != (steps >= self.every) or (raw and raw.keys() != average.keys()):
            raise ValueError(f"{self.who}: state must have an average, and a raw weight or none, for each weight")
        self.steps, self._average, self._raw = steps, average, raw
        self._weights = None
