"""Operators with windows: convolutions, pooling; of rows of pixels, too, which are images of one row then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import layers
from minidl.layers.base import Layer
from minidl.layers.initializers import Held
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.constant import Constant
from minidl.onnx.images import maps, unmapped
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused

Pair = tuple[int, int]


def _pair(operator: Operator, name: str, rows: bool, default: int | None = 1) -> Pair:
    """Two numbers; the one of a row of pixels (rows) with the default before it."""
    value = operator.get(name) or (() if default is None else (default,) * (1 if rows else 2))
    if len(value) != (1 if rows else 2):
        raise Refused(name, f"{name} must be a number for each of 1 or 2 axes of pixels, got {value}")
    return (1 if default is None else default, value[0]) if rows else (value[0], value[1])


def _padding(operator: Operator, rows: bool) -> Any:
    """Padding as layers take it."""
    auto = operator.get("auto_pad", "NOTSET")
    pads = operator.get("pads") or (0,) * (2 if rows else 4)
    if rows and len(pads) == 2:
        pads = (0, pads[0], 0, pads[1])
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return "same" if auto == "SAME_UPPER" else "same_lower"
    if auto == "VALID":
        return 0
    if auto not in ("NOTSET", ""):
        raise Refused("auto_pad", f"auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, got {auto!r}")
    if len(pads) != 4:
        raise Refused("pads", f"pads must be 4 numbers, for images, got {pads}")
    top, left, bottom, right = pads
    return _sides(top, bottom, left, right)


def _sides(top: int, bottom: int, left: int, right: int) -> Any:
    if (top, left) != (bottom, right):
        return ((top, bottom), (left, right))
    return (top, left)


def _weight(build: Build, value: Value | None, rows: bool) -> np.ndarray:
    """Kernels (O, I, KH, KW); of rows KH is 1."""
    w = build.weight(value, "W", 3 if rows else 4)
    return w[:, :, None] if rows else w


def _kernel(operator: Operator, w: np.ndarray, rows: bool) -> Pair:
    size = w.shape[2], w.shape[3]
    given = operator.get("kernel_shape")
    if given is not None and tuple(given) != (size[1:] if rows else size):
        raise Refused("kernel_shape", f"it must be that of the weight {w.shape}, got {tuple(given)}")
    if min(w.shape) < 1:
        raise Refused("", f"the weight must not be empty, got shape {w.shape}")
    return size


def _bias(build: Build, x: Values, count: int) -> np.ndarray | None:
    """Input 2; none where zeros were computed, as PyTorch's newer exporter writes a convolution without a bias."""
    if len(x) < 3 or x[2] is None:
        return None
    found = build.vector(x[2], "B", count)
    assert isinstance(x[2], Constant)
    return found if x[2].trained or found.any() else None


def conv(build: Build, operator: Operator, x: Values) -> Any:
    """Conv2D."""
    node, rows = maps(build, x[0])
    w = _weight(build, x[1], rows)
    bias = _bias(build, x, w.shape[0])
    groups = operator.get("group", 1)
    if groups < 1:
        raise Refused("group", f"group must be at least 1, got {groups}")
    layer = layers.Conv2D(
        w.shape[1] * groups,
        w.shape[0],
        _kernel(operator, w, rows),
        stride=_pair(operator, "strides", rows),
        padding=_padding(operator, rows),
        dilation=_pair(operator, "dilations", rows),
        groups=groups,
        bias=bias is not None,
        init=Held(w.astype(np.float32, copy=False)),
        name=build.name(operator, x[1]),
    )
    build.filled(layer, weight=w, bias=bias)
    return unmapped(build, build.made_of(layer, *x[1:])(node), rows)


