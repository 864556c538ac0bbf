"""What a network ends with, and so what its scores are."""

from __future__ import annotations

from minidl.layers.activation import Sigmoid
from minidl.layers.base import Layer
from minidl.layers.container import Container, Sequential
from minidl.layers.dropout import Dropout
from minidl.layers.reduce import LogSoftmax, Softmax
from minidl.layers.shape import Flatten, Reshape

SAME = Dropout, Flatten, Reshape
"""Layers that leave the numbers of a prediction as they are."""
KINDS: dict[type[Layer], str] = {Sigmoid: "Sigmoid", Softmax: "Softmax", LogSoftmax: "LogSoftmax"}


def endings(network: Container) -> list[str]:
    """What gives the numbers of each output: "Sigmoid", "Softmax", "LogSoftmax", or "" for all else.

    It is looked for inside of containers, and before layers that only change the shape.
    """
    return [_kind(layer) for layer in network._plan().last(SAME)]


def _kind(layer: Layer | None) -> str:
    while isinstance(layer, Sequential) and layer.layers:  # of a class that has its own way
        layer = layer.layers[-1]
    return KINDS.get(type(layer), "") if layer is not None else ""
