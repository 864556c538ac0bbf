"""One file a family of layers, each function of it in the table."""

from minidl.onnx.writers import (
    activation,
    arithmetic,
    boxes,
    capsule,
    elementwise,
    local_response,
    norm,
    reduce,
    resize,
    shape,
    window,
)
from minidl.onnx.writers.table import WRITERS, Write, Writer, opens, writer

__all__ = [
    "WRITERS",
    "Write",
    "Writer",
    "activation",
    "arithmetic",
    "boxes",
    "capsule",
    "elementwise",
    "local_response",
    "norm",
    "opens",
    "reduce",
    "resize",
    "shape",
    "window",
    "writer",
]
