"""One file a family of layers, each function of it in the table."""

from minidl.onnx.writers import capsule, norm, shape, value, window
from minidl.onnx.writers.table import WRITERS, Write, Writer, opens, writer

__all__ = ["WRITERS", "Write", "Writer", "capsule", "norm", "opens", "shape", "value", "window", "writer"]
