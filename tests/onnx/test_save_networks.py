"""The published networks as ONNX files: ONNX Runtime computes the same, and they come back."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from onnx_run import assert_near, images, needs_onnx, read, run

import minidl
from minidl import networks, onnx

pytestmark = needs_onnx

NAMES = [name for name in networks.__all__ if inspect.isfunction(getattr(networks, name)) and name != "load_model"]
SHAPES = {"lenet5": (1, 32, 32), "espcn": (1, 32, 32), "inception_v3": (3, 107, 107)}


@pytest.mark.parametrize("name", NAMES)
def test_published_networks(name: str, tmp_path: Path) -> None:
    minidl.seed(0)
    build, shape, rng = getattr(networks, name), SHAPES.get(name, (3, 96, 96)), np.random.default_rng(0)
    narrow = "width" in inspect.signature(build).parameters
    model = build(width=0.25) if narrow else build()
    for key, array in model.buffers().items():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if "var" in key else 0.1 * rng.standard_normal(array.shape)
    onnx.save(model, tmp_path / "m.onnx", shape)
    assert read(tmp_path / "m.onnx").opset_import[0].version == (17 if name == "convnext_tiny" else 13)
    x = images(2, *shape)
    wanted = model.predict(x)
    assert_near(run(tmp_path / "m.onnx", x)[0], wanted)
    assert_near(onnx.load(tmp_path / "m.onnx").predict(x), wanted)
