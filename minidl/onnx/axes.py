"""Operators over axes: sums, means, maxima, softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import layers
from minidl.layers.base import Layer
from minidl.onnx.build import Build, Function, Values
from minidl.onnx.moves import one_axis
from minidl.onnx.read import Operator
from minidl.onnx.views import View


def _reduction(make: Callable[..., Layer], whole: Callable[[], Layer] | None) -> Function:
    """make(axes, keepdims); whole: the layer over height and width, (N, C, H, W) to (N, C)."""

    def made(build: Build, operator: Operator, x: Values) -> Any:
        have = build.shape(x[0])
        axes = build.given(operator, x, 1, "axes", [])
        keep = bool(operator.get("keepdims", 1))
        if operator.get("noop_with_empty_axes", 0) and not axes:
            return x[0]
        which = sorted({one_axis(axis, len(have) + 1, "axes") for axis in axes or range(len(have) + 1)})
        value = x[0]
        if isinstance(value, View) and value.plain and len(have) == 3:  # channels last, for instance
            inner = sorted(value.order[axis - 1] + 1 for axis in which)
            if inner == [2, 3] and whole is not None:
                node = whole()(value.source)
                return build.reshaped(node, _kept(have, which, keep))
        node = build.node(value)
        if which == [2, 3] and len(have) == 3 and whole is not None:
            return build.reshaped(whole()(node), _kept(have, which, keep))
        if not keep and len(which) == len(have):
            return build.reshaped(make(tuple(which), True)(node), ())
        return make(tuple(which), keep)(node)

    return made


def _kept(have: tuple[int, ...], axes: list[int], keep: bool) -> tuple[int, ...]:
    sizes = [1 if i + 1 in axes else each for i, each in enumerate(have)]
    return tuple(each for i, each in enumerate(sizes) if keep or i + 1 not in axes)


def _softmax(log: bool) -> Function:
    def made(build: Build, operator: Operator, x: Values) -> Any:
        ndim = len(build.shape(x[0])) + 1
        axis = one_axis(operator.get("axis", 1 if operator.version < 13 else -1), ndim)
        axes: Any = axis if operator.version >= 13 else tuple(range(axis, ndim))
        kind = layers.LogSoftmax if log else layers.Softmax
        return kind(axes)(build.node(x[0]))

    return made


OPERATORS: dict[str, tuple[int, Function]] = {
    "LogSoftmax": (1, _softmax(True)),
    "ReduceMax": (1, _reduction(lambda axes, keep: layers.Max(axes, keep), lambda: layers.GlobalMaxPool2D())),
    "ReduceMean": (1, _reduction(lambda axes, keep: layers.Mean(axes, keep), lambda: layers.GlobalAvgPool2D())),
    "ReduceSum": (1, _reduction(lambda axes, keep: layers.Sum(axes, keep), None)),
    "Softmax": (1, _softmax(False)),
}
"""Operators of this file, and the version from which on they are read."""
