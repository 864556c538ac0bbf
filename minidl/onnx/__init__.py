"""Networks to and from ONNX files, which other programs read and write; needs the extra `onnx`."""

from __future__ import annotations

from minidl.onnx.save import save

__all__ = ["save"]
