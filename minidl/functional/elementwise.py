"""Elementwise functions by name, on (N, C, H, W) or (N, F) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks, functions


def elementwise_forward(x: Any, kind: str, a: float | None = None, b: float | None = None) -> np.ndarray:
    """f(x), f one of `minidl.kernels.functions.KINDS`, with up to two parameters; None: its defaults.

    clip (low, high), hard_tanh (low, high), hard_sigmoid (alpha, beta), hard_swish, silu, selu (alpha, gamma), mish,
    gelu_tanh, softsign, exp, log, sqrt, pow (exponent), erf, abs, neg, reciprocal. The formulas stand in the contract.
    """
    who = "elementwise_forward"
    settings = functions.parameters(who, functions.kind_of(who, kind), a, b)
    return call(who, *checks.images(who, x=x), kind, *settings)


def elementwise_backward(dy: Any, x: Any, kind: str, a: float | None = None, b: float | None = None) -> np.ndarray:
    """dy times the slope at x, the forward's input."""
    who = "elementwise_backward"
    settings = functions.parameters(who, functions.kind_of(who, kind), a, b)
    return call(who, *checks.images(who, dy=dy, x=x), kind, *settings)
