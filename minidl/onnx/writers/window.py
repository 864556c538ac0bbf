"""Convolution, pooling and the linear layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.checks import Pair, margins
from minidl.layers.conv import Conv2D
from minidl.layers.conv_transpose import ConvTranspose2D
from minidl.layers.linear import Linear
from minidl.layers.pooling import AdaptiveAvgPool2D, AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D, MaxPool2D
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes

Pads = tuple[int, int, int, int]
"""top, left, bottom, right"""


def _pads(layer: Any, x: Value) -> Pads:
    """The layer's padding for this input's size."""
    (top, bottom), (left, right) = margins(layer.padding, _size(x), layer.kernel_size, layer.stride, layer.dilation)
    return top, left, bottom, right


def _size(x: Value) -> Pair:
    return x.shape[1], x.shape[2]


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
        pads=_pads(layer, x),
        dilations=layer.dilation,
        group=layer.groups,
    )


@writes(ConvTranspose2D, operators="ConvTranspose Pad Add")
def conv_transpose2d(draft: Draft, layer: ConvTranspose2D, x: Value) -> Any:
    """ConvTranspose; where output_padding reaches the stride, less is cut off instead, and the rest is padded."""
    pads, more, behind = list(_pads(layer, x)), list(layer.output_padding), [0, 0]
    for i, stride in enumerate(layer.stride):
        if more[i] >= stride:
            kept = min(more[i], pads[2 + i])
            pads[2 + i], behind[i], more[i] = pads[2 + i] - kept, more[i] - kept, 0
    bias = None if layer.bias is None else layer.bias.data
    y = draft.add(
        "ConvTranspose",
        x,
        layer.weight.data,
        None if any(behind) else bias,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=pads,
        output_padding=more,
        dilations=layer.dilation,
        group=layer.groups,
    )
    if any(behind):
        y = draft.scaled(draft.add("Pad", y, [0, 0, 0, 0, 0, 0, *behind]), None, bias, 3)
    return y


@writes(Linear, operators="Gemm")
def linear(draft: Draft, layer: Linear, x: Value) -> Any:
    """Gemm."""
    bias = None if layer.bias is None else layer.bias.data
    return draft.add("Gemm", x, layer.weight.data, bias, transB=1)


@writes(MaxPool2D, operators="MaxPool Pad")
def max_pool(draft: Draft, layer: MaxPool2D, x: Value) -> Any:
    """MaxPool; where ceil_mode has windows that reach over the padding there is more of it, which never wins."""
    pads, y = _reached(layer, x, _pads(layer, x)), str(x)
    if any(side >= size for side, size in zip(pads, layer.kernel_size * 2)):  # more than ONNX Runtime takes
        y = draft.add("Pad", x, [0, 0, *pads[:2], 0, 0, *pads[2:]], -math.inf)
        pads = 0, 0, 0, 0
    return draft.add(
        "MaxPool",
        y,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=pads,
        dilations=layer.dilation if layer.dilation != (1, 1) else None,
    )


@writes(AvgPool2D, operators="AveragePool Pad")
def average_pool(draft: Draft, layer: AvgPool2D, x: Value) -> Any:
    """AveragePool. What ceil_mode adds is padding that does not count; a padding that does is then a node before it."""
    pads, y = _pads(layer, x), str(x)
    reached, counts = _reached(layer, x, pads), layer.count_include_pad
    if reached != pads and counts and any(pads):
        y = draft.add("Pad", x, [0, 0, *pads[:2], 0, 0, *pads[2:]])
        reached = (0, 0, reached[2] - pads[2], reached[3] - pads[3])
    counts = counts and reached == pads
    return draft.add(
        "AveragePool",
        y,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=reached,
        count_include_pad=int(counts),
    )


def _reached(layer: Any, x: Value, pads: Pads) -> Pads:
    """pads, enlarged at the bottom and right to where the last windows of ceil_mode reach.

    The operators' own ceil_mode is not used: programs differ in windows that lie outside, and in what counts.
    """
    if not layer.ceil_mode:
        return pads
    out, ends = layer.output_shape(x.shape)[1:], list(pads)
    for i, (size, count) in enumerate(zip(_size(x), out)):
        last = (count - 1) * layer.stride[i] + layer.dilation[i] * (layer.kernel_size[i] - 1) + 1
        ends[2 + i] = max(pads[2 + i], last - pads[i] - size)
    return ends[0], ends[1], ends[2], ends[3]


@writes(GlobalAvgPool2D, operators="GlobalAveragePool Flatten")
@writes(GlobalMaxPool2D, operators="GlobalMaxPool Flatten")
def global_pool(draft: Draft, layer: Any, x: Value) -> Any:
    """(N, C, 1, 1), flattened."""
    operator = "GlobalMaxPool" if isinstance(layer, GlobalMaxPool2D) else "GlobalAveragePool"
    return draft.add("Flatten", draft.add(operator, x), axis=1)


@writes(AdaptiveAvgPool2D, operators="AveragePool MatMul Transpose")
def adaptive_average_pool(draft: Draft, layer: AdaptiveAvgPool2D, x: Value) -> Any:
    """AveragePool where the windows are equal; else two products with the weights of rows and columns in means."""
    size, out = _size(x), layer.output_size
    if not any(n % m for n, m in zip(size, out)):
        kernel = [n // m for n, m in zip(size, out)]
        return draft.add("AveragePool", x, kernel_shape=kernel, strides=kernel)
    rows, columns = (_means(n, m, draft.dtype) for n, m in zip(size, out))
    return draft.mixed(x, rows, columns)


def _means(size: int, count: int, dtype: Any) -> np.ndarray:
    """(count, size): the share of each place in each mean."""
    weights = np.zeros((count, size), dtype)
    for i in range(count):
        start, stop = i * size // count, -(-(i + 1) * size // count)
        weights[i, start:stop] = 1 / (stop - start)
    return weights
