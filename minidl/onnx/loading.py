"""A network of another program as a model of minidl's."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl import layers
from minidl.layers import initializers
from minidl.layers.node import Node
from minidl.model import Model
from minidl.onnx.build import Build, Value
from minidl.onnx.computed import TABLE as CONSTANT
from minidl.onnx.computed import Budget
from minidl.onnx.constant import Constant
from minidl.onnx.fold import fold
from minidl.onnx.operators import TABLE
from minidl.onnx.order import ordered
from minidl.onnx.read import File, Operator, Port, read
from minidl.onnx.refused import MISFITS, Refused, refused
from minidl.onnx.views import View

Path = str | os.PathLike[str] | bytes
Shapes = int | Sequence[int] | Mapping[str, Sequence[int]]


class Refusal(NamedTuple):
    """What of a file cannot be run. attribute: of the operator, or its input; "" for the operator as it is."""

    operator: str
    version: int
    node: str
    attribute: str
    rule: str

    def __str__(self) -> str:
        """One line."""
        where = f", {self.attribute}" if self.attribute else ""
        version = f" (version {self.version})" if self.version else ""
        return f"{self.operator}{version}, node {self.node!r}{where}: {self.rule}"


def load(path: Path, input_shape: Shapes | None = None) -> Model:
    """The network in an ONNX file as a `Model`, to run, to train further, to save.

    path: a file, or its bytes. input_shape: of one image, without N, (C, H, W) or (F,), instead of what the file says;
    with several inputs a mapping from their names. N is free in any case. An input that a file takes as (N, H, W, C)
    and turns first is given as (N, C, H, W) here, but where `save` has written the file; one that it takes as (N, C, L)
    is given as images (N, C, 1, L), its input_shape is still (C, L). Where an input is uint8 in the file, images of
    uint8 mean the same here.

    Weights become float32, those of a file of doubles alone a float64 model's. Parameters have the names that they have
    in the file where these say "layer.weight"; weights that operators of the same settings read are one layer's, and
    where the settings differ a UserWarning says that they train apart.

    Raises OSError if the file cannot be read, ImportError without the package `onnx`; ValueError that names the file
    if it is damaged, or if anything in it cannot be run: then with all that `check` finds, in one message.
    """
    model, refusals, who = _load(path, input_shape)
    if model is None:
        lines = "\n".join(f"  {refusal}" for refusal in refusals)
        raise ValueError(f"{who}: minidl cannot run it:\n{lines}")
    return model


def check(path: Path, input_shape: Shapes | None = None) -> list[Refusal]:
    """What keeps `load` from running a file: operator, version, node, attribute and rule of each; empty if nothing.

    Arguments and errors for damaged files are those of `load`.
    """
    return _load(path, input_shape)[1]


def _load(path: Path, input_shape: Shapes | None) -> tuple[Model | None, list[Refusal], str]:
    file = read(path)
    operators = ordered(file)
    readers: dict[str, int] = {}
    for name in [*file.outputs, *(name for operator in operators for name in operator.inputs if name)]:
        readers[name] = readers.get(name, 0) + 1
    ports = [port for port in file.inputs if port.name in readers]
    shapes = _shapes(file, ports, input_shape)
    batches = {port.shape[0] for port in ports if port.shape}
    build = Build(readers, batches.pop() if len(batches) == 1 else None, _dtype(file, ports), file.own)
    refusals: list[Refusal] = []
    values: dict[str, Value | None] = {}
    inputs: list[Node] = []
    for port in ports:
        try:
            node, values[port.name] = _input(port, shapes.get(port.name), _turned(file, port, operators))
            inputs.append(node)
        except MISFITS as error:
            values[port.name] = None
            refusals.append(Refusal("input", 0, port.name, *_rule(error)))
    budget, left = Budget(file.left), dict(readers)
    pixels = {port.name for port in ports if port.dtype == np.uint8}
    # Layers may spread one number of the file to any size of an image; what is too large for the dtype is infinite.
    with initializers.limit(file.most // 4), np.errstate(over="ignore", invalid="ignore"):
        for operator in operators:
            given = [_value(file, values, name) for name in operator.inputs]
            try:
                _check_pixels(operator, pixels)
                found = _called(build, budget, operator, given)
            except MISFITS as error:
                found = []
                refusals.append(Refusal(operator.kind, operator.version, operator.name, *_rule(error)))
            for i, name in enumerate(operator.outputs):
                if name:
                    values[name] = found[i] if i < len(found) else None
                    build.called(name, values[name])
            operator.attributes.clear()
            for name in filter(None, operator.inputs):
                left[name] -= 1
                if not left[name]:  # weights that were read go, so that they are not twice in memory
                    values.pop(name, None)
                    file.constants.pop(name, None)
    outputs: list[Node] = []
    for name in file.outputs:
        try:
            value = _value(file, values, name)
            if isinstance(value, Constant):
                raise Refused("", "it does not depend on an input")
            if value is not None:
                outputs.append(build.node(value))
        except MISFITS as error:
            refusals.append(Refusal("output", 0, name, *_rule(error)))
    if refusals:
        return None, refusals, file.who
    apart = build.sources.tie(outputs)
    if apart:
        warnings.warn(
            f"{file.who}: operators of different settings read the same weights, each trains its own here:"
            f" {', '.join(apart[:5])}",
            stacklevel=3,
        )
    return _model(file, ports, build.dtype, inputs, outputs), refusals, file.who


def _dtype(file: File, ports: list[Port]) -> np.dtype:
    """float64 for a file of doubles alone: inputs, where they are floats, and weights; else float32."""
    found = {port.dtype for port in ports if port.dtype is not None and port.dtype.kind == "f"}
    found |= {array.dtype for array in file.constants.values() if array.dtype.kind == "f" and array.ndim}
    return np.dtype(np.float64 if found == {np.dtype(np.float64)} else np.float32)


OWN_CONSTANT = re.compile(r"/\w+_constant(_\d+)?$")
"""How `save` calls what is no parameter of a layer, as the scale of pixels or the weights of a mean."""


def _value(file: File, values: dict[str, Value | None], name: str) -> Value | None:
    """A value by its name; None for "", and for what a refused operator should have given."""
    if name not in values and name in file.constants:
        trained = not (file.own and OWN_CONSTANT.search(name))
        values[name] = Constant(file.constants[name], trained=name if trained else "")
    return values.get(name)


def _called(build: Build, budget: Budget, operator: Operator, given: list[Value | None]) -> list[Value]:
    """The operator's outputs; none where an operator before it was refused."""
    kind = operator.kind
    if kind not in TABLE and kind not in CONSTANT:
        raise Refused("", _unknown(operator))
    if any(name and value is None for name, value in zip(operator.inputs, given)):
        return []
    if kind == "CastLike" and len(given) == 2 and not isinstance(given[1], Constant):
        given = [given[0], Constant(np.zeros((), np.float32))]  # which what comes from the images is
    if all(value is None or isinstance(value, Constant) for value in given):
        constants = [value for value in given if value is None or isinstance(value, Constant)]
        found: list[Value] = list(fold(operator, constants, budget))
    elif kind not in TABLE:
        raise Refused("", "it is supported for constants alone")
    else:
        since, function = TABLE[kind]
        if operator.version < since:
            raise Refused("", f"it is supported from version {since} on")
        try:
            result = function(build, operator, given)
        except IndexError:
            raise Refused("", f"inputs are missing, it has {len(given)}") from None
        found = result if isinstance(result, list) else [result]
    if operator.unasked():
        raise Refused(", ".join(operator.unasked()), "the attribute is not supported")
    for name in operator.outputs[len(found) :]:
        if build.readers.get(name):
            raise Refused(name, f"only its first {len(found)} outputs are supported")
    return found


