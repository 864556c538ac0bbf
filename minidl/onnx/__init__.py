"""Networks to and from ONNX files, which other programs read and write; needs the extra `onnx`."""

__all__: list[str] = []
