"""An estimator as an ONNX file: rows in, answers out."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from minidl import onnx as exchange
from minidl.model import Model
from minidl.sklearn.targets import Classes, Numbers, Target
from minidl.support import atomic
from minidl.support.several import Shape

TRUE = 0.5
"""A label is there where its probability is above it."""


def save(path: str | os.PathLike[str], network: Model, shape: Shape, target: Target | None) -> None:
    """Write `network`, from rows of this shape to scores, and what the scores mean for the target, as one file.

    Input "X". Outputs "label" and "probabilities" of classes and labels, "prediction" of numbers, "features" without a
    target. Raises as `minidl.onnx.save`.
    """
    who = "to_onnx"
    atomic.check_folder(who, path)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "network.onnx")
        exchange.save(network, file, shape)
        import onnx

        proto = onnx.load_model(file)
    _rename(proto.graph, "input", "X")
    if target is None:
        _rename(proto.graph, "output", "features")
    elif isinstance(target, Numbers):
        _numbers(onnx, proto.graph, target)
    else:
        _classes(onnx, proto.graph, target)
    onnx.checker.check_model(proto, full_check=True)
    atomic.replace(path, [proto.SerializeToString()])


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new


def _numbers(onnx: Any, graph: Any, target: Numbers) -> None:
    """(N, 1) as (N,) where y was so."""
    if target.columns:
        _rename(graph, "output", "prediction")
        return
    helper = onnx.helper
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "column"))
    graph.node.append(helper.make_node("Squeeze", ["output", "column"], ["prediction"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("prediction", onnx.TensorProto.FLOAT, ["N"]))


def _classes(onnx: Any, graph: Any, target: Any) -> None:
    """Scores as probabilities, and the class or the labels that they stand for."""
    helper = onnx.helper
    several = not isinstance(target, Classes)
    del graph.output[:]
    if several:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(TRUE, np.float32), "half"))
        kind = onnx.TensorProto.INT64
        graph.node.extend(
            [
                helper.make_node("Sigmoid", ["output"], ["probabilities"]),
                helper.make_node("Greater", ["probabilities", "half"], ["there"]),
                helper.make_node("Cast", ["there"], ["label"], to=kind),
            ]
        )
    else:
        classes = onnx.numpy_helper.from_array(_plain(target.classes), "classes")
        kind = classes.data_type
        graph.initializer.append(classes)
        graph.node.extend(
            [
                helper.make_node("Softmax", ["output"], ["probabilities"], axis=1),
                helper.make_node("ArgMax", ["output"], ["number"], axis=1, keepdims=0),
                helper.make_node("Gather", ["classes", "number"], ["label"]),
            ]
        )
    shape = ["N", target.outputs]
    graph.output.append(helper.make_tensor_value_info("label", kind, shape if several else ["N"]))
    graph.output.append(helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, shape))


def _plain(classes: np.ndarray) -> np.ndarray:
    """Classes of a dtype that ONNX has: integers as int64, names as strings."""
    if classes.dtype.kind in "iu":
        return classes.astype(np.int64)
    return classes.astype(object) if classes.dtype.kind in "UOST" else classes
