"""The picture of a network: a box for each layer, or for a chain of layers of one kind of work, and arrows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from minidl.layers.base import Layer
from minidl.layers.walk import below
from minidl.plots.canvas import blank, cut
from minidl.plots.layered import Layered
from minidl.support.several import Several

LINE, MARGIN, GAP, LETTER = 0.15, 0.09, 0.28, 0.063
"""Inches: height of a line of text, space in a box and between boxes, width of a letter."""
TALL = 12.0
"""Inches of a column, where the network has a place at which it may be cut."""
SIZE = 7.5
LONGEST = 34

COLOURS = {"input": "#dddddd", "weights": "#cfe2f3", "pooling": "#fce5cd", "several": "#d9ead3", "other": "#f3f3f3"}


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


def graph_figure(model: Layer, input_shape: Any = None, title: str = "") -> Any:
    """Boxes for the layers of a network from top to bottom, with places, kinds and output shapes; arrows between them.

    model: a layer, usually a `Model`. input_shape: of one image, (C, H, W) or (F,); a tuple of such shapes for several
    inputs; None for those of a model's last input, those with which a `Graph` was built, or none. Normalisations,
    activations and other layers without weights stand in the box of the layer that they follow. A long network goes on
    in further columns, where a single value passes. Raises ValueError that names the layer if it cannot take the shape.
    """
    boxes = network_boxes(model, _known_shape(model) if input_shape is None else input_shape)
    plan = Layered(
        [box.width for box in boxes], [(a, b) for b, box in enumerate(boxes) for a in box.reads], GAP
    )  # fmt: skip
    columns, places, size = _columns(plan, boxes)
    head = 0.55 if title else 0.2
    width, height = max(size[0], 0.09 * len(title)) + 0.2, size[1] + head + 0.1
    figure = blank(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.1, width - 0.1), ylim=(size[1] + 0.1, -head))
    axes.set_axis_off()
    if title:
        axes.text(width / 2 - 0.1, 0.15 - head, title, ha="center", va="center", fontsize="large")
    _draw_ways(axes, plan, columns, places)
    for box, (x, y, _) in zip(boxes, places):
        _draw_box(axes, box, x, y)
    return figure


def network_boxes(model: Layer, shape: Any = None) -> list[Box]:
    """What `graph_figure` draws: the boxes in the order of computation; each layer, and each sum, has one line of one.

    shape: of one image, or None for boxes without shapes. Raises ValueError as `Layer.output_shape`.
    """
    boxes: list[Box] = []
    readers: list[int] = []
    several = model.merges
    shapes = [None] * (model._inputs() if hasattr(model, "_inputs") else 1) if shape is None else (
        list(shape) if several else [shape]
    )  # fmt: skip

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


def _known_shape(model: Layer) -> Any:
    seen = getattr(model, "_shape", None)
    if seen is not None:
        return seen
    inner: Any = model
    while len(getattr(inner, "layers", ())) and isinstance(inner.layers, list):
        inner = inner.layers[0]
    shapes = getattr(inner, "input_shapes", None)
    return None if shapes is None else shapes if inner.merges else shapes[0]


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


Places = list[tuple[float, float, float]]
"""(x, top, bottom) of each item, x in its middle, y downwards; a bend is as high as its row."""


def _columns(plan: Layered, boxes: list[Box]) -> tuple[list[list[int]], Places, tuple[float, float]]:
    """The items of each column, all places, and (width, height) of all."""
    heights = [max([boxes[item].height for item in row if item < plan.boxes] or [0.0]) for row in plan.rows]
    ends = list(accumulate(height + GAP for height in heights))
    waists = [row for row in range(len(heights) - 1) if len(plan.rows[row]) == 1]
    cuts = [0]
    for row, following in pairwise([*waists, len(heights) - 1]):
        begin = ends[cuts[-1] - 1] if cuts[-1] else 0.0
        if ends[following] - begin > TALL and ends[row] - begin >= TALL / 2 and ends[-1] - ends[row] > TALL / 3:
            cuts.append(row + 1)
    columns = [range(*cut) for cut in pairwise([*cuts, len(heights)])]
    places = [(0.0, 0.0, 0.0)] * len(plan.row)
    items = [[item for row in rows for item in plan.rows[row]] for rows in columns]
    left, lowest = 0.0, 0.0
    for rows, inside in zip(columns, items):
        first = min(plan.x[item] - plan.widths[item] / 2 for item in inside)
        y = 0.0
        for row in rows:
            for item in plan.rows[row]:
                spare = (heights[row] - boxes[item].height) / 2 if item < plan.boxes else 0.0
                places[item] = left + plan.x[item] - first, y + spare, y + heights[row] - spare
            y += heights[row] + GAP
        lowest = max(lowest, y - GAP)
        left += max(plan.x[item] + plan.widths[item] / 2 for item in inside) - first + 2 * GAP
    return items, places, (left - 2 * GAP, lowest + (GAP if len(columns) > 1 else 0))


def _draw_box(axes: Any, box: Box, x: float, y: float) -> None:
    """y: of the upper edge."""
    from matplotlib.patches import FancyBboxPatch

    w, h = box.width, box.height
    style: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.05",
        "facecolor": COLOURS[box.kind],
        "edgecolor": "#555555",
    }
    axes.add_patch(FancyBboxPatch((x - w / 2, y), w, h, linewidth=0.7, **style, zorder=2))
    top = y + MARGIN / 2 + LINE / 2
    common = {"va": "center", "fontsize": SIZE, "zorder": 3}
    for i, (place, text) in enumerate(box.lines):
        axes.text(x - w / 2 + MARGIN, top + LINE * i, text, ha="left", **common)
        axes.text(x + w / 2 - MARGIN, top + LINE * i, place, ha="right", color="#888888", **common)
    if box.shape:
        axes.text(x - w / 2 + MARGIN, top + LINE * len(box.lines), box.shape, ha="left", color="#0b5394", **common)


def _draw_ways(axes: Any, plan: Layered, columns: list[list[int]], places: Places) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    column = {item: i for i, items in enumerate(columns) for item in items}
    edge = [min(places[item][0] - plan.widths[item] / 2 for item in items) - GAP for items in columns]
    for way in plan.ways:
        x0, _, y0 = places[way[0]]
        vertices, codes = [(x0, y0)], [Path.MOVETO]
        for before, item in pairwise(way):
            x0, _, y0 = places[before]
            x1, y1, foot = places[item]
            if column[before] == column[item]:
                bend = (y1 - y0) / 2
                vertices += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
                codes += [Path.CURVE4] * 3
            else:  # from the foot of a column to the head of the next, between the two
                between = edge[column[item]]
                vertices += [(x0, y0 + GAP / 2), (between, y0 + GAP / 2), (between, -GAP / 2), (x1, -GAP / 2), (x1, y1)]
                codes += [Path.LINETO] * 5
            if item >= plan.boxes:
                vertices.append((x1, foot))
                codes.append(Path.LINETO)
        axes.add_patch(
            FancyArrowPatch(
                path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=7, linewidth=0.8, color="#555555", zorder=1
            )
        )
