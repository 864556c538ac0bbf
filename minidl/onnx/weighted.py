"""Operators with weights: fully connected layers, products, biases."""

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
    """Linear, of images (N, F) and a constant; of rows of pixels or vectors a convolution by 1 x 1 kernels.

    MatMul of two values; a constant in front is one behind, of the transposed, or one for each group of channels.
    """
    a, b = x
    if not isinstance(a, Constant) and not isinstance(b, Constant):
        return _product(build, a, b)
    if isinstance(a, (Node, View)):
        w = build.weight(b, "B")
        if w.ndim not in (1, 2):
            raise Refused("B", f"a constant second factor must have 1 or 2 dimensions, got shape {w.shape}")
        made = _by_constant(build, operator, a, w.reshape(len(w), -1), b)
        return made if w.ndim == 2 else build.reshaped(made, build.shape(a)[:-1])
    if not isinstance(b, (Node, View)) or len(b.shape) not in (2, 3):
        raise Refused("B", "behind a constant it must be (N, K, P) or (N, S, K, P), and come from the images")
    w = build.weight(a, "A")
    if w.ndim == 3:
        return _by_groups(build, operator, w, b, a)
    turn = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
    made = _by_constant(build, operator, transposed(b, turn), build.weight(a, "A", 2).T, a)
    return transposed(made, turn)


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


def _by_constant(build: Build, operator: Operator, value: Node | View, w: np.ndarray, source: Value | None) -> Any:
    """Rows of the value times w, (in, out)."""
    shape = build.shape(value)
    if len(shape) == 1:
        return linear(build, operator, build.node(value), w.T, None, [source])
    if len(shape) not in (2, 3) or w.shape[0] != shape[-1] or w.shape[1] < 1:
        raise Refused("A", f"it must be (N, ..., {w.shape[0]}) with at most 4 dimensions, got (N, {shape})")
    last = len(shape) - 1
    first = build.reshaped(transposed(value, (last, *range(last))), (w.shape[0], *shape[:-1], *(1,) * (2 - last)))
    layer = _mixing(build, operator, w.T, 1, source)
    build.rows.add(id(layer))
    return transposed(build.reshaped(layer(build.node(first)), (w.shape[1], *shape[:-1])), (*range(1, last + 1), 0))


def _by_groups(build: Build, operator: Operator, w: np.ndarray, value: Node | View, source: Value | None) -> Any:
    """W x, for W (I, A, D) and x (N, I, D, M): channels mixed by 1 x 1 kernels, those of each I in a group."""
    shape = build.shape(value)
    if len(shape) != 3 or shape[:2] != (w.shape[0], w.shape[2]) or min(w.shape) < 1:
        raise Refused("A", f"it must be (I, A, D) for (N, I, D, M), got {w.shape} for (N, {shape})")
    pixels = build.node(build.reshaped(value, (w.shape[0] * w.shape[2], 1, shape[2])))
    made = _mixing(build, operator, w.reshape(-1, w.shape[2]), w.shape[0], source)(pixels)
    return build.reshaped(made, (*w.shape[:2], shape[2]))


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
    vars(layer)[place] = Parameter(np.array(numbers), place, decay=False)  # its dtype is that of the model to come
    build.made_of(layer, constant)
    return True


OPERATORS: dict[str, tuple[int, Function]] = {
    "Gemm": (7, gemm),
    "MatMul": (1, matmul),
}
"""Operators of this file, and the version from which on they are read."""
