"""Convolution, pooling and the linear layer."""

from __future__ import annotations

from typing import Any

from minidl.layers.conv import Conv2D
from minidl.layers.linear import Linear
from minidl.layers.pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(Conv2D, operators="Conv")
def conv2d(draft: Draft, layer: Conv2D, x: Value) -> Any:
    """Conv."""
    return draft.add(
        "Conv",
        x,
        layer.weight.data,
        None if layer.bias is None else layer.bias.data,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
    )


@writes(Linear, operators="Gemm")
def linear(draft: Draft, layer: Linear, x: Value) -> Any:
    """Gemm."""
    bias = None if layer.bias is None else layer.bias.data
    return draft.add("Gemm", x, layer.weight.data, bias, transB=1)


@writes(MaxPool2D, operators="MaxPool")
def max_pool(draft: Draft, layer: MaxPool2D, x: Value) -> Any:
    """MaxPool."""
    return draft.add("MaxPool", x, kernel_shape=layer.kernel_size, strides=layer.stride, pads=layer.padding * 2)


@writes(AvgPool2D, operators="AveragePool")
def average_pool(draft: Draft, layer: AvgPool2D, x: Value) -> Any:
    """AveragePool."""
    window: dict[str, Any] = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": layer.padding * 2}
    return draft.add("AveragePool", x, **window, count_include_pad=1)


@writes(GlobalAvgPool2D, operators="GlobalAveragePool Flatten")
def global_average_pool(draft: Draft, layer: GlobalAvgPool2D, x: Value) -> Any:
    """(N, C, 1, 1), flattened."""
    return draft.add("Flatten", draft.add("GlobalAveragePool", x), axis=1)
