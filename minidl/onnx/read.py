"""A file as plain values: operators, constants, inputs and outputs. The only place that knows the format.

Nothing in a file is believed before it is checked: sizes against the data that are there, external data against the
folder and the size of their file. What is not to be used later (functions, training information) is not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl.onnx.refused import Refused
from minidl.onnx.tensors import BFLOAT16, DTYPES, NOT_REGULAR, Store, opened

LARGEST = 2**31 - 1
"""Bytes that a protobuf message may have."""

BATCH = 13, 1_000_003
"""Two numbers of images, both primes: a size that is the one for the first and the other for the second is N.

The second is large, so that the smaller one of N and 20 is not taken for N.
"""


class Operator:
    """One node of the file. kind: the operator's name, with its domain where it is not ONNX's own.

    version: since which the operator is as it is in this file; opset: the file's. name: the node's, or its first
    output's. inputs, outputs: names, "" for what is left out, at the end not at all; many: how many outputs there are,
    these included. attributes: by name; numbers, texts, tuples of these, arrays, or `Unread`.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attributes: dict[str, Any] | None = None,
        opset: int = 0,
        version: int = 0,
    ) -> None:
        self.kind, self.name = kind, name
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.many = len(self.outputs)
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()
        while self.outputs and not self.outputs[-1]:
            self.outputs.pop()
        self.attributes = dict(attributes or {})
        self.opset, self.version = opset, version or opset
        self._asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute's value. Raises `Refused` if it is of a kind that is not read."""
        self._asked.add(name)
        value = self.attributes.get(name, default)
        if isinstance(value, Unread):
            raise Refused(name, f"it holds {value.what}, which is not read")
        return value

    def unasked(self) -> list[str]:
        """Attributes that nobody has asked for."""
        return sorted(self.attributes.keys() - self._asked)


class Unread:
    """An attribute's value that is not read: graphs, sequences, sparse tensors. what: which, in words."""

    def __init__(self, what: str) -> None:
        self.what = what


class Port:
    """An input or output of the network. shape: with N, None where the file does not say; dtype: None if unknown."""

    def __init__(self, name: str, shape: tuple[int | None, ...] | None, dtype: np.dtype | None, kind: str) -> None:
        self.name, self.shape, self.dtype, self.kind = name, shape, dtype, kind


