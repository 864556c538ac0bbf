"""Small ONNX graphs, and the answer of ONNX Runtime to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl

helper = pytest.importorskip("onnx.helper")
FLOAT = 1


def operator(kind: str, inputs: list[str], outputs: list[str], name: str = "", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, outputs, name=name or f"{kind} of {outputs[0]}", **attributes)


def file(
    nodes: list[Any],
    constants: dict[str, Any] | None = None,
    x: tuple[Any, ...] = ("N", 3, 6, 5),
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
    dtype: int = FLOAT,
) -> bytes:
    """A graph of the input x and these nodes, as a file's bytes."""
    from onnx import numpy_helper

    made = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", dtype, x)],
            [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    found: bytes = made.SerializeToString()
    return found


def images(n: int, shape: tuple[int, ...] = (3, 6, 5), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def expected(content: bytes, x: np.ndarray) -> list[np.ndarray]:
    """What ONNX Runtime gives."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": x})
    return found


def agrees(content: bytes, x: np.ndarray, tolerance: float = 2e-6, **settings: Any) -> minidl.Model:
    """The model of a file, after a look that it gives what ONNX Runtime does, for N = 1 and all images."""
    model = minidl.onnx.load(content, **settings)
    for given in (x[:1], x):
        found = model.predict(given)
        wanted = expected(content, given)
        for a, b in zip(found if isinstance(found, list) else [found], wanted):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(initial=0), 1))
    return model