MOVES = (
    "Concat",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Shape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""What may happen to uint8 numbers before they are floats."""


def _check_pixels(operator: Operator, pixels: set[str]) -> None:
    """Refuse what computes with uint8 images as they are; pixels: values that are such, to which more are added."""
    if not pixels.isdisjoint(operator.inputs) and operator.kind != "Cast":
        if operator.kind not in MOVES:
            raise Refused("", "images of uint8 must be cast to floats before anything is computed")
        pixels.update(operator.outputs)


def _unknown(operator: Operator) -> str:
    """Why an operator is not there."""
    kind = operator.kind
    if kind in ("If", "Loop", "Scan"):
        return "control flow is not supported"
    if kind.startswith(("Sequence", "Optional")) or kind in ("SplitToSequence", "ConcatFromSequence"):
        return "sequences are not supported"
    if "." in kind:
        return f"the domain {kind.rpartition('.')[0]} is not supported"
    return "the operator is not supported"


def _rule(error: Exception) -> tuple[str, str]:
    """Attribute and rule."""
    found = refused(error)
    return found.attribute, found.rule


def _shapes(file: File, ports: list[Port], given: Shapes | None) -> dict[str, Any]:
    """`input_shape` by the inputs' names."""
    names = [port.name for port in ports]
    if given is None:
        return {}
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"{file.who}: input_shape names {unknown[0]!r}, the inputs are {', '.join(names)}")
        return dict(given)
    if len(names) != 1:
        raise ValueError(f"{file.who}: input_shape must be a mapping from the names {', '.join(names)} to shapes")
    return {names[0]: given}


