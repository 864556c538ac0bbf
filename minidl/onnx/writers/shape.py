"""Where numbers move and stay what they are."""

from __future__ import annotations

from typing import Any

from minidl.layers.shape import Flatten, Reshape
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(Flatten, operators="Flatten")
def flatten(draft: Draft, layer: Flatten, x: Value) -> Any:
    """Nothing for rows."""
    return x if len(x.shape) == 1 else draft.add("Flatten", x, axis=1)


@writes(Reshape, operators="Reshape")
def reshape(draft: Draft, layer: Reshape, x: Value) -> Any:
    """A size of 0 is that of the input: N."""
    return draft.add("Reshape", x, [0, *layer.output_shape(x.shape)])
