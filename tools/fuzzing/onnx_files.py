"""The target "onnx": files on which `minidl.onnx.load` crashes, hangs, or takes too much memory.

Files come from ONNX's own cases of one operator and from layers that minidl has saved. Each is changed mostly as a
protobuf (fields set to odd values, parts left out, doubled, moved, nodes of another file put behind), else as bytes.

Beyond what is a failure of any target: memory that Python and numpy take at once of more than ten times the file,
`ROOM`, and `EACH` for each operator, as layers are Python objects, however small their arrays; and a network that was
loaded, if its maps are small, and does not compute.
"""

from __future__ import annotations

import math
import random
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from onnx import ModelProto

import minidl
from fuzzing.changes import DECIMAL, WHOLE, change_bytes
from fuzzing.target import Target
from minidl import onnx
from minidl.onnx.computed import TABLE as CONSTANT
from minidl.onnx.operators import TABLE
from minidl.onnx.tensors import GROWTH
from minidl.support.several import Several

ROOM = 2**17
EACH = 2**13
"""Bytes."""
SMALL = 2**16
"""Numbers that a network's maps may have, for it to be run."""


# ---- one file --------------------------------------------------------------------------------------------------------


def read(content: bytes) -> None:
    """Load it, and compute; any failure is an exception."""
    found, most = loaded(content)
    if most > GROWTH * len(content) + ROOM:
        proto = parsed(content)
        nodes = len(proto.graph.node) if proto is not None else 0
        found, most = loaded(content)  # modules that the first time has imported do not count
        allowed = GROWTH * len(content) + ROOM + EACH * nodes
        assert most <= allowed, f"{most} bytes for a file of {len(content)}"
    if isinstance(found, ValueError):
        raise found
    compute(found)


def loaded(content: bytes) -> tuple[minidl.Model | ValueError, int]:
    """The model or the refusal, and the bytes that were taken at once."""
    tracemalloc.start()
    try:
        return onnx.load(content), tracemalloc.get_traced_memory()[1]
    except ValueError as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compute(model: minidl.Model) -> None:
    """Two images of ones through a small network."""
    (graph,) = model.layers
    maps = list(graph.input_shapes)

    def call(name: str, layer: Any, *shapes: Any) -> Any:
        after = layer.join_shape(*((1, *shape) for shape in shapes))[1:]
        found = [after] if layer.outputs == 1 else after
        maps.extend(found)
        return Several(found) if layer.outputs > 1 else after

    graph.flow(call, *graph.input_shapes)
    work = model.multiply_adds(graph.input_shapes if graph.merges else graph.input_shapes[0])
    if sum(map(math.prod, maps)) > SMALL or work > SMALL * 64:
        return
    x = [np.ones((2, *shape), np.float32) for shape in graph.input_shapes]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model.predict(x if graph.merges else x[0])


# ---- changes ---------------------------------------------------------------------------------------------------------


def parsed(content: bytes) -> Any:
    """The protobuf, or None."""
    proto = ModelProto()
    try:
        proto.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError):
        return None
    return proto


def fields(message: Any) -> Iterator[tuple[Any, FieldDescriptor]]:
    """All fields that are set, of the message and those inside it."""
    for field, value in message.ListFields():
        yield message, field
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                yield from fields(part)


def scalar(rng: random.Random, field: FieldDescriptor, value: Any, names: list[str]) -> Any:
    """Another value of a field."""
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice(DECIMAL)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            content = bytearray(value or b"\0")
            content[rng.randrange(len(content))] = rng.choice((0, 1, 2, 127, 128, 255))
            return bytes(content)
        return rng.choice([*TABLE, *CONSTANT]) if field.name == "op_type" else rng.choice([*names, ""])
    number = rng.choice((*WHOLE, value + 1, value - 1))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice([each.number for each in field.enum_type.values])
    bits = 63 if kind == FieldDescriptor.CPPTYPE_INT64 else 31
    return max(min(number, 2**bits - 1), 0 if field.cpp_type in UNSIGNED else -(2**bits))


UNSIGNED = (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)


