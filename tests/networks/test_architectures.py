"""The well-known networks: published sizes, shapes, small images, files. (`test_torchvision` compares the layers.)"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import networks

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"

PUBLISHED: dict[str, tuple[dict[str, Any], int, tuple[int, int, int], float]] = {
    "lenet5": ({}, 61_706, (1, 32, 32), 0.0004),
    "alexnet": ({}, 61_100_840, (3, 224, 224), 0.71),
    "vgg11": ({}, 132_863_336, (3, 224, 224), 7.61),
    "vgg16": ({}, 138_357_544, (3, 224, 224), 15.47),
    "vgg16, norm=True": ({"norm": True}, 138_365_992, (3, 224, 224), 15.47),
    "resnet18": ({}, 11_689_512, (3, 224, 224), 1.81),
    "resnet34": ({}, 21_797_672, (3, 224, 224), 3.66),
    "resnet50": ({}, 25_557_032, (3, 224, 224), 4.09),
    "resnext50": ({}, 25_028_904, (3, 224, 224), 4.23),
    "squeezenet1_1": ({}, 1_235_496, (3, 224, 224), 0.35),
    "densenet121": ({}, 7_978_856, (3, 224, 224), 2.83),
    "googlenet": ({}, 6_624_904, (3, 224, 224), 1.50),
    "inception_v3": ({}, 27_161_264 - 3_326_696, (3, 299, 299), 5.71),
    "mobilenet_v2": ({}, 3_504_872, (3, 224, 224), 0.30),
    "mobilenet_v3_small": ({}, 2_542_856, (3, 224, 224), 0.06),
    "shufflenet_v2": ({}, 2_278_604, (3, 224, 224), 0.14),
    "mnasnet": ({}, 4_383_312, (3, 224, 224), 0.31),
    "efficientnet_b0": ({}, 5_288_548, (3, 224, 224), 0.39),
    "regnet_y_400mf": ({}, 4_344_144, (3, 224, 224), 0.40),
    "convnext_tiny": ({}, 28_589_128, (3, 224, 224), 4.46),
    "unet": ({}, 31_037_698 - 65, (3, 256, 256), 0.0),
    "unet, classes=2": ({"classes": 2}, 31_037_698, (3, 256, 256), 0.0),
    "unet, channels=1, norm=False": ({"channels": 1, "norm": False}, 31_030_593, (1, 256, 256), 0.0),
    "espcn": ({}, 22_729, (1, 100, 100), 0.0),
}
"""Settings, parameters, input, 10^9 multiply-adds (0: unpublished). torchvision's, but for LeNet, U-Net, ESPCN.

