"""Whether parameters still stand where a training step reads them and writes their gradients."""

from __future__ import annotations

from typing import Any

from minidl._ext.watch import Attributes

FOR_NORMS = ("statistics_frozen", "across")
"""What decides whose statistics normalise a batch."""


class Held:
    """Parameters and buffers by their arrays, and settings by their values; what the arrays hold may change."""

    def __init__(self) -> None:
        self._attributes = Attributes()

    def take(self, layer: Any, name: str) -> None:
        """A parameter or buffer."""
        self._attributes.take(layer, name)

    def take_settings(self, layer: Any, names: list[str]) -> None:
        """Attributes that hold numbers, words, tuples of these or None."""
        for name in names:
            self._attributes.take(layer, name)

    def take_learning(self, layer: Any) -> None:
        """What decides how a layer, compiled or not, is trained."""
        self.take_settings(layer, [name for name in ("momentum", "rate", *FOR_NORMS) if hasattr(layer, name)])
        for parameter in layer._each_parameter():
            self.take_settings(parameter, ["_data", "grad", "frozen"])

    def holds(self) -> bool:
        """Whether all are what they were."""
        return bool(self._attributes.hold())
