"""Operators with windows: convolutions, pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import layers
from minidl.layers.initializers import Held
from minidl.layers.node import Node
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused

Pair = tuple[int, int]


def _pair(operator: Operator, name: str, default: int = 1) -> Pair:
    value = operator.get(name) or (default, default)
    if len(value) != 2:
        raise Refused(name, f"{name} must be 2 numbers, for images, got {value}")
    return value[0], value[1]


def _padding(operator: Operator) -> Any:
    """Padding as layers take it."""
    auto = operator.get("auto_pad", "NOTSET")
    pads = operator.get("pads") or (0, 0, 0, 0)
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


def image(build: Build, value: Value | None) -> Node:
    """A node of maps."""
    node = build.node(value)
    if len(node.shape) != 3:
        raise Refused("", f"the input must be images (N, C, H, W), got (N, {', '.join(map(str, node.shape))})")
    return node


def _kernel(operator: Operator, w: np.ndarray) -> Pair:
    size = w.shape[2], w.shape[3]
    given = operator.get("kernel_shape")
    if given is not None and tuple(given) != size:
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
    node, w = image(build, x[0]), build.weight(x[1], "W", 4)
    bias = _bias(build, x, w.shape[0])
    groups = operator.get("group", 1)
    if groups < 1:
        raise Refused("group", f"group must be at least 1, got {groups}")
    layer = layers.Conv2D(
        w.shape[1] * groups,
        w.shape[0],
        _kernel(operator, w),
        stride=_pair(operator, "strides"),
        padding=_padding(operator),
        dilation=_pair(operator, "dilations"),
        groups=groups,
        bias=bias is not None,
        init=Held(w),
        name=build.name(operator, x[1]),
    )
    if layer.bias is not None:
        layer.bias.data[...] = bias
    return layer(node)


def conv_transpose(build: Build, operator: Operator, x: Values) -> Any:
    """ConvTranspose2D."""
    node, w = image(build, x[0]), build.weight(x[1], "W", 4)
    groups = operator.get("group", 1)
    if groups < 1:
        raise Refused("group", f"group must be at least 1, got {groups}")
    bias = _bias(build, x, w.shape[1] * groups)
    kernel, stride, dilation = _kernel(operator, w), _pair(operator, "strides"), _pair(operator, "dilations")
    extra = _pair(operator, "output_padding", 0)
    auto, out = operator.get("auto_pad", "NOTSET"), operator.get("output_shape")
    padding: Any
    if out is None and auto in ("NOTSET", "", "VALID"):
        padding = _padding(operator)
    else:
        operator.get("pads")
        size = node.shape[1:]
        wanted = tuple(out)[-2:] if out else tuple(s * n for s, n in zip(stride, size))
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
        init=Held(w),
        name=build.name(operator, x[1]),
    )
    if layer.bias is not None:
        layer.bias.data[...] = bias
    return layer(node)


def _window(operator: Operator) -> dict[str, Any]:
    kernel = operator.get("kernel_shape")
    if kernel is None or len(kernel) != 2:
        raise Refused("kernel_shape", f"kernel_shape must be 2 numbers, for images, got {kernel}")
    found = {"kernel_size": tuple(kernel), "stride": _pair(operator, "strides"), "padding": _padding(operator)}
    if operator.get("ceil_mode", 0):
        found["ceil_mode"] = True
    return found


def max_pool(build: Build, operator: Operator, x: Values) -> Any:
    """MaxPool2D."""
    node, settings = image(build, x[0]), _window(operator)
    operator.get("storage_order")
    if len(operator.outputs) > 1:
        raise Refused("Indices", "the places of the maxima as an output are not supported")
    dilation = _pair(operator, "dilations")
    if dilation != (1, 1):
        settings["dilation"] = dilation
    return layers.MaxPool2D(**settings)(node)


def average_pool(build: Build, operator: Operator, x: Values) -> Any:
    """AvgPool2D."""
    node, settings = image(build, x[0]), _window(operator)
    if _pair(operator, "dilations") != (1, 1):
        raise Refused("dilations", "means over windows with gaps are not supported")
    if not operator.get("count_include_pad", 0) and settings["padding"] not in (0, (0, 0)):
        settings["count_include_pad"] = False
    return layers.AvgPool2D(**settings)(node)


def global_average_pool(build: Build, operator: Operator, x: Values) -> Any:
    """GlobalAvgPool2D, (N, C) that stands for (N, C, 1, 1)."""
    node = image(build, x[0])
    return build.reshaped(layers.GlobalAvgPool2D()(node), (node.shape[0], 1, 1))


def global_max_pool(build: Build, operator: Operator, x: Values) -> Any:
    """GlobalMaxPool2D, (N, C) that stands for (N, C, 1, 1)."""
    node = image(build, x[0])
    return build.reshaped(layers.GlobalMaxPool2D()(node), (node.shape[0], 1, 1))


OPERATORS: dict[str, tuple[int, Function]] = {
    "AveragePool": (1, average_pool),
    "Conv": (1, conv),
    "ConvTranspose": (1, conv_transpose),
    "GlobalAveragePool": (1, global_average_pool),
    "GlobalMaxPool": (1, global_max_pool),
    "MaxPool": (1, max_pool),
}
"""Operators of this file, and the version from which on they are read."""
