"""ONNX's own cases, of one operator each, that go with images: floats, with N as the first of 2 to 4 dimensions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("onnx.backend.test.loader")
from backend_of_onnx import Backend
from onnx.backend.test.loader import load_model_tests

from minidl.onnx.operators import TABLE

EXCLUDED = {
    "test_training_dropout_default": "its random numbers are those of one generator",
    "test_training_dropout": "its random numbers are those of one generator",
    "test_resize_downsample_scales_linear_align_corners": "its positions follow from a size that is not whole",
}
FEWEST = 180
"""Cases that pass; the others mix images, or are refused by name."""


def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for case in found:
        nodes = case.model.graph.node if case.model is not None else []
        if len(nodes) != 1 or nodes[0].op_type not in TABLE or case.name in EXCLUDED:
            continue
        for inputs, outputs in case.data_sets:
            arrays = [*inputs, *outputs]
            if not inputs or not all(isinstance(array, np.ndarray) for array in arrays):
                continue
            floats = inputs[0].dtype in (np.float32, np.float64) and all(array.dtype.kind == "f" for array in outputs)
            if floats and inputs[0].ndim in (2, 3, 4) and all(array.ndim > 1 for array in outputs):
                yield case, inputs, outputs


def test_cases_of_one_operator():
    passed, refused = [], []
    for case, inputs, outputs in cases():
        try:
            found = Backend.prepare(case.model).run(inputs)
        except ValueError as error:
            refused.append(f"{case.name}: {error}")
            continue
        assert len(found) == len(outputs), case.name
        for a, b in zip(found, outputs):
            assert a.shape == b.shape, case.name
            np.testing.assert_allclose(a, b, rtol=case.rtol, atol=max(case.atol, 1e-6), err_msg=case.name)
        passed.append(case.name)
    assert len(passed) >= FEWEST, "\n".join(refused)
