"""A draft as the bytes of an ONNX file, checked by the `onnx` package."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from minidl.layers.base import Layer
from minidl.model import Model
from minidl.onnx.draft import Draft, Value
from minidl.version import __version__

IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8}
"""The file format that came with each opset."""
MOST_BYTES = 2**31 - 2**24
"""Of all weights: a protobuf message ends at 2 GiB."""


def number(dtype: Any) -> int:
    """ONNX's number of a dtype (TensorProto.DataType)."""
    return {"float32": 1, "uint8": 2, "float64": 11}[np.dtype(dtype).name]


def content(
    who: str, draft: Draft, model: Layer, inputs: list[Value], outputs: list[Value], opset: int, uint8_input: bool
) -> bytes:
    """The file's bytes, checked by onnx's own checker."""
    size = sum(array.nbytes for array in draft.initializers.values())
    if size > MOST_BYTES:
        raise ValueError(f"{who}: weights must have at most {MOST_BYTES} bytes, which one file holds, got {size}")
    try:
        import onnx
    except ImportError as error:
        raise ImportError("minidl.onnx writes with the onnx package: pip install 'minidl[onnx]'") from error
    helper = onnx.helper
    entered = number(np.uint8 if uint8_input else draft.dtype)
    graph = helper.make_graph(
        [helper.make_node(n.operator, n.inputs, n.outputs, n.name, **n.attributes) for n in draft.nodes],
        model.name or type(model).__name__,  # which must not be empty
        [helper.make_tensor_value_info(str(value), entered, ["N", *value.shape]) for value in inputs],
        [helper.make_tensor_value_info(str(value), number(draft.dtype), ["N", *value.shape]) for value in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in draft.initializers.items()],
    )
    file = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSIONS[opset],
        producer_name="minidl",
        producer_version=__version__,
    )
    helper.set_model_props(file, _metadata(model))
    onnx.checker.check_model(file, full_check=True)
    data: bytes = file.SerializeToString()
    return data


def _metadata(model: Layer) -> dict[str, str]:
    if not isinstance(model, Model):
        return {}
    found = {"mean": model.mean.tolist(), "std": model.std.tolist()}
    names = {} if model.class_names is None else {"class_names": list(model.class_names)}
    labels = {"multi_label": True} if model.multi_label else {}
    return {key: json.dumps(value) for key, value in {**found, **names, **labels}.items()}
