"""Looking into a network: all its layers, and a forward pass that stops at each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.layers.base import Layer
from minidl.support.several import Several, side_by_side

Visit = Callable[[str, Layer, Any], None]
"""(place, layer, output), the place as in "3.body.0"."""


def trace(layer: Layer, x: Any, train: bool, visit: Visit, place: str = "") -> Any:
    """The output of `layer` for the backend's array x, never fused; `visit` is called for each layer in order.

    Layers inside others come one by one as `Layer.flow` says; a layer with arithmetic of its own comes after them.
    """

    def call(name: str, part: Layer, *inputs: Any) -> Any:
        if part is not layer:
            return trace(part, side_by_side(part.merges, inputs), train, visit, below(place, name))
        y = layer.join(train, *inputs)
        visit(place, layer, y)
        return y

    return layer.flow(call, *(x if isinstance(x, Several) else [x]))


def below(place: str, name: str) -> str:
    """The place of the layer called `name` inside the one at `place`."""
    return f"{place}.{name}" if place else name


def places(layer: Layer, place: str = "") -> dict[str, Layer]:
    """The layer itself, at "", and all layers inside it by their places, in order."""
    found = {place: layer}
    for name, child in layer.named_children().items():
        found |= places(child, below(place, name))
    return found


def walk(layer: Layer) -> list[Layer]:
    """The layer itself and all layers inside it, in order."""
    return [layer, *(part for child in layer.named_children().values() for part in walk(child))]


def label(place: str, layer: Layer) -> str:
    """A layer's place and name, as in "3.body.0 Conv2D"."""
    return f"{place} {layer.name}".strip()


def reseed(layer: Layer, seed: int) -> None:
    """Give every layer that draws random numbers (`Dropout`) a generator of its own that depends on `seed` alone."""
    for i, part in enumerate(walk(layer)):
        if hasattr(part, "rng"):
            part.rng = np.random.default_rng([seed, i])
