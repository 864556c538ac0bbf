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


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def floats(*shape: int, seed: int = 1, low: float | None = None) -> np.ndarray:
    """Normal numbers; low: their absolute values, and that much more."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return values if low is None else (np.abs(values) + low).astype(np.float32)


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


def one(
    kind: str,
    *constants: Any,
    shape: tuple[int, ...] = (3, 6, 5),
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
    tolerance: float = 2e-6,
    x: np.ndarray | None = None,
    **attributes: Any,
) -> minidl.Model:
    """The model of one operator of x and constants, None for an input that is left out; it agrees with ONNX Runtime."""
    names = ["x", *(f"c{i}" for i in range(len(constants)))]
    given = dict(zip(names[1:], constants))
    inputs = [name if name == "x" or given[name] is not None else "" for name in names]
    given = {name: array for name, array in given.items() if array is not None}
    content = file([operator(kind, inputs, list(outputs), **attributes)], given, ("N", *shape), outputs, opset)
    return agrees(content, images(3, shape) if x is None else x, tolerance)
