"""Operators with weights: fully connected layers, normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import layers
from minidl.layers.initializers import Held
from minidl.layers.node import Node
from minidl.layers.parameter import Parameter
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused
from minidl.onnx.views import View, back, transposed


def linear(build: Build, node: Node, w: np.ndarray, bias: np.ndarray | None, name: str) -> Node:
    """x w^T + bias, w of shape (out, in)."""
    if len(node.shape) != 1:
        raise Refused("", f"the input must be (N, F), got (N, {', '.join(map(str, node.shape))})")
    if min(w.shape) < 1:
        raise Refused("", f"the weight must not be empty, got shape {w.shape}")
    layer = layers.Linear(w.shape[1], w.shape[0], bias=bias is not None, init=Held(w), name=name)
    if layer.bias is not None:
        layer.bias.data[...] = bias
    found: Node = layer(node)
    return found


def gemm(build: Build, operator: Operator, x: Values) -> Any:
    """Linear: alpha A B + beta C."""
    node, w = build.node(x[0]), build.weight(x[1], "B", 2)
    alpha, beta = operator.get("alpha", 1.0), operator.get("beta", 1.0)
    operator.get("broadcast")
    if operator.get("transA", 0):
        raise Refused("transA", "the images must stand in rows: transA must be 0")
    if not operator.get("transB", 0):
        w = w.T
    if min(w.shape) < 1:
        raise Refused("B", f"the weight must not be empty, got shape {w.shape}")
    if alpha != 1:
        w = w * np.float32(alpha)
    bias = None
    if len(x) > 2 and x[2] is not None and beta:
        c = build.weight(x[2], "C")
        if c.ndim > 2 or (c.ndim == 2 and c.shape[0] != 1) or c.shape[-1:] not in ((), (1,), (w.shape[0],)):
            raise Refused("C", f"C must be the same for all images and broadcast to {w.shape[0]}, got shape {c.shape}")
        bias = np.broadcast_to(c.reshape(-1), (w.shape[0],)) * np.float32(beta)
    return linear(build, node, w, bias, build.name(operator, x[1]))


def matmul(build: Build, operator: Operator, x: Values) -> Any:
    """Linear, of images (N, F) and a constant; of rows of pixels or vectors a convolution by 1 x 1 kernels.

    MatMul of two values; a constant in front is one behind, of the transposed.
    """
    a, b = x
    if not isinstance(a, Constant) and not isinstance(b, Constant):
        return _product(build, a, b)
    if isinstance(a, (Node, View)):
        return _by_constant(build, a, build.weight(b, "B", 2), build.name(operator, b))
    if not isinstance(b, (Node, View)) or len(b.shape) not in (2, 3):
        raise Refused("B", "behind a constant it must be (N, K, P) or (N, S, K, P), and come from the images")
    turn = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
    w = build.weight(a, "A", 2).T
    return transposed(_by_constant(build, transposed(b, turn), w, build.name(operator, a)), turn)


def _product(build: Build, a: Value | None, b: Value | None) -> Any:
    """Of matrices of the same image; those of more than one axis of groups stand in a single one meanwhile."""
    left, right = build.shape(a), build.shape(b)
    if len(left) != len(right) or len(left) < 2:
        raise Refused("", f"both must be (N, ..., M, K) and (N, ..., K, P), got (N, {left}) and (N, {right})")
    groups = left[:-2]
    if len(groups) > 1 and groups == right[:-2]:
        whole = math.prod(groups)
        a, b = (build.reshaped(value, (whole, *shape[-2:])) for value, shape in ((a, left), (b, right)))
        return build.reshaped(_product(build, a, b), (*groups, left[-2], right[-1]))
    return layers.MatMul()(build.node(a), build.node(b))


def _by_constant(build: Build, value: Node | View, w: np.ndarray, name: str) -> Any:
    """Rows of the value times w, (in, out)."""
    shape = build.shape(value)
    if len(shape) == 1:
        return linear(build, build.node(value), w.T, None, name)
    if len(shape) not in (2, 3) or w.shape[0] != shape[-1] or w.shape[1] < 1:
        raise Refused("A", f"it must be (N, ..., {w.shape[0]}) with at most 4 dimensions, got (N, {shape})")
    last = len(shape) - 1
    first = build.reshaped(transposed(value, (last, *range(last))), (w.shape[0], *shape[:-1], *(1,) * (2 - last)))
    layer = layers.Conv2D(w.shape[0], w.shape[1], 1, bias=False, init=Held(w.T[:, :, None, None]), name=name)
    node = layer(build.node(first))
    build.rows.add(id(layer))
    return transposed(build.reshaped(node, (w.shape[1], *shape[:-1])), (*range(1, last + 1), 0))


def biased(build: Build, value: Value | None, array: np.ndarray) -> bool:
    """Whether a constant that is added to a layer's output has become its bias, or its shift."""
    if isinstance(value, View) and value.plain and value.source.call and id(value.source.call.layer) in build.rows:
        array = array[0] if array.ndim > len(value.order) else array
        array = array.reshape((1,) * (len(value.order) - array.ndim) + array.shape)
        return biased(build, value.source, array.transpose(back(value)))
    if not isinstance(value, Node) or value.call is None or not build.once(value):
        return False
    layer = value.call.layer
    place = "shift" if isinstance(layer, layers.Affine) else "bias"
    kinds = (layers.Affine, layers.Conv2D, layers.ConvTranspose2D, layers.Linear)
    if not isinstance(layer, kinds) or getattr(layer, place) is not None:
        return False
    channels = value.shape[0]
    ones = len(value.shape) - 1
    shape = array.shape[max(array.ndim - ones, 0) :] if ones else ()
    rest = array.shape[: max(array.ndim - ones, 0)]
    if (
        any(size != 1 for size in shape)
        or rest[:-1] not in ((), (1,))
        or (rest[-1:] or (1,)) not in ((1,), (channels,))
    ):
        return False
    if array.ndim > len(value.shape) + 1:
        return False
    numbers = np.broadcast_to(np.asarray(array, np.float32).reshape(-1), (channels,))
    setattr(layer, place, Parameter(np.array(numbers), place, decay=False))
    return True


