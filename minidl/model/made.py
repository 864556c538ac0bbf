"""Layers that were never made: an own one whose constructor forgot that of its base."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl.layers.base import Layer


def check_made(layers: Iterable[Any], around: tuple[Any, ...] = ()) -> None:
    """Raise TypeError for a layer, also one inside of another, whose `__init__` has not called that of `Layer`.

    around: the layers that these stand in.
    """
    for layer in layers:
        if not isinstance(layer, Layer) or any(layer is each for each in around):
            continue  # which containers refuse
        if "_y_shape" not in vars(layer):
            kind = type(layer).__name__
            raise TypeError(f"{kind}: __init__ must call super().__init__() before it sets attributes, got none")
        check_made(layer.children(), (*around, layer))
