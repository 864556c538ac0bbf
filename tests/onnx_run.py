"""ONNX files as other programs see them; tests that need those programs skip where they are not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import onnx

SIZES = (1, 3, 7)
"""Numbers of images."""

HAS = {name: importlib.util.find_spec(name) is not None for name in ("onnxruntime", "openvino", "pnnx", "ncnn")}


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip a test where one of them is not installed."""
    missing = [name for name in packages if not HAS[name]]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


needs_onnx = needs("onnxruntime")
needs_openvino = needs("onnxruntime", "openvino")
needs_pnnx = needs("onnxruntime", "pnnx", "ncnn")


def read(path: Path) -> Any:
    """The file's content, after the checker of the onnx package has seen it."""
    import onnx.checker

    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert not {value.name for value in file.graph.input} & {array.name for array in file.graph.initializer}
    ends = [*file.graph.input, *file.graph.output]
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in ends] == ["N"] * len(ends)
    assert (file.ir_version, file.opset_import[0].version) in [(7, 13), (7, 14), (8, 15), (8, 16), (8, 17)]
    return file


def weights(file: Any) -> dict[str, np.ndarray]:
    """Its initialisers."""
    from onnx import numpy_helper

    return {array.name: numpy_helper.to_array(array) for array in file.graph.initializer}


def operators(file: Any) -> list[str]:
    """Those of its nodes."""
    return [node.op_type for node in file.graph.node]


def run(path: Path, *x: np.ndarray) -> list[np.ndarray]:
    """What ONNX Runtime computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([value.name for value in session.get_inputs()], x)))


def randomised(layer: minidl.Layer, seed: int = 0) -> minidl.Layer:
    """The layer with parameters and statistics that no initialisation gives."""
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        shape = parameter.data.shape
        many = len(shape) > 1  # weights, not numbers of channels
        drawn = rng.standard_normal(shape) / np.sqrt(parameter.data[0].size) if many else rng.uniform(-1, 2, shape)
        parameter.data[...] = drawn
    for array in layer.buffers().values():
        array[...] = rng.uniform(0.5, 2, array.shape)
    return layer


def images(n: int, *shape: int, seed: int = 1, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(dtype)


def assert_near(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    """Equal shapes, and differences below `tolerance` of the largest value."""
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def assert_saved(
    layer: minidl.Layer, path: Path, *shapes: tuple[int, ...], positive: bool = False, **options: Any
) -> Any:
    """Save the layer and run the file beside it, for several numbers of images, also positive ones; its content."""
    onnx.save(layer, path, list(shapes) if layer.merges else shapes[0], **options)
    file = read(path)
    for n in SIZES:
        x = [images(n, *shape, seed=i) for i, shape in enumerate(shapes)]
        x = [np.abs(array) + 0.1 for array in x] if positive else x
        wanted = layer.twin().forward(x if layer.merges else x[0])
        wanted = wanted if isinstance(wanted, list) else [wanted]
        found = run(path, *x)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted):
            assert_near(a, b)
    return file
