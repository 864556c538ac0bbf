"""Networks to and from ONNX files, which other programs read and write; needs the extra `onnx`."""

from __future__ import annotations

from minidl.onnx.loading import check, load
from minidl.onnx.save import save

__all__ = ["check", "load", "save"]
