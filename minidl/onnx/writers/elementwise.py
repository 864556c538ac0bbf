"""Elementwise functions out of the backends' table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl.layers.elementwise import Clip, Elementwise, HardSigmoid, HardSwish, Mish, Relu6, Selu, Silu
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes

Function = Callable[[Draft, str, float, float], Any]
"""(draft, x, a, b) -> the output's name; a and b are the function's parameters."""


def clip(draft: Draft, x: str, low: float, high: float) -> Any:
    """Clip; an infinite limit is none."""
    limits = [None if math.isinf(limit) else limit for limit in (low, high)]
    return draft.add("Clip", x, *limits) if limits != [None, None] else x


def hard_sigmoid(draft: Draft, x: str, alpha: float, beta: float) -> Any:
    """HardSigmoid."""
    return draft.add("HardSigmoid", x, alpha=alpha, beta=beta)


def hard_swish(draft: Draft, x: str, a: float, b: float) -> Any:
    """x times a HardSigmoid: HardSwish came with opset 14."""
    return draft.add("Mul", x, hard_sigmoid(draft, x, 1 / 6, 0.5))


def silu(draft: Draft, x: str, a: float, b: float) -> Any:
    """x times a Sigmoid."""
    return draft.add("Mul", x, draft.add("Sigmoid", x))


def selu(draft: Draft, x: str, alpha: float, gamma: float) -> Any:
    """Selu."""
    return draft.add("Selu", x, alpha=alpha, gamma=gamma)


def mish(draft: Draft, x: str, a: float, b: float) -> Any:
    """x tanh(log(1 + exp(x))): Mish came with opset 18."""
    return draft.add("Mul", x, draft.add("Tanh", draft.add("Softplus", x)))


def gelu_tanh(draft: Draft, x: str, a: float, b: float) -> Any:
    """x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    cube = draft.add("Mul", draft.add("Mul", x, x), x)
    inner = draft.add("Add", x, draft.add("Mul", cube, 0.044715))
    tanh = draft.add("Tanh", draft.add("Mul", inner, math.sqrt(2 / math.pi)))
    return draft.add("Mul", draft.add("Mul", x, draft.add("Add", tanh, 1.0)), 0.5)


def power(draft: Draft, x: str, exponent: float, b: float) -> Any:
    """Pow."""
    return draft.add("Pow", x, exponent)


def _named(operator: str) -> Function:
    return lambda draft, x, a, b: draft.add(operator, x)


FUNCTIONS: dict[str, Function] = {
    "clip": clip,
    "hard_tanh": clip,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "silu": silu,
    "selu": selu,
    "mish": mish,
    "gelu_tanh": gelu_tanh,
    "softsign": _named("Softsign"),
    "exp": _named("Exp"),
    "log": _named("Log"),
    "sqrt": _named("Sqrt"),
    "pow": power,
    "erf": _named("Erf"),
    "abs": _named("Abs"),
    "neg": _named("Neg"),
    "reciprocal": _named("Reciprocal"),
}
"""Each kind of `minidl.kernels.functions.KINDS`."""

OPERATORS = """Clip HardSigmoid Mul Sigmoid Selu Softplus Tanh Add Softsign Exp Log Sqrt Pow Erf Abs Neg Reciprocal"""


@writes(Relu6, Clip, operators="Clip")
@writes(HardSigmoid, operators="HardSigmoid")
@writes(HardSwish, operators="HardSigmoid Mul")
@writes(Mish, operators="Softplus Tanh Mul")
@writes(Selu, operators="Selu")
@writes(Silu, operators="Sigmoid Mul")
@writes(Elementwise, operators=OPERATORS)
def elementwise(draft: Draft, layer: Any, x: Value) -> Any:
    """By the layer's kind."""
    return FUNCTIONS[layer._kind](draft, x, *layer._parameters)
