"""Activations, and dropout."""

from __future__ import annotations

import math
from typing import Any

from minidl.layers.activation import Elu, Gelu, LeakyRelu, Relu, Sigmoid, Softplus, Tanh
from minidl.layers.base import Layer
from minidl.layers.dropout import Dropout
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.elementwise import gelu_tanh
from minidl.onnx.writers.table import Write, writes


def _named(operator: str) -> Write:
    """Writer of a layer that is an operator without attributes."""

    def write(draft: Draft, layer: Layer, x: Value) -> Any:
        return draft.add(operator, x)

    return write


for _kind in (Relu, Sigmoid, Softplus, Tanh):
    writes(_kind, operators=_kind.__name__)(_named(_kind.__name__))


@writes(LeakyRelu, operators="LeakyRelu")
def leaky_relu(draft: Draft, layer: LeakyRelu, x: Value) -> Any:
    """LeakyRelu."""
    return draft.add("LeakyRelu", x, alpha=layer.slope)


@writes(Elu, operators="Elu")
def elu(draft: Draft, layer: Elu, x: Value) -> Any:
    """Elu."""
    return draft.add("Elu", x, alpha=layer.alpha)


@writes(Gelu, operators="Div Erf Add Mul Tanh")
def gelu(draft: Draft, layer: Gelu, x: Value) -> Any:
    """x (1 + erf(x / sqrt(2))) / 2, or the approximation by tanh: Gelu came with opset 20."""
    if layer.approximate == "tanh":
        return gelu_tanh(draft, x, 0.0, 0.0)
    erf = draft.add("Erf", draft.add("Div", x, math.sqrt(2)))
    return draft.add("Mul", draft.add("Mul", x, draft.add("Add", erf, 1.0)), 0.5)


@writes(Dropout, operators="")
def dropout(draft: Draft, layer: Dropout, x: Value) -> Any:
    """Nothing: outside of training it is the identity."""
    return x
