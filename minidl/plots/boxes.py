"""The boxes of a network's picture: which layers stand in one, what is written there, what it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from minidl.layers.base import Layer
from minidl.layers.input_shapes import input_shapes
from minidl.layers.walk import below
from minidl.plots.canvas import cut
from minidl.support.several import Several

LINE, MARGIN, LETTER = 0.15, 0.09, 0.063
"""Inches: height of a line of text, space around it, width of a letter."""
LONGEST = 34


@dataclass
class Box:
    """Layers that are drawn together. lines: (place, text) of each. reads: numbers of the boxes before."""

    kind: str
    lines: list[tuple[str, str]]
    shape: str
    reads: list[int] = field(default_factory=list)

    @property
    def width(self) -> float:
        """Inches."""
        longest = max([*(len(place) + len(text) + 2 for place, text in self.lines), len(self.shape)])
        return LETTER * longest + 2 * MARGIN

    @property
    def height(self) -> float:
        """Inches."""
        return LINE * (len(self.lines) + bool(self.shape)) + MARGIN


def network_boxes(model: Layer, shape: Any = None) -> list[Box]:
    """What `graph_figure` draws: the boxes in the order of computation; each layer, and each sum, has one line of one.

    shape: of one image, or None for boxes without shapes. Raises as `graph_figure`.
    """
    boxes: list[Box] = []
    readers: list[int] = []
    shapes = _input_shapes(model, shape)

    def add(box: Box) -> int:
        for a in box.reads:
            readers[a] += 1
        boxes.append(box)
        readers.append(0)
        return len(boxes) - 1

    def follow(layer: Layer, inputs: tuple[Any, ...], place: str) -> Any:
        def call(name: str, part: Layer, *values: Any) -> Any:
            if part is not layer:
                return follow(part, values, below(place, name))
            known = [(1, *each) for _, each in values if each is not None]
            after = layer.join_shape(*known)[1:] if known else None
            number = add(_box(layer, place, [box for box, _ in values], _sizes(after)))
            if layer.outputs == 1:
                return number, after
            return Several((number, part) for part in after or (None,) * layer.outputs)

        return layer.flow(call, *inputs)

    values = tuple((add(Box("input", [("", "input")], _sizes(each))), each) for each in shapes)
    outputs = follow(model, values, "")
    for number, _ in outputs if isinstance(outputs, Several) else (outputs,):
        readers[number] += 1  # the user is one
    return _chained(boxes, readers)


def _input_shapes(model: Layer, shape: Any) -> list[Any]:
    """The shape of one image of each input; None for unknown ones. Raises as `graph_figure`."""
    if not isinstance(model, Layer):
        raise TypeError(f"graph_figure: model must be a layer, got {model!r:.60}")
    return [None] * model._inputs() if shape is None else input_shapes("graph_figure", model, shape)


def _box(layer: Layer, place: str, reads: list[int], shape: str) -> Box:
    kernel, text = getattr(layer, "kernel_size", None), layer.joins or type(layer).__name__
    if kernel is not None:
        text += f" {kernel[0]}x{kernel[1]}"
        stride, groups = getattr(layer, "stride", (1, 1)), getattr(layer, "groups", 1)
        text += f" /{max(stride)}" if max(stride) > 1 else ""
        text += f", {groups} groups" if groups > 1 else ""
    if layer.name != type(layer).__name__ and not layer.joins:
        text = f"{layer.name}: {text}"
    weights = not layer.joins and any(parameter.data.ndim > 1 for parameter in layer.parameters())
    pooling = "Pool" in type(layer).__name__
    kind = "several" if len(reads) > 1 else "weights" if weights else "pooling" if pooling else "other"
    return Box(kind, [(place, cut(text, LONGEST))], shape, reads)


def _chained(boxes: list[Box], readers: list[int]) -> list[Box]:
    """Layers without weights behind the one that they follow, where nobody else reads that."""
    found: list[Box] = []
    numbers: list[int] = []
    for box in boxes:
        box.reads = [numbers[a] for a in box.reads]
        before = boxes[0] if not box.reads else found[box.reads[0]]
        alone = len(box.reads) == 1 and readers[_last(numbers, box.reads[0])] == 1
        if box.kind == "other" and alone and before.kind != "input":
            before.lines += box.lines
            before.shape = box.shape
            numbers.append(box.reads[0])
        else:
            found.append(box)
            numbers.append(len(found) - 1)
    return found


def _last(numbers: list[int], box: int) -> int:
    """The last layer in a box."""
    return len(numbers) - 1 - numbers[::-1].index(box)


def _sizes(shape: Any) -> str:
    if shape is None:
        return ""
    parts = shape if shape and isinstance(shape[0], tuple) else [shape]
    return ", ".join(" x ".join(map(str, part)) for part in parts)
