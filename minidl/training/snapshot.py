"""Copies of all that training steps change, to put it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl.layers.base import Layer
from minidl.layers.walk import places
from minidl.losses import Loss
from minidl.model import Model
from minidl.optim.base import rated
from minidl.support import random
from minidl.training.state import Training


class Snapshot:
    """Weights, buffers, mean and std of a model, state and rates of an optimiser, the generators, as they are now."""

    def __init__(self, model: Model, optimizer: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self._weights, self._statistics = model.state(), (model.mean, model.std)
        self._slots, self._rates = optimizer.state(), [(each, each.lr) for each in rated(optimizer)]
        rngs = [random.generator(), *(layer.rng for layer in random_layers(model).values())]
        self._generators = [(rng, rng.bit_generator.state) for rng in rngs]

    def restore(self) -> None:
        """Put everything back, in place."""
        self.model.load_state(self._weights)
        self.model.rescale(*self._statistics)
        self.optimizer.load_state(self._slots)
        for each, rate in self._rates:
            each.lr = rate
        for rng, state in self._generators:
            rng.bit_generator.state = state


def random_layers(model: Layer) -> dict[str, Any]:
    """Layers with a generator of their own, `rng`, by their place in the model."""
    found = places(model).items()
    return {place: layer for place, layer in found if isinstance(getattr(layer, "rng", None), np.random.Generator)}


@contextmanager
def unchanged_on_error(training: Training, deep: bool = True) -> Iterator[None]:
    """While this is open, an error puts a training back to what it was before.

    deep: whether model, optimiser, average and generators may be changed, or its state and its loss alone.
    """
    state, average = training.state, training.average
    snapshot = Snapshot(training.model, training.optimizer) if deep else None
    # Its arrays are replaced by `load_state`, never written; its attributes also say which weights it follows.
    averages = dict(vars(average)) if deep and average is not None else {}
    loss = dict(vars(training.loss)) if isinstance(training.loss, Loss) else {}
    try:
        yield
    except BaseException:
        if snapshot is not None:
            snapshot.restore()
        if averages:
            vars(average).update(averages)
        if loss:
            vars(training.loss).update(loss)
        training.state = state
        raise
