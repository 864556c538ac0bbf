"""Arithmetic and products of inputs, arithmetic with constants, and with parameters of channels."""

from __future__ import annotations

from typing import Any

from minidl.layers.arithmetic import Affine, Arithmetic, Div, Mul, PRelu, Sub
from minidl.layers.matmul import MatMul
from minidl.layers.merge import Add
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes

OPERATORS = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}


@writes(Add, operators="Add")
@writes(Sub, operators="Sub")
@writes(Mul, operators="Mul")
@writes(Div, operators="Div")
def of_inputs(draft: Draft, layer: Any, *x: Value) -> Any:
    """The first two inputs, their result and the third, and so on."""
    y: str = x[0]
    for other in x[1:]:
        y = draft.add(OPERATORS[layer._operator], y, other)
    return y


@writes(MatMul, operators="MatMul")
def product(draft: Draft, layer: MatMul, a: Value, b: Value) -> Any:
    """MatMul."""
    return draft.add("MatMul", a, b)


@writes(Arithmetic, operators=" ".join(OPERATORS.values()))
def with_a_constant(draft: Draft, layer: Arithmetic, x: Value) -> Any:
    """A constant, broadcast as numpy does it."""
    value = layer._numbers.astype(draft.dtype)
    return draft.add(OPERATORS[layer.operator], *((value, x) if layer.reverse else (x, value)))


@writes(Affine, operators="Mul Add")
def affine(draft: Draft, layer: Affine, x: Value) -> Any:
    """A product and a sum."""
    scale, shift = (None if part is None else part.data for part in (layer.scale, layer.shift))
    return draft.scaled(x, scale, shift, len(x.shape))


@writes(PRelu, operators="PRelu")
def prelu(draft: Draft, layer: PRelu, x: Value) -> Any:
    """PRelu, a slope each channel."""
    slope = layer.slope.data
    return draft.add("PRelu", x, draft.shaped(slope, (slope.size, *(1,) * (len(x.shape) - 1))))
