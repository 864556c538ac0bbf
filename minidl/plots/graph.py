"""The picture of a network: a box for each layer, or for a chain of layers of one kind of work, and arrows."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

from minidl.layers.base import Layer
from minidl.layers.input_shapes import known_shape
from minidl.plots.boxes import LINE, MARGIN, Box, network_boxes
from minidl.plots.canvas import blank
from minidl.plots.layered import Layered

GAP = 0.28
"""Inches between boxes."""
TALL = 12.0
"""Inches of a column, where the network has a place at which it may be cut."""
SIZE = 7.5

COLOURS = {"input": "#dddddd", "weights": "#cfe2f3", "pooling": "#fce5cd", "several": "#d9ead3", "other": "#f3f3f3"}


def graph_figure(model: Layer, input_shape: Any = None, title: str = "") -> Any:
    """Boxes for the layers of a network from top to bottom, with places, kinds and output shapes; arrows between them.

    model: a layer, usually a `Model`. input_shape: of one image, (C, H, W) or (F,); a tuple of such shapes for several
    inputs; None for those of a model's last input, those with which a `Graph` was built, or none. Normalisations,
    activations and other layers without weights stand in the box of the layer that they follow. A long network goes on
    in further columns, where a single value passes. Raises ValueError for what is no shape, or that names the layer if
    it cannot take it, TypeError for what is no layer, and for sizes that are no int.
    """
    boxes = network_boxes(model, known_shape(model) if input_shape is None else input_shape)
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
