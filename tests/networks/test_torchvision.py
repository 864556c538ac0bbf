"""The architectures beside torchvision's definitions: its weights, in order, give the same scores.

In float64: random weights give scores in which roundings of float32 show, in both libraries alike.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import networks
from minidl.layers.walk import walk

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.witness, pytest.mark.filterwarnings("ignore")]

Case = tuple[str, dict[str, Any], dict[str, Any], int]
CASES: dict[str, Case] = {
    "alexnet": ("alexnet", {}, {}, 70),
    "vgg11": ("vgg11", {}, {}, 32),
    "vgg11, norm": ("vgg11_bn", {"norm": True}, {}, 40),
    "vgg16, norm": ("vgg16_bn", {"norm": True}, {}, 32),
    "resnet18": ("resnet18", {}, {}, 65),
    "resnet34": ("resnet34", {}, {}, 64),
    "resnet50": ("resnet50", {}, {}, 64),
    "resnext50": ("resnext50_32x4d", {}, {}, 64),
    "squeezenet1_1": ("squeezenet1_1", {}, {}, 67),
    "densenet121": ("densenet121", {}, {}, 64),
    "googlenet": ("googlenet", {}, {"aux_logits": False, "init_weights": False}, 67),
    "inception_v3": ("inception_v3", {}, {"aux_logits": False, "init_weights": False}, 80),
    "mobilenet_v2": ("mobilenet_v2", {}, {}, 65),
    "mobilenet_v2, width 0.5": ("mobilenet_v2", {"width": 0.5}, {"width_mult": 0.5}, 64),
    "mobilenet_v2, width 1.4": ("mobilenet_v2", {"width": 1.4}, {"width_mult": 1.4}, 64),
    "mobilenet_v3_small": ("mobilenet_v3_small", {}, {}, 65),
    "mobilenet_v3_small, width 0.75": ("mobilenet_v3_small", {"width": 0.75}, {"width_mult": 0.75}, 64),
    "shufflenet_v2": ("shufflenet_v2_x1_0", {}, {}, 66),
    "mnasnet": ("mnasnet1_0", {}, {}, 65),
    "efficientnet_b0": ("efficientnet_b0", {}, {}, 66),
    "regnet_y_400mf": ("regnet_y_400mf", {}, {}, 65),
    "convnext_tiny": ("convnext_tiny", {}, {}, 66),
}
"""torchvision's name, settings of ours and of theirs, height of the images."""

LARGE = ("alexnet", "vgg")
"""Float32 will do for these: their chains are short, their weights many."""


@pytest.fixture(scope="module")
def definitions() -> Iterator[Any]:
    """torchvision's models; its operators for boxes need not be compiled."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two teams of threads wait for each other
    library = None
    try:
        from torchvision import models
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models
    yield models
    torch.set_num_threads(threads)
    del library  # the operator is there as long as this is


def torch_arrays(module: Any) -> Iterator[Any]:
    """Parameters and running statistics layer by layer; what a block owns comes behind what is inside it."""
    for _, child in sorted(module.named_children(), key=lambda pair: pair[0] == "proj"):  # RegNet's shortcut
        yield from torch_arrays(child)
    yield from module.parameters(recurse=False)
    yield from (buffer for buffer in module.buffers(recurse=False) if buffer.ndim)


def own_arrays(model: minidl.Model) -> Iterator[np.ndarray]:
    for layer in walk(model):
        if not layer.children():
            yield from (parameter.data for parameter in layer.parameters())
            yield from layer.buffers().values()


def randomise(module: Any) -> None:
    """Weights that keep the scale of the maps, and normalisations that do something."""
    for part in module.modules():
        if getattr(part, "running_var", None) is not None:
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
        for parameter in part.parameters(recurse=False):
            if parameter.ndim in (2, 4):
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5)
            elif parameter.ndim == 3:  # ConvNeXt's factors of each channel
                parameter.uniform_(0.2, 0.5)
            elif "Norm" in type(part).__name__:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 0.1)


def carry(module: Any, model: minidl.Model) -> None:
    theirs, ours = list(torch_arrays(module)), list(own_arrays(model))
    assert len(ours) == len(theirs)
    for array, tensor in zip(ours, theirs):
        given = tensor.detach().numpy()
        assert [size for size in array.shape if size > 1] == [size for size in given.shape if size > 1]
        array[...] = given.reshape(array.shape)


@pytest.mark.parametrize("name", CASES)
def test_scores_with_their_weights(name: str, definitions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours, settings, side = CASES[name]
    dtype, close = ("float32", 1e-4) if name.startswith(LARGE) else ("float64", 1e-9)
    for draw in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "trunc_normal_"):
        monkeypatch.setattr(torch.nn.init, draw, lambda tensor, *_, **__: tensor)  # first weights are drawn below
    monkeypatch.setattr("minidl.layers.initializers.draw", lambda who, init, shape, *_: np.zeros(shape, np.float32))
    with torch.no_grad():
        torch.manual_seed(1)
        module = getattr(definitions, theirs)(weights=None, num_classes=10, **settings)
        module = module.eval().to(getattr(torch, dtype))
        randomise(module)
        model = getattr(networks, name.partition(",")[0])(classes=10, dtype=dtype, **ours)
        carry(module, model)
        x = np.random.default_rng(2).standard_normal((2, 3, side, side + 3)).astype(dtype)
        expected = module(torch.from_numpy(x)).numpy()
    largest = np.abs(expected).max()
    assert largest > 1e-3
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * largest  # the scores depend on the images
    assert np.abs(model.predict(x) - expected).max() < close * largest


GRADIENTS = ("densenet121", "googlenet", "mobilenet_v3_small", "shufflenet_v2", "efficientnet_b0", "regnet_y_400mf",
             "convnext_tiny")  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_a_training_step(name: str, definitions: Any) -> None:
    theirs, ours, settings, _ = CASES[name]
    torch.manual_seed(3)
    module = getattr(definitions, theirs)(weights=None, num_classes=10, **settings).double().train()
    with torch.no_grad():
        randomise(module)
    model = getattr(networks, name)(classes=10, dtype="float64", **ours)
    carry(module, model)
    for part in module.modules():
        if type(part).__name__ in ("Dropout", "StochasticDepth"):
            part.p = 0.0
    for layer in walk(model):
        if isinstance(layer, minidl.Dropout):
            layer.rate = 0.0
    rng = np.random.default_rng(4)
    x, dy = rng.standard_normal((4, 3, 64, 72)), rng.standard_normal((4, 10))
    module(torch.from_numpy(x)).backward(torch.from_numpy(dy))
    model.forward(x, train=True)
    model.backward(dy)
    expected = [tensor.grad.numpy() for tensor in torch_arrays(module) if tensor.requires_grad]
    found = [parameter.grad for parameter in model.parameters()]
    assert len(found) == len(expected)
    for i, (gradient, other) in enumerate(zip(found, expected)):
        largest = max(np.abs(other).max(), 1e-6)
        assert np.abs(gradient - other.reshape(gradient.shape)).max() < 1e-6 * largest, i
