"""Weights that a file has once and several operators read: one layer, called in each of their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.layers.base import Layer
from minidl.layers.node import Call, Node


class Sources:
    """Which of the file's weights each layer was made of."""

    def __init__(self) -> None:
        self._names: dict[int, list[str]] = {}
        self._kept: list[Layer] = []  # so that an id stays one layer's

    def add(self, layer: Layer, *names: str) -> None:
        """Note names of initialisers, "" for a constant that is none."""
        self._names.setdefault(id(layer), []).extend(names)
        self._kept.append(layer)

    def tie(self, outputs: list[Node]) -> list[str]:
        """Put one layer in the place of those that are the same; names of weights that several layers still have.

        The same are kind, settings, names and numbers. Arrays of one number are no evidence: exporters write equal
        arrays once, and so the scales of all normalisations that are new.
        """
        first: dict[Any, list[Layer]] = {}
        owners: dict[str, set[int]] = {}
        for call in _calls(outputs):
            layer, names = call.layer, self._names.get(id(call.layer), [])
            if not any(names) or not any(map(_varies, _arrays(layer))):
                continue
            same = first.setdefault((type(layer), tuple(names), _settings(layer)), [])
            call.layer = next((each for each in same if _equal(each, layer)), layer)
            if call.layer is layer:
                same.append(layer)
            if names[0] and _varies(_arrays(layer)[0]):
                owners.setdefault(names[0], set()).add(id(call.layer))
        return [name for name, layers in owners.items() if len(layers) > 1]


def _calls(outputs: list[Node]) -> list[Call]:
    """The uses of layers behind the outputs, in their order."""
    found: dict[int, Call] = {}
    waiting = list(outputs)
    while waiting:
        call = waiting.pop().call
        if call is not None and call.number not in found:
            found[call.number] = call
            waiting += call.inputs
    return [found[number] for number in sorted(found)]


def _arrays(layer: Layer) -> list[np.ndarray]:
    return [parameter.data for parameter in layer._each_parameter()] + list(layer.buffers().values())


def _varies(array: np.ndarray) -> bool:
    """Whether it has more than one number; a difference of them, which may overflow, is not made."""
    return bool((array != array.flat[:1]).any())


def _settings(layer: Layer) -> str:
    return repr({name: value for name, value in layer.settings().items() if name not in ("name", "init")})


def _equal(a: Layer, b: Layer) -> bool:
    return a is b or all(np.array_equal(x, y, equal_nan=True) for x, y in zip(_arrays(a), _arrays(b), strict=True))
