"""Layers that files write as several operators; what nobody reads then falls away.

x s(x)                               Silu, where s is the sigmoid; HardSwish, where it is the hard one of slope 1/6
x tanh(log(1 + exp(x)))              Mish
x min(max(x + 3, 0), 6) / 6          HardSwish
x (1 + erf(x / sqrt(2))) / 2         Gelu
"""

from __future__ import annotations

import math
from typing import Any

from minidl import layers
from minidl.layers.node import Node


def _is(node: Node, kind: type[Any], /, **settings: Any) -> Node | None:
    """The one input of the layer that gives a node, if it is of that kind and has these settings, almost."""
    if node.call is None or type(node.call.layer) is not kind or len(node.call.inputs) != 1:
        return None
    for name, wanted in settings.items():
        have = getattr(node.call.layer, "_value" if name == "value" else name)
        if isinstance(wanted, float):
            if not isinstance(have, float) or not math.isclose(have, wanted, rel_tol=1e-6):
                return None
        elif have != wanted:
            return None
    return node.call.inputs[0]


def gated(a: Node, b: Node) -> Node | None:
    """a b, if one is a gate of the other."""
    for x, gate in ((a, b), (b, a)):
        if _is(gate, layers.Sigmoid) is x:
            return _node(layers.Silu()(x))
        soft = _is(gate, layers.Tanh)
        if soft is not None and _is(soft, layers.Softplus) is x:
            return _node(layers.Mish()(x))
        if _is(gate, layers.HardSigmoid, alpha=1 / 6, beta=0.5) is x:
            return _node(layers.HardSwish()(x))
        half = _is(x, layers.Arithmetic, operator="*", value=0.5)
        if half is not None and _is_cumulative(gate, half):
            return _node(layers.Gelu()(half))
    return None


def scaled(sign: str, node: Node, number: float, place: int) -> Node | None:
    """The node times a number, or divided by it, if that ends a pattern."""
    if sign == "/" and place == 1 and number:
        factor = 1 / number
    elif sign == "*":
        factor = number
    else:
        return None
    if node.call is None or type(node.call.layer) is not layers.Mul or len(node.call.inputs) != 2:
        return None
    a, b = node.call.inputs
    for x, other in ((a, b), (b, a)):
        if math.isclose(factor, 1 / 6, rel_tol=1e-6):
            shifted = _is(other, layers.Relu6)
            if shifted is not None and _is(shifted, layers.Arithmetic, operator="+", value=3.0) is x:
                return _node(layers.HardSwish()(x))
        if factor == 0.5 and _is_cumulative(other, x):
            return _node(layers.Gelu()(x))
    return None


def _is_cumulative(node: Node, x: Node) -> bool:
    """Whether it is 1 + erf(x / sqrt(2))."""
    erf = _is(node, layers.Arithmetic, operator="+", value=1.0)
    inner = None if erf is None else _is(erf, layers.Elementwise, kind="erf")
    if inner is None:
        return False
    root = math.sqrt(2)
    by = _is(inner, layers.Arithmetic, operator="/", value=root, reverse=False)
    by_factor = _is(inner, layers.Arithmetic, operator="*", value=1 / root)
    return by is x or by_factor is x


def _node(made: Any) -> Node:
    node: Node = made
    return node
