"""Over axes: sum, mean, maximum, softmax."""

from __future__ import annotations

import math
from typing import Any

from minidl.layers.reduce import LogSoftmax, Max, Mean, Softmax, Sum
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(Sum, operators="ReduceSum")
def total(draft: Draft, layer: Sum, x: Value) -> Any:
    """ReduceSum."""
    return draft.add("ReduceSum", x, list(_axes(layer, x)), keepdims=int(layer.keepdims))


@writes(Mean, operators="ReduceMean")
def mean(draft: Draft, layer: Mean, x: Value) -> Any:
    """ReduceMean."""
    return draft.add("ReduceMean", x, axes=_axes(layer, x), keepdims=int(layer.keepdims))


@writes(Max, operators="ReduceMax")
def maximum(draft: Draft, layer: Max, x: Value) -> Any:
    """ReduceMax."""
    return draft.add("ReduceMax", x, axes=_axes(layer, x), keepdims=int(layer.keepdims))


@writes(Softmax, operators="Softmax Reshape")
@writes(LogSoftmax, operators="LogSoftmax Reshape")
def softmax(draft: Draft, layer: Softmax, x: Value) -> Any:
    """Softmax over one axis, to which several neighbours are joined before."""
    axes, operator = _axes(layer, x), "LogSoftmax" if layer._log else "Softmax"
    if len(axes) == 1:
        return draft.add(operator, x, axis=axes[0])
    first, behind = axes[0] - 1, axes[-1]
    joined = [0, *x.shape[:first], math.prod(x.shape[first:behind]), *x.shape[behind:]]
    return draft.add("Reshape", draft.add(operator, draft.add("Reshape", x, joined), axis=axes[0]), [0, *x.shape])


def _axes(layer: Any, x: Value) -> tuple[int, ...]:
    axes: tuple[int, ...] = layer._axes(len(x.shape) + 1)
    return axes