The auxiliary classifier of Inception v3 has 128 * 768 + 2 * 128 + 768 * 128 * 25 + 2 * 768 + 768 * 1000 + 1000
parameters. U-Net's are those of the common implementations with padding: with normalisation, three channels and two
classes (a class has 64 weights and a bias), or without, one channel and one class.
"""

SMALL = [name for name in networks.__all__ if "small" in inspect.signature(getattr(networks, name)).parameters]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """First weights of zero: a hundred million random numbers take seconds."""
    monkeypatch.setattr("minidl.layers.initializers.draw", lambda who, init, shape, *_: np.zeros(shape, np.float32))


def parameters(model: minidl.Model) -> int:
    return sum(parameter.data.size for parameter in model.parameters())


def test_every_network_has_its_published_size() -> None:
    assert {name.partition(",")[0] for name in PUBLISHED} == set(networks.__all__)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str) -> None:
    options, count, shape, work = PUBLISHED[name]
    builder = getattr(networks, name.partition(",")[0])
    model = builder(**options)
    assert parameters(model) == count
    assert model.name == builder.__name__
    found = model.multiply_adds(shape)
    if work:
        assert found / 1e9 == pytest.approx(work, abs=0.0051 if work > 0.01 else 0.0001)
    size = " x ".join(map(str, shape))
    text = f"{found / 1e6:,.1f}" if found < 1e8 else f"{found / 1e6:,.0f}"
    assert f"| `{name}` | {count:,} | {size} | {text} |" in PAGE.read_text(encoding="utf-8")
    if not options:
        assert f"{count:,} parameters" in inspect.getdoc(builder)


SIDES = {"lenet5": (1, 28, 28), "inception_v3": (3, 28, 30)}


@pytest.mark.parametrize("name", SMALL)
def test_small_images_train(name: str) -> None:
    shape = SIDES.get(name, (3, 32, 32))
    wide = {"alexnet": 0.05, "vgg11": 0.05, "vgg16": 0.05}.get(name, 0.25)
    model = getattr(networks, name)(classes=3, channels=shape[0], width=wide, small=True, rng=1)
    x = np.random.default_rng(2).standard_normal((4, *shape)).astype(np.float32)
    assert model.output_shape(shape) == (3,)
    for parameter in model.parameters():
        if parameter.name.endswith("bias") and len(parameter.data) <= 8:
            parameter.data[...] = 2  # of the few units that squeeze, all may be dead for these images
    before = model.parameters()[0].data.copy()
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.01))
    history = trainer.fit((x, np.array([0, 1, 2, 1])), epochs=1, batch_size=4, seed=0)
    assert np.isfinite(history["train_loss"]).all()
    assert (model.parameters()[0].data != before).any()
    for parameter in model.parameters():
        assert np.isfinite(parameter.data).all(), parameter.name
        assert parameter.grad.any(), parameter.name
    assert np.isfinite(model.predict(x)).all()


MAPS = {
    "alexnet": 3, "vgg11": 1, "vgg16": 1, "squeezenet1_1": 8, "convnext_tiny": 4, "densenet121": 4, "googlenet": 4,
    "mobilenet_v2": 4, "mobilenet_v3_small": 4, "shufflenet_v2": 4, "mnasnet": 4, "efficientnet_b0": 4,
    "regnet_y_400mf": 4, "resnet18": 4, "resnet34": 4, "resnet50": 4, "resnext50": 4,
}  # fmt: skip
"""Side of the last map of a small network for images of 32 x 32."""


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", MAPS)
def test_last_maps_of_small_networks(name: str) -> None:
    shape: Any = (3, 32, 32)
    maps = []
    for layer in getattr(networks, name)(width=0.05, small=True).layers:
        shape = layer.output_shape(shape)
        if len(shape) == 3 and not isinstance(layer, minidl.AdaptiveAvgPool2D):
            maps.append(shape[1:])
        elif isinstance(layer, minidl.AdaptiveAvgPool2D):
            break
    assert maps[-1] == (MAPS[name], MAPS[name])


def test_segmentation_and_super_resolution() -> None:
    model = networks.unet(classes=2, channels=1, width=0.125, depth=3, rng=3)
    assert model.output_shape((1, 24, 40)) == (2, 24, 40)
    with pytest.raises(ValueError, match="Concat"):
        model.output_shape((1, 20, 24))
    assert networks.espcn(2, channels=3).output_shape((3, 7, 5)) == (3, 14, 10)


def test_options_are_the_models() -> None:
    model = networks.resnet18(
        classes=2, width=0.1, dtype="float64", mean=0.5, std=0.25, class_names=["cat", "dog"], name="mine", rng=1
    )
    assert (model.dtype, model.name, model.class_names) == (np.dtype("float64"), "mine", ("cat", "dog"))
    assert (float(model.mean), float(model.std)) == (0.5, 0.25)
    with pytest.raises(TypeError, match="colour"):
        networks.resnet18(width=0.1, colour=True)
    for width in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="resnet18: width must be positive"):
            networks.resnet18(width=width)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2", "convnext_tiny", "unet"])
def test_seeds_and_files(name: str, tmp_path: Path) -> None:
    builder = getattr(networks, name)
    model, same, other = builder(width=0.1, rng=5), builder(width=0.1, rng=5), builder(width=0.1, rng=6)
    assert all((a.data == b.data).all() for a, b in zip(model.parameters(), same.parameters()))
    assert any((a.data != b.data).any() for a, b in zip(model.parameters(), other.parameters()))
    model.save(tmp_path / "network")
    x = np.random.default_rng(1).standard_normal((2, 3, 64, 64)).astype(np.float32)
    assert minidl.load_model(tmp_path / "network").predict(x).tobytes() == model.predict(x).tobytes()


def test_they_come_with_their_first_use() -> None:
    code = (
        "import sys, minidl; assert 'minidl.networks' not in sys.modules; minidl.networks;"
        "assert 'minidl.networks.resnet' not in sys.modules; minidl.networks.resnet18;"
        "assert 'minidl.networks.vgg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
