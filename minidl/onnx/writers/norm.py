"""Normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.layers.norm import BatchNorm1D, BatchNorm2D
from minidl.layers.row_norm import GroupNorm, InstanceNorm2D, LayerNorm
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(BatchNorm1D, BatchNorm2D, operators="BatchNormalization")
def batch_norm(draft: Draft, layer: BatchNorm2D, x: Value) -> Any:
    """By the running statistics. ONNX's momentum is that of minidl."""
    arrays = layer.gamma.data, layer.beta.data, layer.running_mean, layer.running_var
    return draft.add("BatchNormalization", x, *arrays, epsilon=layer.eps, momentum=layer.momentum)


@writes(GroupNorm, operators="InstanceNormalization Reshape Mul Add")
def group_norm(draft: Draft, layer: GroupNorm, x: Value) -> Any:
    """Each group as a channel (GroupNormalization came with opset 18, and as it is now with 21)."""
    gamma, beta = layer.gamma.data, layer.beta.data
    if layer.groups == layer.channels and len(x.shape) == 3:
        return draft.add("InstanceNormalization", x, gamma, beta, epsilon=layer.eps)
    ones = np.ones(layer.groups, draft.dtype)
    width = x.shape[2] if len(x.shape) == 3 else 1  # as maps, which more programs normalise than rows
    groups = draft.add("Reshape", x, [0, layer.groups, math.prod(x.shape) // layer.groups // width, width])
    xhat = draft.add("InstanceNormalization", groups, ones, 0 * ones, epsilon=layer.eps)
    back = draft.add("Reshape", xhat, [0, *x.shape])
    return draft.scaled(back, gamma, beta, len(x.shape))


@writes(InstanceNorm2D, operators="InstanceNormalization")
def instance_norm(draft: Draft, layer: InstanceNorm2D, x: Value) -> Any:
    """InstanceNormalization, by ones and zeros where there are no parameters."""
    ones = np.ones(layer.channels, draft.dtype)
    arrays = (layer.gamma.data, layer.beta.data) if layer.affine else (ones, 0 * ones)
    return draft.add("InstanceNormalization", x, *arrays, epsilon=layer.eps)


@writes(LayerNorm, operators="LayerNormalization", opset=17)
def layer_norm(draft: Draft, layer: LayerNorm, x: Value) -> Any:
    """Over the last axes."""
    arrays = layer.gamma.data, layer.beta.data
    return draft.add("LayerNormalization", x, *arrays, axis=-len(layer.shape), epsilon=layer.eps)
