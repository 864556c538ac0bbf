"""Places in a network that is being built: what a layer gives when it is called on other places."""

from __future__ import annotations

import itertools
from typing import Any

from minidl.layers.several import Shape

_count = itertools.count()


class Call:
    """One use of a layer. inputs: the nodes that it reads. number: later uses have larger ones."""

    def __init__(self, layer: Any, inputs: tuple[Node, ...]) -> None:
        self.layer = layer
        self.inputs = inputs
        self.number = next(_count)


class Node:
    """A value in a network before there are numbers: `layer(node)` makes the next one, `Graph` a layer of them all.

    shape: of one image, (C, H, W) or (F,). call: the use of a layer that gives it; None for an `Input`. index: which
    of that layer's outputs it is. name: what messages call it.
    """

    def __init__(self, shape: Shape, name: str, call: Call | None = None, index: int = 0) -> None:
        self.shape = shape
        self.name = name
        self.call = call
        self.index = index

    def __repr__(self) -> str:
        """Name and shape."""
        return f"Node({self.name!r}, shape={self.shape})"

    def __iter__(self) -> Any:
        """A node is one value: a layer with one output gives no list."""
        raise TypeError(f"node {self.name} is one value, of shape {self.shape}; it cannot be taken apart")

    def __array__(self, *arguments: Any, **named: Any) -> Any:
        """A node has no numbers yet."""
        raise TypeError(
            f"node {self.name} has no numbers: it is a place in a network; minidl.Model(minidl.Graph(x, y)) computes"
        )
