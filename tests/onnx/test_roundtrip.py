"""Out and back: `load` of what `save` has written computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks.test_load import LAYERS
from onnx_run import assert_near, images, needs_onnx, randomised

import minidl
from minidl import onnx

pytestmark = [needs_onnx, pytest.mark.usefixtures("plain_backend")]


CAPSULES = {"CapsuleLength", "CapsuleNetwork", "Capsules", "PrimaryCapsules"}
"""What stays out: sums over capsules are of three axes, for which the operators have no layers."""


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - CAPSULES))
def test_every_layer_comes_back(name: str, tmp_path: Path) -> None:
    build, shape = LAYERS[name]
    layer = randomised(build())
    onnx.save(layer, tmp_path / "m.onnx", shape)
    back = onnx.load(tmp_path / "m.onnx")
    for n in (0, 1, 5):
        x = np.abs(images(n, *shape)) + 0.1 if name == "Div" else images(n, *shape)
        wanted = layer.twin().forward(x)
        x = wanted if name == "Transpose" else x  # a file that begins so is taken for one of images (N, H, W, C)
        if n:
            assert_near(back.predict(x), wanted)
        else:
            assert back.predict(x).shape == wanted.shape


def test_pixels_and_weights_come_back(tmp_path: Path) -> None:
    model = minidl.Model(
        minidl.Conv2D(3, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten(),
        minidl.Linear(4 * 8 * 6, 3), mean=[0.1, 0.2, 0.3], std=0.5,
    )  # fmt: skip
    onnx.save(randomised(model), tmp_path / "m.onnx", (3, 8, 6), uint8_input=True)
    back = onnx.load(tmp_path / "m.onnx")
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), np.uint8)
    assert_near(back.predict(x), model.predict(x))
