"""The table that `Model.summary` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from minidl.layers.base import Layer
from minidl.layers.input_shapes import input_shapes
from minidl.layers.walk import below, places
from minidl.support.several import Several, Shape, side_by_side
from minidl.support.table import table

HEAD = ("", "layer", "output", "sees", "parameters", "multiply-adds", "runs as")
LEFT = (0, 1, 6, 7)
Pair = tuple[float, float]


class Seen(NamedTuple):
    """A value on its way: shape of an image, how much of the input's height and width one element of it sees, and how
    far apart neighbours' are. (Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks")
    """

    shape: Shape | None
    field: Pair = (1, 1)
    step: Pair = (1, 1)


def summary(model: Layer, shape: Any, remarks: tuple[str, Mapping[str, str]] = ("", MappingProxyType({}))) -> str:
    """The table for one image's input shape; None leaves shapes and multiply-adds out. Raises as `input_shapes`.

    remarks: the head of a last column, and what it says of layers, by their places.
    """
    rows: list[tuple[str, ...]] = []
    merged = _merged(model)
    title, said = remarks

    def follow(layer: Layer, seen: Any, place: str) -> Any:
        def call(name: str, part: Layer, *inputs: Seen) -> Any:
            if part is not layer:
                return follow(part, side_by_side(part.merges, inputs), below(place, name))
            known = [(1, *each.shape) for each in inputs if each.shape is not None]
            after = layer.join_shape(*known)[1:] if known else None
            given = side_by_side(layer.merges, [each.shape for each in inputs])
            shapes = [after] if layer.outputs == 1 else after or [None] * layer.outputs
            found = [_seen(layer, inputs, each) for each in shapes]
            rows.append(_row(layer, place, given, after, found[0], merged.get(place, ""), said.get(place, "")))
            return found[0] if layer.outputs == 1 else Several(found)

        return layer.flow(call, *(seen if layer.merges else [seen]))

    shapes = [None] * model._inputs() if shape is None else input_shapes("summary", model, shape)
    shape = None if shape is None else side_by_side(model.merges, shapes)
    last = follow(model, side_by_side(model.merges, [Seen(each) for each in shapes]), "")
    out = None if shape is None else Several(each.shape for each in last) if isinstance(last, Several) else last.shape
    total = sum(parameter.data.size for parameter in model.named_parameters().values())
    work = "" if shape is None else f"{model.multiply_adds(shape):,}"
    foot = ("", "total", _sizes(out), "", f"{total:,}", work, "", "")
    if shape is not None:
        rows.insert(0, ("", "input", _sizes(shape), "", "", "", "", ""))
    return table((*HEAD, title), [*rows, foot], LEFT, foot=1)


def _seen(layer: Layer, inputs: Sequence[Seen], after: Shape | None) -> Seen:
    """The output of a layer: of several inputs the widest counts."""
    field, step = _widest([each.field for each in inputs]), _widest([each.step for each in inputs])
    given = inputs[0].shape
    kernel, stride = ((1, 1), (1, 1)) if given is None or len(given) != 3 else layer.reach(given)
    wider = [f + (k - 1) * s for f, k, s in zip(field, kernel, step)]
    return Seen(after, (wider[0], wider[1]), (step[0] * stride[0], step[1] * stride[1]))


def _widest(pairs: Sequence[Pair]) -> Pair:
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def _row(
    layer: Layer, place: str, shape: Shape | None, after: Shape | None, seen: Seen, *remarks: str
) -> tuple[str, ...]:
    if layer.joins:  # what is inside has rows of its own
        parameters, work, text = [], 0, f"{layer.name}: {layer.joins}"
    else:
        parameters = list(layer.named_parameters().values())
        work = 0 if shape is None else layer.multiply_adds(shape)
        text = repr(layer) if layer.name == type(layer).__name__ else f"{layer.name}: {layer!r}"
        if parameters and all(parameter.frozen for parameter in parameters):
            text += ", frozen"
    images = seen.shape is not None and len(seen.shape) == 3
    sees = f"{_pair(seen.field)} / {_pair(seen.step)}" if images else ""
    numbers = (f"{sum(parameter.data.size for parameter in parameters):,}", "" if shape is None else f"{work:,}")
    return place, text, _sizes(after), sees, *numbers, *remarks


def _pair(pair: Pair) -> str:
    one = pair[0] == pair[1]
    return f"{pair[0]:g}" if one else f"{pair[0]:g} x {pair[1]:g}"


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
    if shape is not None and shape and isinstance(shape[0], tuple):
        return ", ".join(map(_sizes, shape))
    return "" if shape is None else " x ".join(map(str, shape))