class File:
    """What `read` gives. who: how messages call it. most: bytes that constants may take together, and weights that
    layers make of them; left: what the file's own tensors leave of these to constants that are computed.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self.operators: list[Operator] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[Port] = []
        self.outputs: list[str] = []
        self.metadata: dict[str, str] = {}
        self.producer = ""
        self.most = self.left = 0

    @property
    def own(self) -> bool:
        """Whether minidl has written it."""
        return self.producer == "minidl"


def read(path: str | os.PathLike[str] | bytes) -> File:
    """The network in a file, or in its bytes.

    Raises OSError if the file cannot be read, ImportError without the package `onnx`, ValueError that names the file
    and the rule for what is not a whole, consistent ONNX file.
    """
    proto_class, decode_error, version_of = _onnx()
    who, folder, content = _content(path)
    proto = proto_class()
    size = len(content)
    try:
        proto.ParseFromString(content)
    except (decode_error, RecursionError, ValueError) as error:
        raise ValueError(f"{who}: not an ONNX file, or cut off") from error
    del content
    if not proto.HasField("graph") or not proto.graph.node:
        raise ValueError(f"{who}: not an ONNX file, or cut off: it holds no graph with nodes")
    if proto.functions:
        names = ", ".join(sorted({function.name for function in proto.functions})[:5])
        raise ValueError(f"{who}: functions of its own are not supported, it has {names}")
    opsets = {_own(entry.domain): int(entry.version) for entry in proto.opset_import}
    if "" not in opsets:
        raise ValueError(f"{who}: it does not say its opset (opset_import), or is cut off")
    if not 1 <= opsets[""] < 10_000:
        raise ValueError(f"{who}: its opset must be at least 1, got {opsets['']}")
    file = File(who)
    store = Store(who, folder, size)
    graph = proto.graph
    if graph.sparse_initializer:
        raise ValueError(f"{who}: sparse initialisers are not supported")
    for tensor in graph.initializer:
        if tensor.name in file.constants:
            raise ValueError(f"{who}: initialiser {tensor.name!r} stands twice")
        file.constants[tensor.name] = store.array(tensor, f"initialiser {tensor.name!r}")
    for node in graph.node:
        domain = _own(node.domain)
        for text in (node.op_type, *(each.name for each in node.attribute)):
            if not isinstance(text, str):  # bytes, where they are no UTF-8
                raise ValueError(f"{who}: node {node.name!r}: the name {text!r} is not text")
        kind = f"{domain}.{node.op_type}" if domain else node.op_type
        outputs = [str(name) for name in node.output]
        name = node.name or next((output for output in outputs if output), "") or kind
        opset = opsets.get(domain, 0)
        attributes = {
            each.name: _value(store, each, f"node {name!r}, attribute {each.name!r}") for each in node.attribute
        }
        version = version_of(node.op_type, opset) if not domain else opset
        file.operators.append(Operator(kind, str(name), map(str, node.input), outputs, attributes, opset, version))
    file.inputs = [_port(port) for port in graph.input if port.name not in file.constants]
    file.outputs = [str(port.name) for port in graph.output]
    file.metadata = {str(entry.key): str(entry.value) for entry in proto.metadata_props}
    file.producer = str(proto.producer_name)
    file.most, file.left = store.most, store.most - store.taken
    return file


def _onnx() -> tuple[Any, type[Exception], Any]:
    """ModelProto, the error of its parser, and a function that gives the version of an operator."""
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto, defs
    except ImportError as error:
        raise ImportError("minidl.onnx needs the package onnx: pip install 'minidl[onnx]'") from error

    def version(kind: str, opset: int) -> int:
        try:
            return int(defs.get_schema(kind, min(opset, defs.onnx_opset_version()), "").since_version)
        except Exception:  # it knows no such operator
            return opset

    return ModelProto, DecodeError, version


def _content(path: str | os.PathLike[str] | bytes) -> tuple[str, str | None, bytes]:
    """Name for messages, folder (None for bytes), and all bytes."""
    if isinstance(path, (bytes, bytearray, memoryview)):
        content = bytes(path)
        if not 0 < len(content) <= LARGEST:
            raise ValueError(f"ONNX bytes: there must be 1 to {LARGEST}, got {len(content)}")
        return "ONNX bytes", None, content
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"minidl.onnx: path must be a path or bytes, got {type(path).__name__}")
    name = os.path.expanduser(path)
    who = f"ONNX file {os.fspath(path)!r}"
    try:
        file = opened(name, links=True)
    except OSError as error:
        if error.errno not in NOT_REGULAR and not os.path.isdir(name):
            raise
        raise ValueError(f"{who}: it must be a regular file") from error
    with file:
        size = os.fstat(file.fileno()).st_size  # of what is open: the name may be another file's by now
        if not 0 < size <= LARGEST:
            raise ValueError(f"{who}: it must have 1 to {LARGEST} bytes, got {size}")
        return who, os.path.dirname(os.path.abspath(name)), file.read(size)


def _own(domain: str) -> str:
    return "" if domain == "ai.onnx" else str(domain)


def _value(store: Store, attribute: Any, what: str) -> Any:
    """A number, text, tuple of these, array, or what is not read."""
    kind = attribute.type
    if kind == 1:
        return _decimal(attribute.f)
    if kind == 2:
        return int(attribute.i)
    if kind == 3:
        return attribute.s.decode("utf-8", "replace")
    if kind == 4:
        return store.array(attribute.t, what)
    if kind == 6:
        return tuple(map(_decimal, attribute.floats))
    if kind == 7:
        return tuple(int(number) for number in attribute.ints)
    if kind == 8:
        return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
    kinds = {5: "a graph (control flow)", 10: "graphs (control flow)", 9: "several tensors", 11: "a sparse tensor"}
    return Unread(kinds.get(kind, "a value of an unknown kind"))


def _decimal(number: float) -> float:
    """A float32 as the shortest number that it stands for: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(number)))


def _port(port: Any) -> Port:
    which = port.type.WhichOneof("value")
    if which != "tensor_type":
        return Port(
            str(port.name), None, None, {None: "of no type", "sequence_type": "a sequence"}.get(which, str(which))
        )
    tensor = port.type.tensor_type
    dtype = DTYPES[tensor.elem_type][1] if tensor.elem_type in DTYPES else None
    if tensor.elem_type == BFLOAT16:
        dtype = np.dtype(np.float32)
    shape: tuple[int | None, ...] | None = None
    if tensor.HasField("shape"):
        sizes = tensor.shape.dim
        shape = tuple(int(size.dim_value) if size.WhichOneof("value") == "dim_value" else None for size in sizes)
    return Port(str(port.name), shape, dtype, "a tensor")
