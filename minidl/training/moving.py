"""What a forward pass in training changes by itself, to take it back: running statistics and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.layers.base import Layer
from minidl.layers.walk import walk
from minidl.model import Model
from minidl.support import random


class Moving:
    """The buffers of a model's layers, and the generators from which these draw, as they are at `keep`.

    Copies of a few numbers a channel, some microseconds a layer: weights are not among them.
    """

    def __init__(self, model: Model) -> None:
        layers = walk(model)
        self._buffers = [(layer, name) for layer in layers for name in layer._buffers]
        generators = [layer.rng for layer in layers if hasattr(layer, "rng")]
        self._own = list({id(rng): rng for rng in generators if isinstance(rng, np.random.Generator)}.values())
        self._default = any(rng is None for rng in generators)  # looked up late, as the layers do
        self._arrays: list[np.ndarray] = []
        self._states: list[tuple[np.random.Generator, Any]] = []

    def changed(self) -> list[tuple[Layer, str, np.ndarray]]:
        """Layer, attribute and the array of the last `keep` for each buffer."""
        return [(*place, array) for place, array in zip(self._buffers, self._arrays)]

    def keep(self) -> None:
        """Remember them."""
        self._arrays = [vars(layer)[name].copy() for layer, name in self._buffers]  # read, not handed out
        if self._own or self._default:
            generators = [*self._own, random.generator()] if self._default else self._own
            self._states = [(rng, rng.bit_generator.state) for rng in generators]

    def restore(self) -> None:
        """Put back what the last `keep` has seen, in place."""
        for (layer, name), array in zip(self._buffers, self._arrays, strict=True):
            getattr(layer, name)[...] = array
        for rng, state in self._states:
            rng.bit_generator.state = state
