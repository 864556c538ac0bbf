"""The published networks as ONNX files: ONNX Runtime computes the same, and they come back."""

from __future__ import annotations

import inspect
import re
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
    loaded = onnx.load(tmp_path / "m.onnx")
    assert_near(loaded.predict(x), wanted)
    found, hand = steps(loaded), steps(model)
    until = hand.index(["AvgPool2D"]) if name in TAILS else None
    assert found[:until] == hand[:until]


TAILS = ("alexnet", "convnext_tiny", "vgg11", "vgg16")
"""Here several operators stand for an average to more than 1 x 1, or a transpose of 1 x 1 maps for a reshape."""


def steps(model: minidl.Model) -> list[list[str]]:
    """What a batch goes through: kinds of layers, of those that are fused together; no file has a Dropout."""
    text = [repr(step).replace("AdaptiveAvgPool2D", "AvgPool2D") for step in model.plan()]
    kinds = [re.findall(r"[A-Z]\w+(?=\()", step) for step in text]
    return [step for step in kinds if step != ["Dropout"]]
