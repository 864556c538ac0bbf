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
    generator = torch.Generator().manual_seed(1)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return made.eval()


def exported(made, size, whole):
    """The file; whole: with normalisation as it is, else folded into the convolutions."""
    stream = io.BytesIO()
    settings = {} if not whole else {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made,
            torch.zeros(1, 3, size, size),
            stream,
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "N"}},
            **settings,
        )
    return stream.getvalue()


@pytest.mark.parametrize("name", NETWORKS)
def test_scores(models, name):
    size = SIZES.get(name, 64)
    content = exported(network(models, name), size, whole=name != "squeezenet1_1")
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


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_gradients_of_a_training_step(models, name):
    made = network(models, name)
    model = minidl.onnx.load(exported(made, 64, whole=True)).astype("float64")
    made = made.double().train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x = np.random.default_rng(0).standard_normal((4, 3, 64, 64))
    target = np.array([1, 0, 9, 3])
    loss = minidl.SoftmaxCrossEntropyLoss()
    value = loss.forward(model.forward(x, train=True), target)
    model.backward(loss.backward())
    other = torch.nn.functional.cross_entropy(made(torch.from_numpy(x)), torch.from_numpy(target))
    other.backward()
    assert value == pytest.approx(other.item(), rel=1e-6)
    names = {"gamma": "weight", "beta": "bias"}
    theirs = dict(made.named_parameters())
    for own, parameter in model.named_parameters().items():
        stem, _, last = own.removeprefix("0.").rpartition(".")
        wanted = theirs.pop(f"{stem}.{names.get(last, last)}").grad.numpy()
        assert np.abs(parameter.grad - wanted).max() <= 1e-4 * max(np.abs(wanted).max(), 1e-6), own
    assert not theirs
