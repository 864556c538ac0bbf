"""Operators that look at each number alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import layers
from minidl.layers.base import Layer
from minidl.onnx.arithmetic import merged, with_constant
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused


def _plain(make: Callable[..., Layer], **attributes: Any) -> Function:
    """A function of each number: the attributes with their defaults are the layer's arguments, in this order."""

    def made(build: Build, operator: Operator, x: Values) -> Any:
        operator.get("consumed_inputs")
        return build.pointwise(x[0], make(*(operator.get(name, default) for name, default in attributes.items())))

    return made


def _function(kind: str) -> Function:
    return _plain(lambda: layers.Elementwise(kind))


def clip(build: Build, operator: Operator, x: Values) -> Any:
    """Clip, or Relu6, or Relu."""
    operator.get("consumed_inputs")
    limits = []
    for place, name in enumerate(("min", "max"), 1):
        given = operator.get(name)
        if place < len(x) and x[place] is not None:
            given = build.number(x[place], name)
        limits.append(None if given is None or abs(given) >= np.finfo(np.float32).max else float(given))
    return build.pointwise(x[0], _clipping(*limits))


def _clipping(low: float | None, high: float | None) -> Layer:
    if low is not None and high is not None and low > high:
        low = high  # ONNX: the upper limit is the last
    if low == 0 and high is None:
        return layers.Relu()
    return layers.Relu6() if (low, high) == (0, 6) else layers.Clip(low, high)


def _limit(low: bool) -> Function:
    """Max and Min of values and numbers."""

    def made(build: Build, operator: Operator, x: Values) -> Any:
        numbers = [build.number(value, "a constant") for value in x if isinstance(value, Constant)]
        value = _extreme(build, [value for value in x if not isinstance(value, Constant)], low)
        for number in numbers:
            value = build.pointwise(value, _clipping(*((number, None) if low else (None, number))))
        return value

    return made


def _extreme(build: Build, x: Values, largest: bool) -> Value | None:
    """The largest or smallest of values of one shape, each number by itself: Max over the values side by side."""
    if len(x) == 1:
        return x[0]
    shape = build.shape(x[0])
    if any(build.shape(value) != shape for value in x):
        raise Refused("", f"values must have one shape, got {', '.join(str(build.shape(value)) for value in x)}")
    rows = [build.node(build.reshaped(value, (1, math.prod(shape)))) for value in x]
    joined = layers.Concat(1)(*(rows if largest else [layers.Elementwise("neg")(row) for row in rows]))
    found = layers.Max(1, True)(joined)
    return build.reshaped(found if largest else layers.Elementwise("neg")(found), shape)


def power(build: Build, operator: Operator, x: Values) -> Any:
    """The power with a constant exponent."""
    exponent = build.number(x[1], "the exponent")
    if exponent == 1:
        return x[0]
    if exponent == 0.5:
        return build.pointwise(x[0], layers.Elementwise("sqrt"))
    return build.pointwise(x[0], layers.Elementwise("pow", exponent))


def celu(build: Build, operator: Operator, x: Values) -> Any:
    """alpha Elu(x / alpha)."""
    alpha = operator.get("alpha", 1.0)
    value: Any = x[0]
    if alpha != 1:
        value = build.pointwise(value, layers.Arithmetic("/", alpha))
    value = build.pointwise(value, layers.Elu())
    return value if alpha == 1 else build.pointwise(value, layers.Arithmetic("*", alpha))


def swish(build: Build, operator: Operator, x: Values) -> Any:
    """Silu."""
    if operator.get("alpha", 1.0) != 1:
        raise Refused("alpha", f"alpha must be 1, got {operator.get('alpha')}")
    return build.pointwise(x[0], layers.Silu())


def gelu(build: Build, operator: Operator, x: Values) -> Any:
    """Gelu."""
    kind = operator.get("approximate", "none")
    return build.pointwise(x[0], layers.Gelu() if kind == "none" else layers.Gelu(kind))


