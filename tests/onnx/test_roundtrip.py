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


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_comes_back(name: str, tmp_path: Path) -> None:
    build, shape = LAYERS[name]
    layer = randomised(build())
    onnx.save(layer, tmp_path / "m.onnx", shape)
    back = onnx.load(tmp_path / "m.onnx")
    for n in (0, 1, 5):
        x = np.abs(images(n, *shape)) + 0.1 if name == "Div" else images(n, *shape)
        wanted = layer.twin().forward(x)
        if n:
            assert_near(back.predict(x), wanted)
        else:
            assert back.predict(x).shape == wanted.shape


def test_a_model_that_turns_its_images_first_takes_them_as_before(tmp_path: Path) -> None:
    """Other programs' files that begin so take (N, C, H, W). With equal sizes the numbers would be wrong, silently."""
    model = randomised(minidl.Model(minidl.Transpose((0, 3, 1, 2)), minidl.Conv2D(4, 2, 3)))
    onnx.save(model, tmp_path / "m.onnx", (4, 4, 4))
    x = images(3, 4, 4, 4)
    assert_near(onnx.load(tmp_path / "m.onnx").predict(x), model.predict(x))


def test_what_was_no_parameter_is_not_trained(tmp_path: Path) -> None:
    """The weights of means and of other sizes, a constant for each channel, the ones of a normalisation without any."""
    model = minidl.Model(
        minidl.Conv2D(3, 4, 1), minidl.AdaptiveAvgPool2D((3, 4)), minidl.Upsample(2.5, mode="bicubic", antialias=True),
        minidl.Arithmetic("*", np.arange(1.0, 5).reshape(4, 1, 1)), minidl.InstanceNorm2D(4), minidl.GroupNorm(2, 4),
        minidl.Flatten(), minidl.Linear(280, 2),
        mean=[0.1, 0.2, 0.3], std=[0.3, 0.2, 0.1],
    )  # fmt: skip
    for uint8 in (False, True):
        onnx.save(model, tmp_path / "m.onnx", (3, 7, 9), uint8_input=uint8)
        back = onnx.load(tmp_path / "m.onnx")
        trained = [parameter.data.shape for parameter in back.parameters() if not parameter.frozen]
        assert trained == [parameter.data.shape for parameter in model.parameters()]


def test_a_function_behind_a_softmax_of_pixels(tmp_path: Path) -> None:
    """The file has the pixels in one axis meanwhile."""
    model = minidl.Model(minidl.Softmax((2, 3)), minidl.Relu(), minidl.LogSoftmax((1, 2)), minidl.LeakyRelu())
    onnx.save(model, tmp_path / "m.onnx", (3, 4, 5))
    x = images(2, 3, 4, 5)
    assert_near(onnx.load(tmp_path / "m.onnx").predict(x), model.predict(x))


def test_doubles_come_back(tmp_path: Path) -> None:
    model = randomised(
        minidl.Model(
            minidl.Conv2D(3, 4, 3), minidl.BatchNorm2D(4), minidl.Affine(4), minidl.PRelu(4),
            minidl.LayerNorm((4, 6, 4)), minidl.Arithmetic("*", np.linspace(0, 1, 24).reshape(6, 4)), minidl.Flatten(),
            minidl.Linear(96, 3),
            dtype="float64",
        )
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data *= 1 + 1e-10
    onnx.save(model, tmp_path / "m.onnx", (3, 8, 6))
    back = onnx.load(tmp_path / "m.onnx")
    assert back.dtype == np.float64
    for a, b in zip(back.parameters(), model.parameters()):
        np.testing.assert_array_equal(a.data, b.data)
    x = images(2, 3, 8, 6).astype(np.float64)
    np.testing.assert_allclose(back.predict(x), model.predict(x), rtol=0, atol=1e-13)


def test_pixels_and_weights_come_back(tmp_path: Path) -> None:
    model = minidl.Model(
        minidl.Conv2D(3, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten(),
        minidl.Linear(4 * 8 * 6, 3), mean=[0.1, 0.2, 0.3], std=0.5,
    )  # fmt: skip
    onnx.save(randomised(model), tmp_path / "m.onnx", (3, 8, 6), uint8_input=True)
    back = onnx.load(tmp_path / "m.onnx")
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), np.uint8)
    assert_near(back.predict(x), model.predict(x))
