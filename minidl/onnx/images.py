"""Values as images: (N, C, H, W), and rows of pixels (N, C, L), which are images of one row for the layers."""

from __future__ import annotations

from minidl.layers.node import Node
from minidl.onnx.build import Build, Value
from minidl.onnx.refused import Refused
from minidl.onnx.views import View


def image(build: Build, value: Value | None) -> Node:
    """A node of maps."""
    node = build.node(value)
    if len(node.shape) != 3:
        raise Refused("", f"the input must be images (N, C, H, W), got (N, {', '.join(map(str, node.shape))})")
    return node


def maps(build: Build, value: Value | None, features: bool = False) -> tuple[Node, bool]:
    """A node of maps, and whether it stands for rows. features: whether (N, F) will do, too."""
    shape = build.shape(value)
    if len(shape) == 2:
        return build.node(build.reshaped(value, (shape[0], 1, shape[1]))), True
    return (build.node(value) if features and len(shape) == 1 else image(build, value)), False


def unmapped(build: Build, node: Node, rows: bool) -> Node | View:
    """What a layer made of `maps`, in the file's shape."""
    return build.reshaped(node, (node.shape[0], *node.shape[2:])) if rows else node
