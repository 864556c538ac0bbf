"""Networks that PyTorch has written: their scores against ONNX Runtime, their gradients against PyTorch."""

from __future__ import annotations

import io
import sys
import types
import warnings

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
runtime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.witness

SIZES = {"alexnet": 224, "vgg11_bn": 224, "inception_v3": 96}
NETWORKS = [
    *("alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "squeezenet1_1", "densenet121", "googlenet"),
    *("inception_v3", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "mnasnet1_0", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny"),
]


@pytest.fixture(scope="module")
def models():
    """torchvision's networks, also where its compiled operators do not go with this PyTorch."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    library = None
    try:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:  # it is there
        pass
    try:
        from torchvision import models as found
    except Exception as error:
        pytest.skip(f"torchvision: {error}")
    yield found
    del library


def network(models, name):
    """With random weights, and running statistics away from 0 and 1."""
    torch.manual_seed(0)
    settings = {"googlenet": {"aux_logits": False, "init_weights": False}, "inception_v3": {"init_weights": False}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(models, name)(weights=None, num_classes=10, **settings.get(name, {}))
    return away_from_the_first_ones(made)


def away_from_the_first_ones(made):
    """The module, to predict, with running statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return made.eval()


def exported(made, size, whole, dynamo=False):
    """The file; whole: with normalisation as it is, else folded into convolutions. dynamo: by the newer exporter."""
    stream = io.BytesIO()
    settings = {"dynamo": dynamo, "input_names": ["x"]}
    if dynamo:
        settings |= {"dynamic_shapes": ({0: torch.export.Dim("N")},), "optimize": not whole, "verbose": False}
    else:
        settings["dynamic_axes"] = {"x": {0: "N"}}
        if whole:
            settings |= {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(made, (torch.zeros(2, 3, size, size),), None if dynamo else stream, **settings)
    if dynamo:
        program.save(stream)
    return stream.getvalue()


HEAVY = ("alexnet", "vgg11_bn")
"""Their weights are many; what they consist of is in the others."""
NEWER = [name for name in NETWORKS if name != "convnext_tiny"]
"""By the newer exporter its last average is read as one row of all images, for `as_strided`, which is refused."""
CASES = [
    *(pytest.param(name, False, marks=[pytest.mark.heavy] if name in HEAVY else []) for name in NETWORKS),
    *(pytest.param(name, True, marks=[] if name == "squeezenet1_1" else [pytest.mark.heavy]) for name in NEWER),
]
"""By the newer exporter one, which takes ten times as long, and the U-Net below."""


@pytest.mark.parametrize(("name", "dynamo"), CASES)
def test_scores(models, name, dynamo):
    size = SIZES.get(name, 64)
    pieces = dynamo and name == "shufflenet_v2_x1_0"  # torch.chunk is a sequence where the newer exporter does not fold
    content = exported(network(models, name), size, name != "squeezenet1_1" and not pieces, dynamo)
    model = minidl.onnx.load(content)
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for n in (1, 2, 5):
        x = np.random.default_rng(n).standard_normal((n, 3, size, size)).astype(np.float32)
        wanted = session.run(None, {"x": x})[0]
        assert np.abs(model.predict(x) - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_parameters_have_the_names_of_the_file(models):
    made = network(models, "mobilenet_v2")
    model = minidl.onnx.load(exported(made, 64, whole=True))
    wanted = {}
    for name, module in made.named_modules():
        kinds = {"gamma": "weight", "beta": "bias"} if isinstance(module, torch.nn.BatchNorm2d) else {}
        for own in ("weight", "bias", "gamma", "beta"):
            value = getattr(module, kinds.get(own, own), None)
            if value is not None and (own in kinds or not kinds):
                wanted[f"0.{name}.{own}"] = value.detach().numpy()
    found = {name: parameter.data for name, parameter in model.named_parameters().items()}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def assert_same_step(model, made, x, target, loss, theirs):
    """Loss and gradients of a training step, in float64."""
    model, made = model.astype("float64"), made.double().train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    value = loss.forward(model.forward(x, train=True), target)
    model.backward(loss.backward())
    other = theirs(made(torch.from_numpy(x)), torch.from_numpy(target))
    other.backward()
    assert value == pytest.approx(other.item(), rel=1e-6)
    names = {"gamma": "weight", "beta": "bias"}
    left = dict(made.named_parameters())
    for own, parameter in model.named_parameters().items():
        stem, _, last = own.removeprefix("0.").rpartition(".")
        wanted = left.pop(f"{stem}.{names.get(last, last)}").grad.numpy()
        assert np.abs(parameter.grad - wanted).max() <= 1e-4 * max(np.abs(wanted).max(), 1e-6), own
    assert not left


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_gradients_of_a_training_step(models, name):
    made = network(models, name)
    model = minidl.onnx.load(exported(made, 64, whole=True))
    x, target = np.random.default_rng(0).standard_normal((4, 3, 64, 64)), np.array([1, 0, 9, 3])
    losses = minidl.SoftmaxCrossEntropyLoss(), torch.nn.functional.cross_entropy
    assert_same_step(model, made, x, target, *losses)


class Unet(torch.nn.Module):
    """Two halvings, and back up with what was there before each."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.down = nn.ModuleList([self.pair(3, 4), self.pair(4, 8)])
        self.pool, self.bottom = nn.MaxPool2d(2), self.pair(8, 16)
        self.up = nn.ModuleList([nn.ConvTranspose2d(16, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)])
        self.join = nn.ModuleList([self.pair(16, 8), self.pair(8, 4)])
        self.head = nn.Conv2d(4, 1, 1)

    @staticmethod
    def pair(a, b):
        nn, parts = torch.nn, []
        for c in (a, b):
            parts += [nn.Conv2d(c, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
        return nn.Sequential(*parts)

    def forward(self, x):
        kept = []
        for down in self.down:
            kept.append(down(x))
            x = self.pool(kept[-1])
        x = self.bottom(x)
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([kept.pop(), up(x)], 1))
        return self.head(x)


@pytest.mark.parametrize("dynamo", [False, True])
def test_gradients_of_a_training_step_of_a_unet(dynamo):
    torch.manual_seed(0)
    made = away_from_the_first_ones(Unet())
    model = minidl.onnx.load(exported(made, 32, whole=True, dynamo=dynamo))
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((3, 3, 32, 32)), rng.integers(0, 2, (3, 32 * 32)).astype(float)
    with torch.no_grad():
        wanted = made(torch.from_numpy(x.astype(np.float32))).numpy()
    assert np.abs(model.predict(x.astype(np.float32)) - wanted).max() <= 1e-4 * np.abs(wanted).max()
    rows = minidl.Model(*model.layers, minidl.Flatten())
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    assert_same_step(
        rows, made, x, target, minidl.SigmoidCrossEntropyLoss(), lambda maps, wanted: loss(maps.flatten(1), wanted)
    )
