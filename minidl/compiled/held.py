"""Whether parameters still stand where a training step reads them and writes their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

FOR_NORMS = ("statistics_frozen", "across")
"""What decides whose statistics normalise a batch."""
PLAIN = (bool, int, float, str, tuple)


class Held:
    """Parameters and buffers by their arrays, and settings by their values; what the arrays hold may change."""

    def __init__(self) -> None:
        self._parameters: list[tuple[Any, np.ndarray, np.ndarray, bool]] = []
        self._attributes: list[tuple[Any, str, Any]] = []

    def take(self, layer: Any, name: str) -> None:
        """A parameter or buffer."""
        self._attributes.append((layer, name, getattr(layer, name)))

    def take_settings(self, layer: Any, names: list[str]) -> None:
        """Attributes that hold numbers, words, tuples of these or None."""
        self._attributes.extend((layer, name, getattr(layer, name)) for name in names)

    def take_learning(self, layer: Any) -> None:
        """What decides how a layer, compiled or not, is trained."""
        self.take_settings(layer, [name for name in ("momentum", "rate", *FOR_NORMS) if hasattr(layer, name)])
        self._parameters.extend((p, p._data, p.grad, p.frozen) for p in layer._each_parameter())

    def holds(self) -> bool:
        """Whether all are what they were."""
        for parameter, data, gradient, frozen in self._parameters:
            if parameter._data is not data or parameter.grad is not gradient or parameter.frozen is not frozen:
                return False
        for layer, name, value in self._attributes:
            now = getattr(layer, name)
            if now is not value and (type(now) is not type(value) or type(now) not in PLAIN or now != value):
                return False
        return True