def batch_norm(build: Build, operator: Operator, x: Values) -> Any:
    """BatchNorm2D or BatchNorm1D; ONNX's momentum is the part that is kept, as minidl's."""
    node = build.node(x[0])
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
    layer.gamma.data[...], layer.beta.data[...] = parts[:2]
    layer.running_mean[...], layer.running_var[...] = parts[2:]
    return layer(node)


def instance_norm(build: Build, operator: Operator, x: Values) -> Any:
    """InstanceNorm2D."""
    node = build.node(x[0])
    channels = node.shape[0]
    operator.get("consumed_inputs")
    gamma, beta = build.vector(x[1], "scale", channels), build.vector(x[2], "B", channels)
    name = build.name(operator, x[1])
    layer = layers.InstanceNorm2D(channels, eps=operator.get("epsilon", 1e-5), affine=True, name=name)
    layer.gamma.data[...], layer.beta.data[...] = gamma, beta
    return layer(node)


def group_norm(build: Build, operator: Operator, x: Values) -> Any:
    """GroupNorm; the scales of version 18 are one for each group."""
    node, groups = build.node(x[0]), operator.get("num_groups", 0)
    channels = node.shape[0]
    operator.get("stash_type")
    if groups < 1 or channels % groups:
        raise Refused("num_groups", f"it must divide the {channels} channels, got {groups}")
    count = groups if operator.version < 21 else channels
    gamma, beta = (build.vector(x[i], what, count).reshape(-1, 1) for i, what in ((1, "scale"), (2, "bias")))
    layer = layers.GroupNorm(groups, channels, eps=operator.get("epsilon", 1e-5), name=build.name(operator, x[1]))
    layer.gamma.data.reshape(count, -1)[...], layer.beta.data.reshape(count, -1)[...] = gamma, beta
    return layer(node)


def layer_norm(build: Build, operator: Operator, x: Values) -> Any:
    """LayerNorm."""
    node = build.node(x[0])
    axis = operator.get("axis", -1)
    axis = axis + len(node.shape) + 1 if axis < 0 else axis
    operator.get("stash_type")
    if len(operator.outputs) > 1:
        raise Refused("Mean", "mean and deviation as outputs are not supported")
    if not 1 <= axis <= len(node.shape):
        raise Refused("axis", f"axis must be one of the image's, got {axis}")
    shape = tuple(node.shape[axis - 1 :])
    gamma = np.broadcast_to(build.weight(x[1], "Scale"), shape)
    beta = np.broadcast_to(build.weight(x[2], "B"), shape) if len(x) > 2 and x[2] is not None else 0.0
    layer = layers.LayerNorm(shape, eps=operator.get("epsilon", 1e-5), name=build.name(operator, x[1]))
    layer.gamma.data[...], layer.beta.data[...] = gamma, beta
    return layer(node)


def prelu(build: Build, operator: Operator, x: Values) -> Any:
    """PRelu, of one slope or one for each channel."""
    node, slope = build.node(x[0]), build.weight(x[1], "slope")
    ones = len(node.shape) - 1
    each = slope.reshape(-1)
    good = slope.size == 1 or (
        slope.size == node.shape[0] and slope.ndim > ones and slope.shape[slope.ndim - ones - 1] == slope.size
    )
    if not good:
        raise Refused("slope", f"slope must be one number, or one for each channel, got shape {slope.shape}")
    layer = layers.PRelu(each.size, name=build.name(operator, x[1]))
    layer.slope.data[...] = each
    return layer(node)


OPERATORS: dict[str, tuple[int, Function]] = {
    "BatchNormalization": (1, batch_norm),
    "Gemm": (7, gemm),
    "GroupNormalization": (18, group_norm),
    "InstanceNormalization": (1, instance_norm),
    "LayerNormalization": (17, layer_norm),
    "MatMul": (1, matmul),
    "PRelu": (7, prelu),
}
"""Operators of this file, and the version from which on they are read."""
