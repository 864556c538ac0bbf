"""The table that `Model.summary` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.layers.base import Layer, Shape
from minidl.layers.container import Residual, Sequential
from minidl.support.table import table

if TYPE_CHECKING:
    from minidl.model import Model

HEAD = ("", "layer", "output", "parameters", "multiply-adds", "runs as")
LEFT = (0, 1, 5)


def summary(model: Model, shape: Shape | None) -> str:
    """The table for one image's input shape; None leaves shapes and multiply-adds out."""
    rows: list[tuple[str, ...]] = []
    merged = _merged(model)

    def follow(layer: Layer, shape: Shape | None) -> Shape | None:
        if isinstance(layer, Sequential):
            for child in layer.children():
                shape = follow(child, shape)
            return shape
        after = None if shape is None else layer.output_shape(shape)
        if isinstance(layer, Residual):
            for child in layer.children():
                follow(child, shape)
            parameters, work, text = 0, 0, f"{layer.name}: sum"
        else:
            parameters = sum(parameter.data.size for parameter in layer.parameters())
            work = 0 if shape is None else layer.multiply_adds(shape)
            text = repr(layer) if layer.name == type(layer).__name__ else f"{layer.name}: {layer!r}"
            if parameters and all(parameter.frozen for parameter in layer.parameters()):
                text += ", frozen"
        numbers = (f"{parameters:,}", "" if shape is None else f"{work:,}")
        rows.append((layer._path, text, _sizes(after), *numbers, merged.get(id(layer), "")))
        return after

    out = follow(model, shape)
    count = sum(parameter.data.size for parameter in model.parameters())
    work = "" if shape is None else f"{model.multiply_adds(shape):,}"
    total = ("", "total", _sizes(out), f"{count:,}", work, "")
    if shape is not None:
        rows.insert(0, ("", "input", _sizes(shape), "", "", ""))
    return table(HEAD, [*rows, total], LEFT, foot=1)


def _merged(layer: Layer) -> dict[int, str]:
    """By id of each layer that the current backend merges with neighbours: the operation and the places it covers."""
    found: dict[int, str] = {}
    if isinstance(layer, Sequential):
        for node in layer.plan():
            if node not in layer.layers:
                parts: list[Layer] = node.layers  # type: ignore[attr-defined]
                text = f"{type(node).__name__} {parts[0]._path}-{parts[-1]._path.rpartition('.')[2]}"
                found.update({id(part): text for part in parts})
    for child in layer.children():
        found.update(_merged(child))
    return found


def _sizes(shape: Shape | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape))
