"""Search for files on which `minidl.onnx.load` crashes, hangs, or takes too much memory.

    python tools/fuzz_onnx.py [--seconds 600] [--out fuzz] [FILE ...]

Needs the packages atheris, onnx and pytest; `make fuzz` brings them. Files come from ONNX's own cases of one operator,
from layers that minidl has saved, and from what the search itself keeps in the folder OUT/corpus. Each is changed:
mostly as a protobuf (fields set to odd values, parts left out, doubled, moved, nodes of another file put behind), else
bit by bit. What has found new lines of minidl's code is changed further. With FILEs given these alone are tried.

A file is a failure where `load` warns, but to its user, or raises anything but ValueError; where it
takes longer than ten seconds of the processor; where the memory that Python and numpy take at once is more than ten
times the file, `ROOM`, and `EACH` for each operator, as layers are Python objects, however small their arrays; and
where a network that was loaded, if its maps are small, does not compute. Ends with an error at the first failure, whose
file is written to OUT.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["minidl.onnx", "minidl.layers", "minidl.kernels.checks"]):
    import minidl
    from minidl import onnx

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from onnx import ModelProto

from minidl.onnx.computed import TABLE as CONSTANT
from minidl.onnx.operators import TABLE
from minidl.onnx.tensors import GROWTH
from minidl.support.several import Several

ROOM = 2**17
EACH = 2**13
"""Bytes."""
LONGEST = 2**14
"""Bytes that a file may have."""
SMALL = 2**16
"""Numbers that a network's maps may have, for it to be run."""
SECONDS = 10
"""Of the processor; libFuzzer itself counts those of a clock, which pass on a busy machine, too."""
WHOLE = (0, 1, 2, 3, 4, 5, 7, 16, 17, 127, 255, 1000, 2**20, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -1, -2, -7)
DECIMAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 3e38, -3e38, math.inf, -math.inf, math.nan)


# ---- one file --------------------------------------------------------------------------------------------------------


def attempt(content: bytes) -> None:
    """Load it; any failure is an exception."""
    start = time.process_time()
    model, most = loaded(content)
    assert time.process_time() - start < SECONDS, "it takes too long"
    if most > GROWTH * len(content) + ROOM:
        proto = parsed(content)
        nodes = len(proto.graph.node) if proto is not None else 0
        model, most = loaded(content)  # modules that the first time has imported do not count
        allowed = GROWTH * len(content) + ROOM + EACH * nodes
        assert most <= allowed, f"{most} bytes for a file of {len(content)}"
    if model is not None:
        compute(model)


def loaded(content: bytes) -> tuple[minidl.Model | None, int]:
    """The model, None if the file is refused, and the bytes that were taken at once."""
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)  # what load and Model say to a user
            return onnx.load(content), tracemalloc.get_traced_memory()[1]
    except ValueError as error:
        if "ONNX bytes" not in str(error):
            raise RuntimeError("the message does not name the file") from error
        return None, tracemalloc.get_traced_memory()[1]
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


def change(rng: random.Random, proto: Any) -> None:
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
    if not names or not other.graph.node or len(proto.graph.node) > 20:
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


def mutator(files: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    """What atheris calls for another file."""

    def mutated(content: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        proto = parsed(content) if rng.random() < 0.9 else None
        if proto is None or not proto.graph.node:
            changed: bytes = atheris.Mutate(content, len(content) + 16)
            return changed[:most]
        try:
            if rng.random() < 0.2:
                behind(rng, proto, parsed(rng.choice(files)))
            for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
                change(rng, proto)
        except UnicodeDecodeError:  # a name that no text can be, which protobuf reads but does not take
            pass
        found: bytes = proto.SerializeToString()
        return found if len(found) <= most else content[:most]

    return mutated


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


def main() -> None:
    """Search, or try the files that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("fuzz"))
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    given = parser.parse_args()
    for file in given.files:
        attempt(file.read_bytes())
    if given.files:
        return
    corpus = given.out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    files = [content for content in [*cases(), *saved(given.out)] if len(content) <= LONGEST]
    for i, content in enumerate(files):
        (corpus / f"first {i}").write_bytes(content)
    settings = {"max_total_time": given.seconds, "timeout": 30 * SECONDS, "max_len": LONGEST, "rss_limit_mb": 2048}
    arguments = [f"-{key}={value}" for key, value in settings.items()]
    atheris.Setup(
        [sys.argv[0], *arguments, f"-artifact_prefix={given.out}/", str(corpus)],
        attempt,
        custom_mutator=mutator(files),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