def dropout(build: Build, operator: Operator, x: Values) -> Any:
    """Dropout; without a rate above 0 nothing."""
    if len(operator.outputs) > 1 and any(operator.outputs[1:]) and build.readers.get(operator.outputs[1], 0):
        raise Refused("mask", "the mask as an output is not supported")
    rate = build.given(operator, x, 1, "ratio", [0.5])[0]
    for name in ("is_test", "seed", "consumed_inputs"):
        operator.get(name)
    return x[0] if rate == 0 else build.pointwise(x[0], layers.Dropout(rate))


def same(build: Build, operator: Operator, x: Values) -> Any:
    """The value as it is."""
    return x[0]


def cast(build: Build, operator: Operator, x: Values) -> Any:
    """The value as it is: all numbers that come from images are floats."""
    for name in ("saturate", "round_mode"):
        operator.get(name)
    to = operator.get("to")
    if to not in (1, 10, 11, 16, "FLOAT", "FLOAT16", "DOUBLE"):
        raise Refused("to", f"numbers that come from the images stay floats, got data type number {to}")
    return x[0]


def prelu(build: Build, operator: Operator, x: Values) -> Any:
    """PRelu, of one slope or one for each channel; of others max(x, 0) + slope min(x, 0)."""
    if not isinstance(x[1], Constant):
        return _prelu_by_parts(build, operator, x)
    node, slope = build.node(x[0]), build.weight(x[1], "slope")
    ones = len(node.shape) - 1
    each = slope.reshape(-1)
    good = slope.size == 1 or (
        slope.size == node.shape[0] and slope.ndim > ones and slope.shape[slope.ndim - ones - 1] == slope.size
    )
    if not good or len(node.shape) == 2:
        return _prelu_by_parts(build, operator, x)
    layer = layers.PRelu(each.size, name=build.name(operator, x[1]))
    build.filled(layer, slope=each)
    return build.made_of(layer, x[1])(node)


def _prelu_by_parts(build: Build, operator: Operator, x: Values) -> Any:
    below, slope = build.pointwise(x[0], layers.Clip(high=0.0)), x[1]
    if isinstance(slope, Constant):
        scaled = with_constant(build, operator, "*", below, slope, 1)
    else:
        scaled = merged(build, "*", [below, slope])
    return merged(build, "+", [build.pointwise(x[0], layers.Relu()), scaled])


OPERATORS: dict[str, tuple[int, Function]] = {
    "Abs": (1, _function("abs")),
    "Cast": (1, cast),
    "Celu": (12, celu),
    "Clip": (1, clip),
    "Dropout": (1, dropout),
    "Elu": (1, _plain(lambda alpha: layers.Elu(alpha), alpha=1.0)),
    "Erf": (9, _function("erf")),
    "Exp": (1, _function("exp")),
    "Gelu": (20, gelu),
    "HardSigmoid": (1, _plain(lambda a, b: layers.HardSigmoid(a, b), alpha=0.2, beta=0.5)),
    "HardSwish": (14, _plain(lambda: layers.HardSwish())),
    "Identity": (1, same),
    "LeakyRelu": (1, _plain(lambda alpha: layers.LeakyRelu(alpha), alpha=0.01)),
    "Log": (1, _function("log")),
    "Max": (8, _limit(True)),
    "Min": (8, _limit(False)),
    "Mish": (18, _plain(lambda: layers.Mish())),
    "Neg": (1, _function("neg")),
    "PRelu": (7, prelu),
    "Pow": (7, power),
    "Reciprocal": (1, _function("reciprocal")),
    "Relu": (1, _plain(lambda: layers.Relu())),
    "Selu": (
        1,
        _plain(lambda a, g: layers.Selu(a, g), alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    ),
    "Sigmoid": (1, _plain(lambda: layers.Sigmoid())),
    "Softplus": (1, _plain(lambda: layers.Softplus())),
    "Softsign": (1, _function("softsign")),
    "Sqrt": (1, _function("sqrt")),
    "Swish": (24, swish),
    "Tanh": (1, _plain(lambda: layers.Tanh())),
}
"""Operators of this file, and the version from which on they are read."""
