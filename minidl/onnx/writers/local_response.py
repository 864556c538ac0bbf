"""Local response normalisation."""

from __future__ import annotations

from typing import Any

from minidl.layers.local_response import LocalResponseNorm
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(LocalResponseNorm, operators="LRN Reshape AveragePool Mul Add Pow Div")
def local_response_norm(draft: Draft, layer: LocalResponseNorm, x: Value) -> Any:
    """LRN; of an even size the mean of squares by AveragePool over channels, for LRN has the odd neighbour behind."""
    if layer.size % 2:
        return draft.add("LRN", x, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)
    (C, H, W), before = x.shape, layer.size // 2
    rows = draft.add("Reshape", draft.add("Mul", x, x), [0, 1, C, H * W])
    pads = before, 0, before - 1, 0
    means = draft.add("AveragePool", rows, kernel_shape=(layer.size, 1), pads=pads, count_include_pad=1)
    means = draft.add("Reshape", means, [0, C, H, W])
    sums = draft.add("Add", draft.add("Mul", means, layer.alpha), layer.k)
    return draft.add("Div", x, draft.add("Pow", sums, layer.beta))
