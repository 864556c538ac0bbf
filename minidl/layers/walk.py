"""Looking into a network: all its layers, and a forward pass that stops at each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import kernels
from minidl.layers.base import Layer
from minidl.layers.container import Residual, Sequential

Visit = Callable[[Layer, Any], None]


def trace(layer: Layer, x: Any, train: bool, visit: Visit) -> Any:
    """The output of `layer` for the backend's array x, never fused; `visit(layer, output)` is called for each layer.

    Layers inside a `Sequential` come one by one, a `Residual` itself after its parts, with its sum.
    """
    if isinstance(layer, Sequential):
        for child in layer.children():
            x = trace(child, x, train, visit)
        return x
    if isinstance(layer, Residual):
        y = trace(layer.body, x, train, visit)
        y = kernels.current().add(y, x if layer.shortcut is None else trace(layer.shortcut, x, train, visit))
    else:
        y = layer.run(x, train)
    visit(layer, y)
    return y


def walk(layer: Layer) -> list[Layer]:
    """The layer itself and all layers inside it, in order."""
    return [layer, *(part for child in layer.children() for part in walk(child))]


def reseed(layer: Layer, seed: int) -> None:
    """Give every layer that draws random numbers (`Dropout`) a generator of its own that depends on `seed` alone."""
    for i, part in enumerate(walk(layer)):
        if hasattr(part, "rng"):
            part.rng = np.random.default_rng([seed, i])
