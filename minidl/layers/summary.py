"""The table that `Model.summary` prints."""

from __future__ import annotations

from minidl.layers.base import Layer
from minidl.layers.several import Several, Shape, side_by_side
from minidl.layers.walk import below, places
from minidl.support.table import table

HEAD = ("", "layer", "output", "parameters", "multiply-adds", "runs as")
LEFT = (0, 1, 5)


def summary(model: Layer, shape: Shape | None) -> str:
    """The table for one image's input shape; None leaves shapes and multiply-adds out."""
    rows: list[tuple[str, ...]] = []
    merged = _merged(model)

    def follow(layer: Layer, shape: Shape | None, place: str) -> Shape | None:
        def call(name: str, part: Layer, *shapes: Shape | None) -> Shape | None:
            if part is not layer:
                return follow(part, side_by_side(part.merges, shapes), below(place, name))
            known = [(1, *each) for each in shapes if each is not None]
            after = layer.join_shape(*known)[1:] if known else None
            rows.append(_row(layer, place, side_by_side(layer.merges, shapes), after, merged.get(place, "")))
            return after if layer.outputs == 1 else Several(after or (None,) * layer.outputs)

        return layer.flow(call, *(shape if layer.merges and shape is not None else [shape]))

    out = follow(model, shape, "")
    count = sum(parameter.data.size for parameter in model.named_parameters().values())
    work = "" if shape is None else f"{model.multiply_adds(shape):,}"
    total = ("", "total", _sizes(out), f"{count:,}", work, "")
    if shape is not None:
        rows.insert(0, ("", "input", _sizes(shape), "", "", ""))
    return table(HEAD, [*rows, total], LEFT, foot=1)


def _row(layer: Layer, place: str, shape: Shape | None, after: Shape | None, merged: str) -> tuple[str, ...]:
    if layer.joins:  # what is inside has rows of its own
        parameters, work, text = [], 0, f"{layer.name}: {layer.joins}"
    else:
        parameters = list(layer.named_parameters().values())
        work = 0 if shape is None else layer.multiply_adds(shape)
        text = repr(layer) if layer.name == type(layer).__name__ else f"{layer.name}: {layer!r}"
        if parameters and all(parameter.frozen for parameter in parameters):
            text += ", frozen"
    numbers = (f"{sum(parameter.data.size for parameter in parameters):,}", "" if shape is None else f"{work:,}")
    return place, text, _sizes(after), *numbers, merged


def _merged(model: Layer) -> dict[str, str]:
    """By place of each layer that the backend merges with neighbours: the operation and the places it covers."""
    found: dict[str, str] = {}
    for place, layer in places(model).items():
        for kind, parts in layer.blocks():
            parts = [below(place, part) if part else place for part in parts]
            text = f"{kind} {parts[0]}-{parts[-1].rpartition('.')[2]}"
            found = dict.fromkeys(parts, text) | found  # the containers around have come first
    return found


def _sizes(shape: Shape | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape))