def change_field(rng: random.Random, proto: Any) -> None:
    """One field becomes something else."""
    there = list(fields(proto))
    if not there:
        return
    message, field = rng.choice(there)
    names = [name for node in proto.graph.node for name in (*node.input, *node.output)] or ["x"]
    value = getattr(message, field.name)
    inside = field.type == FieldDescriptor.TYPE_MESSAGE
    if not field.is_repeated:
        if inside or rng.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, scalar(rng, field, value, names))
        return
    place, what = rng.randrange(len(value)), rng.randrange(4)
    if what == 0:
        del value[place]
    elif what == 1 and inside:
        value.add().CopyFrom(value[place])
    elif what == 1:
        value.append(value[place])
    elif what == 2:
        parts = list(value)
        rng.shuffle(parts)
        message.ClearField(field.name)
        getattr(message, field.name).extend(parts)
    elif not inside:
        value[place] = scalar(rng, field, value[place], names)


def behind(rng: random.Random, proto: Any, other: Any) -> None:
    """The nodes of another file, the first of them reading a value of this one."""
    names = [name for node in proto.graph.node for name in node.output]
    if not names or other is None or not other.graph.node or len(proto.graph.node) > 20:
        return
    mark = f"{len(proto.graph.node)}."
    own = {port.name for port in other.graph.input} - {tensor.name for tensor in other.graph.initializer}
    source = rng.choice(names)
    for tensor in other.graph.initializer:
        proto.graph.initializer.add().CopyFrom(tensor)
        proto.graph.initializer[-1].name = mark + tensor.name
    for node in other.graph.node:
        made = proto.graph.node.add()
        made.CopyFrom(node)
        made.input[:] = [source if name in own else name and mark + name for name in node.input]
        made.output[:] = [name and mark + name for name in node.output]
    del proto.graph.output[1:]
    if proto.graph.output and names:
        proto.graph.output[0].name = next((name for name in proto.graph.node[-1].output if name), names[-1])


def change(rng: random.Random, content: bytes, files: list[bytes]) -> bytes:
    """Another file."""
    proto = parsed(content) if rng.random() < 0.9 else None
    if proto is None or not proto.graph.node:
        return change_bytes(rng, content, files)
    try:
        if rng.random() < 0.2:
            behind(rng, proto, parsed(rng.choice(files)))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            change_field(rng, proto)
    except UnicodeDecodeError:  # a name that no text can be, which protobuf reads but does not take
        pass
    found: bytes = proto.SerializeToString()
    return found


# ---- files to begin with ---------------------------------------------------------------------------------------------


def cases() -> Iterator[bytes]:
    """ONNX's cases of one operator, their later inputs as constants."""
    from onnx import numpy_helper
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for case in found:
        nodes = case.model.graph.node if case.model is not None else []
        if len(nodes) != 1 or not (nodes[0].op_type in TABLE or nodes[0].op_type in CONSTANT):
            continue
        proto = ModelProto()
        proto.CopyFrom(case.model)
        for port, array in list(zip(proto.graph.input, case.data_sets[0][0]))[1:]:
            if isinstance(array, np.ndarray):
                proto.graph.initializer.append(numpy_helper.from_array(array, port.name))
        yield proto.SerializeToString()


def saved(folder: Path) -> Iterator[bytes]:
    """Small networks that minidl has written."""
    parts: list[list[Any]] = [
        [minidl.Conv2D(3, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2)],
        [minidl.ConvTranspose2D(3, 2, 2, stride=2), minidl.PRelu(2), minidl.Upsample(2, mode="bilinear")],
        [minidl.Conv2D(3, 4, 1), minidl.Silu(), minidl.GlobalAvgPool2D(), minidl.Linear(4, 2), minidl.Softmax()],
        [minidl.Pad2D(1, "reflect"), minidl.GroupNorm(1, 3), minidl.PixelUnshuffle(2), minidl.ChannelShuffle(3)],
        [minidl.LayerNorm((3, 6, 6)), minidl.Gelu(), minidl.AdaptiveAvgPool2D(2), minidl.Flatten()],
    ]
    for layers in parts:
        onnx.save(minidl.Model(*layers), folder / "part.onnx", (3, 6, 6))
        yield (folder / "part.onnx").read_bytes()
    (folder / "part.onnx").unlink()


def target(folder: Path) -> Target:
    """The target; `folder` is its own."""
    return Target("onnx", lambda: [*cases(), *saved(folder)], read, (ValueError,), "ONNX bytes", change)
