"""Operators with weights: fully connected layers, products, biases."""

from __future__ import annotations

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


def linear(build: Build, operator: Operator, node: Node, w: np.ndarray, bias: np.ndarray | None, x: Values) -> Node:
    """x w^T + bias, w of shape (out, in), which are of the values x."""
    if len(node.shape) != 1:
        raise Refused("", f"the input must be (N, F), got (N, {', '.join(map(str, node.shape))})")
    if min(w.shape) < 1:
        raise Refused("", f"the weight must not be empty, got shape {w.shape}")
    layer = layers.Linear(
        w.shape[1],
        w.shape[0],
        bias=bias is not None,
        init=Held(w.astype(np.float32, copy=False)),
        name=build.name(operator, *x[:1]),
    )
    build.filled(layer, weight=w, bias=bias)
    found: Node = build.made_of(layer, *x)(node)
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
        w = w * float(alpha)
    bias = None
    if len(x) > 2 and x[2] is not None and beta:
        c = build.weight(x[2], "C")
        if c.ndim > 2 or (c.ndim == 2 and c.shape[0] != 1) or c.shape[-1:] not in ((), (1,), (w.shape[0],)):
            raise Refused("C", f"C must be the same for all images and broadcast to {w.shape[0]}, got shape {c.shape}")
        bias = np.broadcast_to(c.reshape(-1), (w.shape[0],)) * float(beta)
    return linear(build, operator, node, w, bias, x[1:])


def matmul(build: Build, operator: Operator, x: Values) -> Any:
    """Linear, of images (N, F) and a constant; of rows of pixels or vectors a convolution by 1 x 1 kernels."""
    if isinstance(x[0], Constant):
        return _matmul_from_left(build, operator, x)
    if not isinstance(x[1], Constant):
        raise Refused("B", "one of the factors must be a constant")
    value = x[0]
    if not isinstance(value, (Node, View)):
        raise Refused("A", "the first factor must come from the images")
    w = build.weight(x[1], "B")
    if w.ndim not in (1, 2):
        raise Refused("B", f"a second factor must have 1 or 2 dimensions, got shape {w.shape}")
    one, w = w.ndim == 1, w.reshape(len(w), -1)
    shape = build.shape(x[0])
    last = len(shape) - 1
    if last == 0:
        made: Node | View = linear(build, operator, build.node(x[0]), w.T, None, x[1:])
    else:
        if last not in (1, 2) or w.shape[0] != shape[-1] or w.shape[1] < 1:
            rule = f"(N, ..., {w.shape[0]}) with at most 4 dimensions"
            raise Refused("A", f"it must be {rule}, got (N, {', '.join(map(str, shape))})")
        first = transposed(value, (last, *range(last)))
        pixels = build.node(build.reshaped(first, (w.shape[0], *shape[:-1], *(1,) * (2 - last))))
        layer = _mixing(build, operator, w.T, 1, x[1])
        build.rows.add(id(layer))
        made = transposed(build.reshaped(layer(pixels), (w.shape[1], *shape[:-1])), (*range(1, last + 1), 0))
    return build.reshaped(made, shape[:-1]) if one else made


def _matmul_from_left(build: Build, operator: Operator, x: Values) -> Any:
    """W x: channels mixed by 1 x 1 kernels, for W (I, A, D) and x (N, I, D, M) those of each I in a group."""
    w, shape = build.weight(x[0], "A"), build.shape(x[1])
    if w.ndim not in (2, 3) or len(shape) != w.ndim or shape[:-1] != (*w.shape[:-2], w.shape[-1]) or min(w.shape) < 1:
        rule = "it must be (A, D) for (N, D, M), or (I, A, D) for (N, I, D, M)"
        raise Refused("A", f"{rule}, got {w.shape} for (N, {', '.join(map(str, shape))})")
    groups = w.shape[0] if w.ndim == 3 else 1
    pixels = build.node(build.reshaped(x[1], (groups * w.shape[-1], 1, shape[-1])))
    made = _mixing(build, operator, w.reshape(-1, w.shape[-1]), groups, x[0])(pixels)
    return build.reshaped(made, (*w.shape[:-1], shape[-1]))


def _mixing(build: Build, operator: Operator, w: np.ndarray, groups: int, source: Value | None) -> layers.Conv2D:
    """A convolution by 1 x 1 kernels w (out, in of a group)."""
    w = w[:, :, None, None]
    layer = layers.Conv2D(
        w.shape[1] * groups,
        w.shape[0],
        1,
        groups=groups,
        bias=False,
        init=Held(w.astype(np.float32, copy=False)),
        name=build.name(operator, source),
    )
    build.filled(layer, weight=w)
    build.made_of(layer, source)
    return layer


def biased(build: Build, value: Value | None, array: np.ndarray, constant: Constant) -> bool:
    """Whether a constant that is added to a layer's output has become its bias, or its shift."""
    if isinstance(value, View) and value.plain and value.source.call and id(value.source.call.layer) in build.rows:
        array = array[0] if array.ndim > len(value.order) else array
        array = array.reshape((1,) * (len(value.order) - array.ndim) + array.shape)
        return biased(build, value.source, array.transpose(back(value)), constant)
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
    numbers = np.broadcast_to(np.asarray(array, build.dtype).reshape(-1), (channels,))
    setattr(layer, place, Parameter(np.array(numbers), place, decay=False))
    build.made_of(layer, constant)
    return True


OPERATORS: dict[str, tuple[int, Function]] = {
    "Gemm": (7, gemm),
    "MatMul": (1, matmul),
}
"""Operators of this file, and the version from which on they are read."""
