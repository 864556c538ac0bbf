"""The way of an input through a network, unfused, each layer of it written into a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl.layers.base import Layer
from minidl.layers.walk import below
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers import Write, opens, writer
from minidl.support.several import Several, joined, parted


class Way:
    """Follows `flow` with values of the draft and writes each layer on the way."""

    def __init__(self, who: str, draft: Draft, own: Mapping[type[Layer], Write]) -> None:
        self.who = who
        self.draft = draft
        self.own = own
        self.refused: dict[str, None] = {}

    def follow(self, model: Layer, inputs: list[Value]) -> Any:
        """The outputs; ValueError that names all layers that nobody can write."""
        found = (self._follow if opens(model, self.own) else self._write)(model, inputs, "")
        if self.refused:
            raise ValueError(
                f"{self.who}: ONNX has no operators for {', '.join(self.refused)}: build them of minidl's layers"
                " (minidl.Graph), or give functions that write them, writers={class: function}"
            )
        return found

    def _follow(self, layer: Layer, values: Sequence[Value], place: str) -> Any:
        def call(name: str, part: Layer, *inputs: Value) -> Any:
            if part is layer:
                return self._write(layer.joiner(), inputs, place)
            inside = below(place, name)
            into = self._follow if opens(part, self.own) else self._write
            return into(part, inputs, inside)

        return layer.flow(call, *values)

    def _write(self, layer: Layer, inputs: Sequence[Value], place: str) -> Any:
        shapes = [(1, *value.shape) for value in inputs]
        shape = layer._check(joined(shapes) if layer.merges else shapes[0])
        shapes = [tuple(each) for each in (parted(shape) if layer.outputs > 1 else [shape])]
        found, self.draft.place = writer(layer, self.own), place or layer.name
        if found is None:
            self.refused[f"layer {place} ({layer.name})" if place else layer.name] = None
            names: Any = [""] * len(shapes)
        else:
            self.draft.need(found.opset)
            names = found.write(self.draft, layer, *inputs)
            names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or len(names) != len(shapes) or not all(isinstance(n, str) for n in names):
            rule = f"the name of its output, or a list of {len(shapes)}"
            raise TypeError(f"{self.who}: what writes {layer.who} must return {rule}, got {names!r:.80}")
        values = [Value(name, shape[1:]) for name, shape in zip(names, shapes)]
        return values[0] if layer.outputs == 1 else Several(values)
