"""minidl as a backend of ONNX's own tests: one node, its inputs, the outputs that it must have."""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.base import Backend as Base
from onnx.backend.base import BackendRep
from onnx.backend.test.loader import load_model_tests

import minidl


@functools.cache
def node_cases() -> list[tuple[str, str, Any, list[Any], list[Any]]]:
    """(operator, name, case, inputs, outputs) of each of ONNX's cases of one node."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load_model_tests(kind="node")
    found = []
    for case in loaded:
        nodes = case.model.graph.node if case.model is not None else []
        if len(nodes) == 1:
            for arrays in case.data_sets:
                inputs, outputs = ([_array(value) for value in part] for part in arrays)
                found.append((nodes[0].op_type, case.name.removeprefix("test_"), case, inputs, outputs))
    return found


def _array(value: Any) -> Any:
    """Arrays of types that numpy does not have come as tensors."""
    return numpy_helper.to_array(value) if hasattr(value, "raw_data") else value


class Prepared(BackendRep):
    """A model of which only the first input is images, or all that are as many; the others become constants.

    What a minidl model cannot take or give, values of another number of dimensions than 2 to 4, comes in and goes out
    as rows, by a Reshape before or behind; the node itself has its own shapes.
    """

    def __init__(self, proto: Any) -> None:
        self.proto = proto

    def run(self, inputs: Any, **settings: Any) -> list[np.ndarray]:
        """Outputs for arrays; ValueError for what minidl cannot run."""
        arrays = [np.asarray(array) for array in inputs]
        if not arrays or not arrays[0].ndim:
            raise ValueError("no images among the inputs")
        try:
            return self._run(arrays, 1)
        except ValueError:
            alike = [a.dtype == arrays[0].dtype and a.shape[:1] == arrays[0].shape[:1] for a in arrays]
            if len(arrays) == 1 or not all(alike):
                raise
        return self._run(arrays, len(arrays))

    def _run(self, arrays: list[np.ndarray], images: int) -> list[np.ndarray]:
        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        given, shapes = [], {}
        for i, (port, array) in enumerate(zip(proto.graph.input, arrays)):
            if i >= images:
                proto.graph.initializer.append(numpy_helper.from_array(array, port.name))
                continue
            if array.ndim not in (2, 3, 4):
                array = self._as_rows(proto, port, array)
            shapes[port.name] = array.shape[1:]
            given.append(array[:, :, None] if array.ndim == 3 else array)
        wanted = [self._whole_again(proto, port) for port in proto.graph.output]
        model = minidl.onnx.load(proto.SerializeToString(), shapes)
        found = model.predict(given if images > 1 else given[0])
        found = found if isinstance(found, list) else [found]
        return [array if shape is None else array.reshape(shape) for array, shape in zip(found, wanted)]

    def _as_rows(self, proto: Any, port: Any, array: np.ndarray) -> np.ndarray:
        """The rows in place of an array, from which the node's input is made again."""
        name, whole, shape = port.name, f"whole {port.name}", f"shape of {port.name}"
        for node in proto.graph.node:
            for i, read in enumerate(node.input):
                if read == name:
                    node.input[i] = whole
        proto.graph.node.insert(0, helper.make_node("Reshape", [name, shape], [whole]))
        proto.graph.initializer.append(numpy_helper.from_array(np.array([-1, *array.shape[1:]], np.int64), shape))
        rows = array.reshape(len(array), math.prod(array.shape[1:]))
        self._shaped(port, rows.shape)
        return rows

    def _whole_again(self, proto: Any, port: Any) -> tuple[int, ...] | None:
        """The shape of an output that goes out as rows; None for one that goes out as it is."""
        shape = tuple(size.dim_value for size in port.type.tensor_type.shape.dim)
        if len(shape) in (0, 2, 3, 4):
            return None
        name = f"shape of {port.name}"
        rows = shape[0], math.prod(shape[1:])
        proto.graph.node.append(helper.make_node("Reshape", [port.name, name], [f"rows of {port.name}"]))
        proto.graph.initializer.append(numpy_helper.from_array(np.array([-1, rows[1]], np.int64), name))
        port.name = f"rows of {port.name}"
        self._shaped(port, rows)
        return shape

    def _shaped(self, port: Any, shape: tuple[int, ...]) -> None:
        port.type.tensor_type.shape.CopyFrom(helper.make_tensor_value_info("", 1, shape).type.tensor_type.shape)


class Backend(Base):
    """What ONNX's tests call."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **settings: Any) -> Prepared:
        """A model, ready to run."""
        return Prepared(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it is the CPU."""
        return device == "CPU"
