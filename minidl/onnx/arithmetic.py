"""Arithmetic: of values, and of a value and a constant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import layers
from minidl.layers.base import Layer
from minidl.layers.node import Node
from minidl.onnx import patterns
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused
from minidl.onnx.views import View, back
from minidl.onnx.weighted import biased

SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Sum": "+"}


def arithmetic(build: Build, operator: Operator, x: Values) -> Any:
    """Add, Sub, Mul, Div, Sum; their patterns Silu, HardSwish, a bias; of constants Affine or Arithmetic."""
    sign = SIGNS[operator.kind]
    operator.get("consumed_inputs")
    if operator.get("broadcast", 0) or operator.get("axis") is not None:
        raise Refused("broadcast", "the broadcasting of versions before 7 is not supported")
    if len(x) == 1:
        return x[0]
    constants = [value for value in x if isinstance(value, Constant)]
    if not constants:
        return merged(build, sign, x)
    if len(x) != 2:
        raise Refused("", "a sum of constants and three or more inputs is not supported")
    place = 0 if isinstance(x[0], Constant) else 1
    return with_constant(build, operator, sign, x[1 - place], constants[0], place)


def merged(build: Build, sign: str, x: Values) -> Any:
    """Values that come from the images, joined by a sign."""
    if len(x) == 2 and isinstance(x[0], View) and isinstance(x[1], View):
        a, b = x
        if (a.split, a.order) == (b.split, b.order) and a.source.shape == b.source.shape:  # type: ignore[union-attr]
            return View(_merge(sign, [a.source, b.source]), a.split, a.order)  # type: ignore[union-attr]
    shapes = [build.shape(value) for value in x]
    if len(set(shapes)) == 1 and len(shapes[0]) not in (1, 2, 3):  # which layers take
        flat = [build.node(build.reshaped(value, (math.prod(shapes[0]),))) for value in x]
        return build.reshaped(_merge(sign, flat), shapes[0])
    return _merge(sign, [build.node(value) for value in x])


def _merge(sign: str, nodes: list[Node]) -> Node:
    gate = patterns.gated(*nodes) if sign == "*" and len(nodes) == 2 else None
    if gate is not None:
        return gate
    kinds = {"+": layers.Add, "-": layers.Sub, "*": layers.Mul, "/": layers.Div}
    node: Node = kinds[sign]()(*nodes)
    return node


def with_constant(
    build: Build, operator: Operator, sign: str, value: Value | None, constant: Constant, place: int
) -> Any:
    """A value and a constant; place: that of the constant."""
    array = build.array(constant, "the constant")
    if array.dtype.kind not in "fiu":
        raise Refused("", f"the constant must be numbers, got {array.dtype}")
    shape = build.shape(value)
    if array.size == 1 and array.ndim <= len(shape) + 1:
        number = float(array.reshape(()))
        if (sign, number) in (("+", 0.0), ("*", 1.0)) or (place == 1 and (sign, number) in (("-", 0.0), ("/", 1.0))):
            return value
        if sign == "+" and biased(build, value, array, constant):
            return value
        source = value.source if isinstance(value, View) else value
        whole = patterns.scaled(sign, source, number, place) if isinstance(source, Node) else None
        if whole is not None:
            return View(whole, value.split, value.order) if isinstance(value, View) else whole
        return build.pointwise(value, layers.Arithmetic(sign, number, reverse=place == 0))
    if array.ndim == len(shape) + 1:
        if array.shape[0] != 1:
            raise Refused("", f"a constant must be the same for all images, got shape {array.shape}")
        array = array[0]
    if array.ndim > len(shape):
        raise Refused("", f"a constant of shape {array.shape} does not go with (N, {shape})")
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    np.broadcast_shapes(array.shape, shape)
    if sign == "+" and biased(build, value, array, constant):
        return value
    if isinstance(value, View) and value.plain and np.broadcast_shapes(array.shape, shape) == shape:
        made = _constant_layer(build, operator, sign, array.transpose(back(value)), constant, place)
        return View(made(value.source), value.split, value.order)
    return _constant_layer(build, operator, sign, array, constant, place)(build.node(value))


def _constant_layer(
    build: Build, operator: Operator, sign: str, array: np.ndarray, constant: Constant, place: int
) -> Layer:
    """Affine for a trained number for each channel, else Arithmetic."""
    each = array.shape[0] > 1 and array.size == array.shape[0] and array.ndim in (1, 3)
    if constant.trained and each and sign in "+*" and array.dtype.kind == "f":
        layer = layers.Affine(array.size, scale=sign == "*", shift=sign == "+", name=build.name(operator, constant))
        build.filled(layer, **{"scale" if sign == "*" else "shift": array.reshape(-1)})
        return build.made_of(layer, constant)
    return layers.Arithmetic(sign, np.asarray(array, build.dtype), reverse=place == 0)


OPERATORS: dict[str, tuple[int, Function]] = {
    "Add": (7, arithmetic),
    "Div": (7, arithmetic),
    "Mul": (7, arithmetic),
    "Sub": (7, arithmetic),
    "Sum": (8, arithmetic),
}
"""Operators of this file, and the version from which on they are read."""
