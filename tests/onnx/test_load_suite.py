"""ONNX's own cases of each operator that is read: they pass, or stand in a table here with the reason."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("onnx.backend.test.loader")
from backend_of_onnx import Backend, node_cases

from minidl.onnx.operators import TABLE

FLOATS = (np.float16, np.float32, np.float64)
OUTSIDE = {
    "types": "what comes from images, and what comes out, are floats of 16, 32 or 64 bits",
    "dimensions": "values have at most 4 dimensions: windows go over one or two axes",
    "empty": "an image has at least one number",
    "images": "each image stays by itself: the first axis is that of the images, and constants are the same for all",
    "training": "files are run as for inference, and trained as minidl trains",
}
"""What docs/onnx.md says is not claimed, of any operator."""

MIXES = {
    "Concat": "axis_0|1d_axis|2d_axis_negative_2|3d_axis_negative_3",
    "Expand": "dim_changed",
    "Flatten": "_axis0|_axis2|flatten_axis3|negative_axis[124]",
    "Gather": "gather_0|negative_indices",
    "Gemm": "matrix_bias|transposeA|all_attributes",
    "LayerNormalization": "axis0|4d_axis_negative_4|3d_axis_negative_3|2d_axis_negative_2",
    "LogSoftmax": "axis_0",
    "MatMul": "1d_1d|1d_3d",
    "Pow": "types_float32_u?int",
    "ReduceMax": "default_axes",
    "ReduceMean": "default_axes",
    "ReduceSum": "default_axes",
    "Reshape": "reordered_all_dims|one_dim|negative_extended",
    "Slice": "slice$|neg_steps",
    "Softmax": "axis_0",
    "Split": "1d|default_axis",
    "Squeeze": "squeeze$",
    "Transpose": "default|permutations_[2345]",
    "Unsqueeze": "axis_0",
}
"""Cases, by a part of their names, that mix images or have another constant for each."""

TRAINING = {"BatchNormalization": "training_mode", "Dropout": "training_dropout(_default)?$"}

EXCLUDED = {
    "averagepool_2d_dilations": "means over windows with gaps",
    "matmul_bcast": "a second factor of more than two dimensions",
    "pow": "an exponent that comes from the images",
    "pow_bcast_array": "another exponent for each number",
    "pow_example": "an exponent that comes from the images",
    "resize_downsample_scales_cubic_align_corners": "corners of 3.2 places; ONNX Runtime and PyTorch: of 3, as here",
    "resize_downsample_scales_linear_align_corners": "corners of 2.4 places; ONNX Runtime and PyTorch: of 2, as here",
    "resize_downsample_sizes_nearest_not_smaller": "a scale by which a size is no whole number",
    "resize_tf_crop_and_resize": "parts of an image by coordinates",
    "resize_tf_crop_and_resize_axes_2_3": "parts of an image by coordinates",
    "resize_tf_crop_and_resize_axes_3_2": "parts of an image by coordinates",
    "resize_tf_crop_and_resize_extrapolation_value": "parts of an image by coordinates",
}
"""What is claimed, and does not run: each of these is refused by name, but for the corners."""
SHARE = 0.95
"""Of the cases that are claimed, at least so many pass."""


def named(table, kind, name):
    return kind in table and re.search(table[kind], name) is not None


def outside(kind, name, inputs, outputs):
    """Why a case is not claimed, a key of OUTSIDE; None for one that is."""
    if not inputs or not all(
        isinstance(array, np.ndarray) and array.dtype in FLOATS for array in (inputs[0], *outputs)
    ):
        return "types"
    if inputs[0].ndim > 4:
        return "dimensions"
    if not all(array.size for array in inputs[:1] + outputs):
        return "empty"
    if named(TRAINING, kind, name):
        return "training"
    return "images" if named(MIXES, kind, name) else None


def cases():
    """The cases of the operators of the table."""
    return [case for case in node_cases() if case[0] in TABLE]


@pytest.mark.filterwarnings("ignore:Model. input. floats from:UserWarning")
def test_cases_of_one_operator():
    passed, failed = [], []
    for kind, name, case, inputs, outputs in cases():
        if outside(kind, name, inputs, outputs):
            continue
        try:
            found = Backend.prepare(case.model).run(inputs)
            assert len(found) == len(outputs), name
            for a, b in zip(found, outputs):
                assert a.shape == b.shape, name
                np.testing.assert_allclose(a, b, rtol=case.rtol, atol=max(case.atol, 1e-6), err_msg=name)
        except (ValueError, AssertionError) as error:
            if name not in EXCLUDED:
                raise
            failed.append(f"{name}: {error}")
        else:
            passed.append(name)
    assert not EXCLUDED.keys() & set(passed), "they pass: they need not be excluded"
    assert len(passed) >= SHARE * (len(passed) + len(failed)), "\n".join(failed)


def test_cases_that_mix_images_are_refused():
    """So that the list of names hides none that would run."""
    found = [each for each in cases() if outside(each[0], each[1], *each[3:]) == "images"]
    assert {kind for kind, *_ in found} == MIXES.keys()
    for _, name, case, inputs, _ in found:
        try:
            Backend.prepare(case.model).run(inputs)
        except ValueError as error:
            assert "minidl cannot run it" in str(error), name  # noqa: PT017 -- pytest.raises does not say which case
        else:
            pytest.fail(f"{name} runs")


def test_reasons():
    counts = dict.fromkeys([*OUTSIDE, None], 0)
    for kind, name, _, inputs, outputs in cases():
        counts[outside(kind, name, inputs, outputs)] += 1
    assert all(counts.values())
    assert counts[None] >= 290
