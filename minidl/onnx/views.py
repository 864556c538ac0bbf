"""Values that wait to be rearranged: networks take images apart and put them together in steps that are one, or none.

Reshape and Transpose make no layers; the layer that reads their value needs it in order. Then few are left: none where
a transpose meets its inverse, `ChannelShuffle` or `PixelShuffle` where the way leads over five sizes.
"""

from __future__ import annotations

import math

from minidl import layers
from minidl.layers.base import Layer
from minidl.layers.node import Node

Shape = tuple[int, ...]


class View:
    """The numbers of `source` as an image of the sizes `split`, whose axes then stand in another order.

    Axis i of the value is axis order[i] of split. node: the value in order, once it was needed.
    """

    def __init__(self, source: Node, split: Shape, order: Shape | None = None) -> None:
        self.source = source
        self.split = tuple(split)
        self.order = tuple(range(len(split))) if order is None else tuple(order)
        self.node: Node | None = None

    @property
    def shape(self) -> Shape:
        """Sizes of one image."""
        return tuple(self.split[axis] for axis in self.order)

    @property
    def plain(self) -> bool:
        """Whether it is the source with its axes in another order, and no more."""
        return self.split == tuple(self.source.shape)


def transposed(value: Node | View, order: Shape) -> Node | View:
    """Axis i of the result is axis order[i] of the value, both without N."""
    split, before = (value.split, value.order) if isinstance(value, View) else (tuple(value.shape), None)
    now = tuple(order if before is None else (before[axis] for axis in order))
    source = value.source if isinstance(value, View) else value
    if identity(now) and split == tuple(source.shape):
        return source
    return View(source, split, now)


def back(view: View) -> Shape:
    """The order that brings the view's axes into that of its split."""
    return tuple(view.order.index(axis) for axis in range(len(view.order)))


def identity(order: Shape) -> bool:
    """Whether all axes stand in their places."""
    return order == tuple(range(len(order)))


def settled(view: View) -> list[tuple[Shape, Layer]] | None:
    """Shapes and layers, in turn, that bring the source's numbers into the view's order; None if there is no way."""
    split, order = _short(view)
    if identity(order):
        return []
    shape = tuple(view.source.shape)
    found = _shuffled(view.split, view.order) or _shuffled(split, order)
    if found is not None:
        return [found]
    if len(split) > 3:
        return None
    if order[:2] == (1, 0) and shape[0] == split[0] * split[1]:
        return [(shape, layers.ChannelShuffle(split[0]))]
    if len(view.split) <= 3:
        split, order = view.split, view.order
    return [(split, layers.Transpose((0, *(axis + 1 for axis in order))))]


def _short(view: View) -> tuple[Shape, Shape]:
    """split and order without sizes of 1, and with neighbours that stay neighbours as one."""
    groups: list[list[int]] = []
    for axis in view.order:
        if view.split[axis] == 1:
            continue
        before = groups[-1][-1] if groups else None
        follows = before is not None and axis > before and all(s == 1 for s in view.split[before + 1 : axis])
        if follows:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    places = sorted(groups)
    split = tuple(math.prod(view.split[axis] for axis in group) for group in places)
    return split, tuple(places.index(group) for group in groups)


def _shuffled(split: Shape, order: Shape) -> tuple[Shape, Layer] | None:
    """The shape before it, and the layer, if this is pixels from channels, or the way back."""
    kinds = {
        (0, 3, 1, 4, 2): "crd",
        (2, 3, 0, 4, 1): "dcr",
        (2, 0, 3, 1): "crd",  # one channel
    }
    if order in kinds:
        kind = kinds[order]
        if len(order) == 4:
            (r, s, H, W), C = split, 1
        else:
            C, r, s, H, W = split if kind == "crd" else (split[2], split[0], split[1], *split[3:])
        return ((C * r * r, H, W), layers.PixelShuffle(r, kind)) if r == s else None
    back = {(0, 2, 4, 1, 3): "crd", (2, 4, 0, 1, 3): "dcr", (1, 3, 0, 2): "crd"}
    if order in back:
        C, H, r, W, s = split if len(order) == 5 else (1, *split)
        return ((C, H * r, W * r), layers.PixelUnshuffle(r, back[order])) if r == s else None
    return None