def conv_transpose(build: Build, operator: Operator, x: Values) -> Any:
    """ConvTranspose2D."""
    node, rows = maps(build, x[0])
    w = _weight(build, x[1], rows)
    groups = operator.get("group", 1)
    if groups < 1:
        raise Refused("group", f"group must be at least 1, got {groups}")
    bias = _bias(build, x, w.shape[1] * groups)
    kernel, stride = _kernel(operator, w, rows), _pair(operator, "strides", rows)
    dilation, extra = _pair(operator, "dilations", rows), _pair(operator, "output_padding", rows, 0)
    auto, out = operator.get("auto_pad", "NOTSET"), operator.get("output_shape")
    padding: Any
    if out is None and auto in ("NOTSET", "", "VALID"):
        padding = _padding(operator, rows)
    else:
        operator.get("pads")
        size = node.shape[1:]
        wanted = (1, *out[-1:])[-2:] if rows and out else tuple(out or ())[-2:]
        wanted = wanted or tuple(s * n for s, n in zip(stride, size))
        sides = []
        for i in range(2):
            total = stride[i] * (size[i] - 1) + extra[i] + (kernel[i] - 1) * dilation[i] + 1 - wanted[i]
            less, more = total // 2, total - total // 2
            sides.append((less, more) if auto == "SAME_UPPER" else (more, less))
        if min(map(min, sides)) < 0:
            extra = tuple(extra[i] + max(-sum(sides[i]), 0) for i in range(2))
            sides = [tuple(max(side, 0) for side in pair) for pair in sides]
        padding = _sides(*sides[0], *sides[1])
    layer = layers.ConvTranspose2D(
        w.shape[0],
        w.shape[1] * groups,
        kernel,
        stride=stride,
        padding=padding,
        output_padding=extra,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        init=Held(w.astype(np.float32, copy=False)),
        name=build.name(operator, x[1]),
    )
    build.filled(layer, weight=w, bias=bias)
    return unmapped(build, build.made_of(layer, *x[1:])(node), rows)


def _window(operator: Operator, rows: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kernel_size": _pair(operator, "kernel_shape", rows, None),
        "stride": _pair(operator, "strides", rows),
        "padding": _padding(operator, rows),
    }
    if operator.get("ceil_mode", 0):
        found["ceil_mode"] = True
    return found


def max_pool(build: Build, operator: Operator, x: Values) -> Any:
    """MaxPool2D."""
    node, rows = maps(build, x[0])
    settings = _window(operator, rows)
    operator.get("storage_order")
    if len(operator.outputs) > 1:
        raise Refused("Indices", "the places of the maxima as an output are not supported")
    dilation = _pair(operator, "dilations", rows)
    if dilation != (1, 1):
        settings["dilation"] = dilation
    return unmapped(build, layers.MaxPool2D(**settings)(node), rows)


def average_pool(build: Build, operator: Operator, x: Values) -> Any:
    """AvgPool2D."""
    node, rows = maps(build, x[0])
    settings = _window(operator, rows)
    if _pair(operator, "dilations", rows) != (1, 1):
        raise Refused("dilations", "means over windows with gaps are not supported")
    if not operator.get("count_include_pad", 0) and settings["padding"] not in (0, (0, 0)):
        settings["count_include_pad"] = False
    return unmapped(build, layers.AvgPool2D(**settings)(node), rows)


def _whole(make: Callable[[], Layer]) -> Function:
    """A layer from (N, C, H, W) to (N, C), which stands for (N, C, 1, 1)."""

    def made(build: Build, operator: Operator, x: Values) -> Any:
        node, rows = maps(build, x[0])
        return build.reshaped(make()(node), (node.shape[0], *(1,) * (1 if rows else 2)))

    return made


OPERATORS: dict[str, tuple[int, Function]] = {
    "AveragePool": (1, average_pool),
    "Conv": (1, conv),
    "ConvTranspose": (1, conv_transpose),
    "GlobalAveragePool": (1, _whole(lambda: layers.GlobalAvgPool2D())),
    "GlobalMaxPool": (1, _whole(lambda: layers.GlobalMaxPool2D())),
    "MaxPool": (1, max_pool),
}
"""Operators of this file, and the version from which on they are read."""
