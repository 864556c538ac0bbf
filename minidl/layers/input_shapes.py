"""The shape of an image of each input of a network, as users give it, or as the network knows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers.base import Layer, Shape
from minidl.layers.container import Sequential
from minidl.layers.graph import Graph

RULE = "(C, H, W) or (F,), that of one image without N"


def known_shape(model: Layer) -> Any:
    """The shape of a model's last input, or of the graph that it begins with as it was built; None if unknown."""
    seen = getattr(model, "_shape", None)
    if seen is not None:
        return seen
    first = model
    while isinstance(first, Sequential) and first.layers:
        first = first.layers[0]
    if not isinstance(first, Graph):
        return None
    return first.input_shapes if first.merges else first.input_shapes[0]


def input_shapes(who: str, model: Layer, given: Any) -> list[Shape]:
    """The shapes that `given` tells, in the order of the inputs: that of one image, or a list of them for several.

    An int is the shape of a row. Raises TypeError or ValueError that names `who` for what is no shape, and ValueError
    that names the layer if it cannot take the shapes.
    """
    several = isinstance(given, (list, tuple)) and any(isinstance(part, (list, tuple)) for part in given)
    shapes = [(part,) if isinstance(part, (int, np.integer)) else part for part in (given if several else [given])]
    for shape in shapes:
        if not isinstance(shape, (list, tuple)) or not 1 <= len(shape) <= 3:
            raise ValueError(f"{who}: input_shape must be {RULE}, got {given!r:.80}")
    sizes = [tuple(checks.integer(who, "input_shape", size, 1) for size in shape) for shape in shapes]
    if several != model.merges:
        rule = "a list of shapes, one an input" if model.merges else "one shape"
        raise ValueError(f"{who}: input_shape must be {rule}, got {given!r:.80}")
    model._place()  # messages name the layers by their places
    model.output_shape(tuple(sizes) if several else sizes[0])
    return sizes
