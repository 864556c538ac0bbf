"""A network as an ONNX file, for the programs that run those: ONNX Runtime, OpenVINO, ncnn, browsers, phones.

`flow` of the network is followed, unfused; each layer becomes a node or a few (see `minidl.onnx.writers`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers.base import Layer
from minidl.layers.input_shapes import input_shapes, known_shape
from minidl.model import Model
from minidl.onnx import writers as table
from minidl.onnx.draft import HIGHEST, LOWEST, Draft, Value
from minidl.onnx.file import content, number
from minidl.onnx.way import Way
from minidl.support import atomic
from minidl.support.several import Several, Shape

WHO = "minidl.onnx.save"


def save(
    model: Layer,
    path: str | os.PathLike[str],
    input_shape: Shape | Sequence[Shape] | None = None,
    opset: int | None = None,
    uint8_input: bool = False,
    *,
    writers: Mapping[type[Layer], table.Write] | None = None,
) -> None:
    """Write a network as one ONNX file that computes what `predict` does, for any number of images.

    model: a `Model`, or any layer. path: a file's name, "~" being the home folder; what was there is replaced at once
    when the new file is complete. input_shape: of one image, (C, H, W) or (F,), a list of them for several inputs; None
    for that of the last input, or of the graph. opset: version of ONNX's operators, 13 to 17; None for the lowest that
    has those of the layers. uint8_input: whether the file takes pixels as uint8 and scales them by the model's mean and
    std, as `predict` does; else it takes floats of the model's dtype, as they are.

    Inputs are called "input" ("input_0", "input_1", ...), outputs "output" likewise; their first size is "N". Weights
    have the names that the model gives them; `mean`, `std` and `class_names` stand in the file's metadata, as JSON.
    Running statistics are used, `Dropout` is left out. The file has the model's dtype: ONNX Runtime computes most
    operators in float32 alone.

    writers: for classes of layers that are not minidl's, functions (draft, layer, *inputs) -> name of the output, where
    inputs are names with a `shape`, that of one image, and `draft.add("Mul", x, 2.0)` adds a node, see
    `minidl.onnx.draft.Draft.add`.

    Raises ImportError without the `onnx` package; ValueError that names all layers that cannot be written, or need a
    later opset; ValueError or TypeError for other arguments, OSError if the file cannot be written. What was there
    before is then as it was.
    """
    own = _checked(model, path, opset, uint8_input, writers)
    shapes = _input_shapes(model, input_shape)
    parameters = {name: parameter.data for name, parameter in model.named_parameters().items()}
    draft = Draft(np.float32 if model.dtype is None else model.dtype, parameters | model.buffers())
    inputs = [Value(draft.name(name), shape) for name, shape in zip(_names("input", len(shapes)), shapes)]
    found = Way(WHO, draft, own).follow(model, _scaled(draft, model, inputs) if uint8_input else inputs)
    values = list(found) if isinstance(found, Several) else [found]
    version = _version(draft, opset)
    outputs = draft.finish(values, _names("output", len(values)))
    atomic.replace(path, [content(WHO, draft, model, inputs, outputs, version, uint8_input)])


def _checked(model: Any, path: Any, opset: Any, uint8_input: Any, writers: Any) -> dict[type[Layer], table.Write]:
    if not isinstance(model, Layer):
        raise TypeError(f"{WHO}: model must be a minidl.Model or another layer, got {type(model).__name__}")
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{WHO}: path must be a file's name, got {path!r:.80}")
    atomic.check_folder(WHO, path)
    if opset is not None and not LOWEST <= checks.integer(WHO, "opset", opset, 1) <= HIGHEST:
        raise ValueError(f"{WHO}: opset must be {LOWEST} to {HIGHEST}, got {opset}")
    if uint8_input and not isinstance(model, Model):
        raise TypeError(f"{WHO}: uint8_input needs a minidl.Model, which has a mean and std, got {model.name}")
    own = dict(writers or {})
    for kind, write in own.items():
        if not (isinstance(kind, type) and issubclass(kind, Layer) and callable(write)):
            raise TypeError(f"{WHO}: writers must be functions by classes of layers, got {kind!r}: {write!r}")
    return own


def _names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{i}" for i in range(count)]


def _input_shapes(model: Layer, given: Any) -> list[Shape]:
    """Shape of an image of each input, checked by the layers."""
    shape = known_shape(model) if given is None else given
    if shape is None:
        raise ValueError(f"{WHO}: input_shape must be given, that of one image without N, for example (3, 32, 32)")
    return input_shapes(WHO, model, shape)


def _scaled(draft: Draft, model: Any, inputs: list[Value]) -> list[Value]:
    """Pixels as the model takes them, (x / 255 - mean) / std."""
    found = []
    for value in inputs:
        draft.place = str(value)
        scale, shift = model.scaling(np.empty((0, *value.shape), np.uint8))
        around = (1,) * (len(value.shape) - 1)
        x = draft.add("Cast", value, to=number(draft.dtype))
        for operator, array, nothing in (("Mul", scale, 1), ("Add", shift, 0)):
            if (array != nothing).any():
                one = (array == array[0]).all()
                x = draft.add(operator, x, array[0].reshape(()) if one else array.reshape(-1, *around))
        found.append(Value(x, value.shape))
    return found


def _version(draft: Draft, asked: int | None) -> int:
    needed = max(draft.needs.values(), default=LOWEST)
    if asked is None:
        return needed
    late = [f"{place} ({opset})" for place, opset in draft.needs.items() if opset > asked]
    if late:
        raise ValueError(f"{WHO}: opset must be at least {needed}, for {', '.join(late)}, got {asked}")
    return int(asked)