LAST_TO_FIRST = (0, 3, 1, 2)


def _turned(file: File, port: Port, operators: Sequence[Operator]) -> bool:
    """Whether an input is (N, H, W, C) and turned first; in a file of minidl's own that is a layer of the model."""
    uses = [operator for operator in operators if port.name in operator.inputs]
    return not file.own and all(use.kind == "Transpose" and use.attributes.get("perm") == LAST_TO_FIRST for use in uses)


def _input(port: Port, given: Any, turned: bool) -> tuple[Node, Value]:
    """The node of an input, and the value that the operators read; turned: to (N, C, H, W), before all else."""
    if port.kind != "a tensor":
        raise Refused("", f"an input must be a tensor, it is {port.kind}")
    if port.dtype is None or not (port.dtype.kind == "f" or port.dtype == np.uint8):
        raise Refused("", f"an input must be floats or uint8, it is {port.dtype or 'of another type'}")
    if given is None:
        if port.shape is None or None in port.shape[1:]:
            raise Refused("", f"its shape {port.shape} does not say the size of an image: give input_shape")
        if len(port.shape) < 2:
            raise Refused("", f"its shape must begin with the number of images, and go on, got {port.shape}")
        if port.shape[0] is not None and port.shape[0] < 1:
            raise Refused("", f"its sizes must be at least 1, got {port.shape}")
        H, *rest = port.shape[1:]
        given = (rest[-1], H, *rest[:-1]) if turned and len(port.shape) == 4 else port.shape[1:]
    if isinstance(given, (tuple, list)) and len(given) == 2:  # images of one row, as the layers take them
        C, L = given
        node = layers.Input((C, 1, L), name=port.name)
        return node, View(node, (C, L))
    node = layers.Input(given, name=port.name)
    if turned and len(node.shape) == 3:
        C, H, W = node.shape
        return node, View(node, (C, H, W), (1, 2, 0))
    return node, node


def _metadata(file: File) -> dict[str, Any]:
    """What a file that minidl has written says of the scale of uint8 images, and of the scores."""
    if not file.own:
        return {}
    try:
        found = {key: json.loads(file.metadata[key]) for key in METADATA if key in file.metadata}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.who}: its metadata are damaged: {error}") from error
    return found


METADATA = ("mean", "std", "class_names", "multi_label")
"""Arguments of `Model` that `save` writes, as JSON."""


def _model(file: File, ports: list[Port], dtype: np.dtype, inputs: list[Node], outputs: list[Node]) -> Model:
    settings = {**_metadata(file), "dtype": dtype}
    if any(port.dtype == np.uint8 for port in ports):  # the file scales them itself
        settings.update(mean=None, std=1 / 255)
    try:
        return Model(layers.Graph(inputs, outputs), **settings)
    except MISFITS as error:
        raise ValueError(f"{file.who}: {error}") from error
