"""Operators of normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import layers
from minidl.onnx.arithmetic import merged
from minidl.onnx.build import Build, Function, Values
from minidl.onnx.images import maps, unmapped
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused


def batch_norm(build: Build, operator: Operator, x: Values) -> Any:
    """BatchNorm2D or BatchNorm1D; ONNX's momentum is the part that is kept, as minidl's."""
    node, rows = maps(build, x[0], features=True)
    channels = node.shape[0]
    if operator.get("training_mode", 0):
        raise Refused("training_mode", "the file must be made for inference (in PyTorch: after network.eval())")
    operator.get("consumed_inputs")
    operator.get("is_test")
    if not operator.get("spatial", 1) and len(node.shape) > 1:
        raise Refused("spatial", "statistics for each pixel are not supported")
    if len(node.shape) not in (1, 3):
        raise Refused("", f"the input must be (N, C, H, W) or (N, C), got (N, {', '.join(map(str, node.shape))})")
    kind = layers.BatchNorm2D if len(node.shape) == 3 else layers.BatchNorm1D
    parts = [build.vector(x[i], what, channels) for i, what in enumerate(("scale", "B", "mean", "var"), 1)]
    layer = kind(
        channels,
        eps=operator.get("epsilon", 1e-5),
        momentum=operator.get("momentum", 0.9),
        # Exporters write equal arrays once: scales that are still 1 have the name of another layer, statistics hardly.
        name=build.name(operator, x[3], x[4], x[1], x[2]),
    )
    gamma, beta, mean, var = parts
    build.filled(layer, gamma=gamma, beta=beta, running_mean=mean, running_var=var)
    return unmapped(build, build.made_of(layer, *x[1:])(node), rows)


def instance_norm(build: Build, operator: Operator, x: Values) -> Any:
    """InstanceNorm2D."""
    node, rows = maps(build, x[0])
    channels = node.shape[0]
    operator.get("consumed_inputs")
    gamma, beta = build.vector(x[1], "scale", channels), build.vector(x[2], "B", channels)
    name = build.name(operator, x[1])
    layer = layers.InstanceNorm2D(channels, eps=operator.get("epsilon", 1e-5), affine=True, name=name)
    build.filled(layer, gamma=gamma, beta=beta)
    return unmapped(build, build.made_of(layer, *x[1:])(node), rows)


def group_norm(build: Build, operator: Operator, x: Values) -> Any:
    """GroupNorm; the scales of version 18 are one for each group."""
    node, rows = maps(build, x[0], features=True)
    groups = operator.get("num_groups", 0)
    channels = node.shape[0]
    operator.get("stash_type")
    if groups < 1 or channels % groups:
        raise Refused("num_groups", f"it must divide the {channels} channels, got {groups}")
    count = groups if operator.version < 21 else channels
    parts = [build.vector(x[i], what, count) for i, what in ((1, "scale"), (2, "bias"))]
    layer = layers.GroupNorm(groups, channels, eps=operator.get("epsilon", 1e-5), name=build.name(operator, x[1]))
    gamma, beta = (np.repeat(part, channels // count) for part in parts)
    build.filled(layer, gamma=gamma, beta=beta)
    return unmapped(build, build.made_of(layer, *x[1:])(node), rows)


def layer_norm(build: Build, operator: Operator, x: Values) -> Any:
    """LayerNorm; mean and deviation, where they are read, by Mean and arithmetic."""
    node, rows = maps(build, x[0], features=True)
    have = build.shape(x[0])
    axis = operator.get("axis", -1)
    axis = axis + len(have) + 1 if axis < 0 else axis
    operator.get("stash_type")
    if not 1 <= axis <= len(have):
        raise Refused("axis", f"axis must be one of the image's, got {axis}")
    shape, eps = have[axis - 1 :], operator.get("epsilon", 1e-5)
    gamma = np.broadcast_to(build.weight(x[1], "Scale"), shape)
    beta = np.broadcast_to(build.weight(x[2], "B"), shape) if len(x) > 2 and x[2] is not None else None
    inner = tuple(node.shape[axis - 1 :]) if not rows or axis == 1 else shape
    layer = layers.LayerNorm(inner, eps=eps, name=build.name(operator, x[1]))
    build.filled(layer, gamma=gamma.reshape(inner), beta=None if beta is None else beta.reshape(inner))
    made: list[Any] = [unmapped(build, build.made_of(layer, *x[1:])(node), rows)]
    if not any(build.readers.get(name) for name in operator.outputs[1:]):
        return made
    axes, source = tuple(range(axis, len(have) + 1)), build.node(x[0])
    mean = layers.Mean(axes, True)(source)
    squares = build.pointwise(merged(build, "-", [source, mean]), layers.Elementwise("pow", 2.0))
    shifted = build.pointwise(layers.Mean(axes, True)(build.node(squares)), layers.Arithmetic("+", eps))
    return [*made, mean, build.pointwise(shifted, layers.Elementwise("pow", -0.5))]


OPERATORS: dict[str, tuple[int, Function]] = {
    "BatchNormalization": (1, batch_norm),
    "GroupNormalization": (18, group_norm),
    "InstanceNormalization": (1, instance_norm),
    "LayerNormalization": (17, layer_norm),
}
"""Operators of this file, and the version from which on they are read."""
