"""PyTorch as an outside witness, where it is installed: a small network and the optimisers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from minidl.layers import (
    AvgPool2D,
    BatchNorm2D,
    Conv2D,
    Elu,
    Flatten,
    Gelu,
    GroupNorm,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool2D,
    Parameter,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from minidl.layers.arithmetic import Affine, Arithmetic, PRelu
from minidl.layers.elementwise import HardSwish, Mish
from minidl.layers.reduce import LogSoftmax, Mean, Softmax
from minidl.optim import SGD, Adam, AdamW, Muon, Optimizer, RMSProp
from minidl.optim.schedules import OneCycle

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.witness


@pytest.mark.usefixtures("any_backend")
def test_network(rng: np.random.Generator) -> None:
    net = Sequential(
        Conv2D(3, 8, 3, 2, 1, rng=0),
        BatchNorm2D(8),
        Relu(),
        MaxPool2D(3, 2, 1),
        Residual(Sequential(Conv2D(8, 8, 3, padding=2, dilation=2, groups=4, rng=1), Tanh())),
        AvgPool2D(2, 1),
        Flatten(),
        Linear(16, 5, rng=2),
        Sigmoid(),
    ).astype("float64")
    tensors = [torch.tensor(parameter.data, requires_grad=True) for parameter in net.parameters()]
    w0, b0, gamma, beta, w1, b1, w2, b2 = tensors
    x, dy = rng.standard_normal((4, 3, 7, 9)), rng.standard_normal((4, 5))
    image = torch.tensor(x, requires_grad=True)
    f = torch.nn.functional
    h = f.conv2d(image, w0, b0, 2, 1)
    h = f.max_pool2d(f.relu(f.batch_norm(h, None, None, gamma, beta, training=True)), 3, 2, 1)
    h = h + torch.tanh(f.conv2d(h, w1, b1, padding=2, dilation=2, groups=4))
    expected = torch.sigmoid(f.linear(f.avg_pool2d(h, 2, 1).flatten(1), w2, b2))
    expected.backward(torch.tensor(dy))

    np.testing.assert_allclose(net.forward(x, train=True), expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(net.backward(dy), image.grad.numpy(), rtol=1e-9, atol=1e-13)
    for parameter, tensor in zip(net.parameters(), tensors, strict=True):
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-9, atol=1e-13, err_msg=parameter.name)


@pytest.mark.usefixtures("any_backend")
def test_layers_with_parameters_of_their_own(rng: np.random.Generator) -> None:
    net = Sequential(
        Conv2D(3, 6, 3, padding=1, rng=0),
        GroupNorm(3, 6, 1e-3),
        Gelu(),
        Conv2D(6, 4, 1, rng=1),
        LayerNorm((5, 6)),
        LeakyRelu(0.1),
        LayerNorm((4, 5, 6), 1e-4),
        Flatten(),
        Linear(120, 8, rng=2),
        GroupNorm(2, 8),
        Elu(0.7),
        LayerNorm(8),
    ).astype("float64")
    for parameter in net.parameters():
        parameter.data += rng.uniform(-0.3, 0.3, parameter.data.shape)
    tensors = [torch.tensor(parameter.data, requires_grad=True) for parameter in net.parameters()]
    t = iter(tensors)
    x, dy = rng.standard_normal((17, 3, 5, 6)), rng.standard_normal((17, 8))
    image = torch.tensor(x, requires_grad=True)
    f = torch.nn.functional
    h = f.conv2d(image, next(t), next(t), padding=1)
    h = f.gelu(f.group_norm(h, 3, next(t), next(t), 1e-3))
    h = f.conv2d(h, next(t), next(t))
    h = f.leaky_relu(f.layer_norm(h, (5, 6), next(t), next(t)), 0.1)
    h = f.layer_norm(h, (4, 5, 6), next(t), next(t), 1e-4)
    h = f.linear(h.flatten(1), next(t), next(t))
    h = f.elu(f.group_norm(h, 2, next(t), next(t)), 0.7)
    expected = f.layer_norm(h, (8,), next(t), next(t))
    expected.backward(torch.tensor(dy))

    np.testing.assert_allclose(net.forward(x, train=True), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(net.backward(dy), image.grad.numpy(), rtol=1e-8, atol=1e-12)
    for parameter, tensor in zip(net.parameters(), tensors, strict=True):
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=parameter.name)


@pytest.mark.usefixtures("any_backend")
def test_elementwise_layers_and_their_kin(rng: np.random.Generator) -> None:
    """A block of a mobile network with its gate, and what else has parameters or axes of its own."""
    net = Sequential(
        Conv2D(3, 6, 3, padding=1, rng=0),
        HardSwish(),
        Affine(6),
        Conv2D(6, 4, 1, rng=1),
        PRelu(4),
        Mish(),
        Arithmetic("*", [[[1.0]], [[2.0]], [[-1.0]], [[0.5]]]),
        Softmax(),
        Mean((2, 3)),
        Linear(4, 5, rng=2),
        Gelu("tanh"),
        LogSoftmax(),
    ).astype("float64")
    for parameter in net.parameters():
        parameter.data += rng.uniform(-0.3, 0.3, parameter.data.shape)
    tensors = [torch.tensor(parameter.data, requires_grad=True) for parameter in net.parameters()]
    t = iter(tensors)
    x, dy = 3 * rng.standard_normal((17, 3, 5, 6)), rng.standard_normal((17, 5))
    image = torch.tensor(x, requires_grad=True)
    f = torch.nn.functional
    h = f.hardswish(f.conv2d(image, next(t), next(t), padding=1))
    h = h * next(t)[:, None, None] + next(t)[:, None, None]
    h = f.mish(f.prelu(f.conv2d(h, next(t), next(t)), next(t)))
    h = f.softmax(h * torch.tensor([1, 2, -1, 0.5], dtype=torch.float64)[:, None, None], 1).mean((2, 3))
    expected = f.log_softmax(f.gelu(f.linear(h, next(t), next(t)), approximate="tanh"), 1)
    expected.backward(torch.tensor(dy))

    np.testing.assert_allclose(net.forward(x, train=True), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(net.backward(dy), image.grad.numpy(), rtol=1e-8, atol=1e-12)
    for parameter, tensor in zip(net.parameters(), tensors, strict=True):
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=parameter.name)


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize(
    ("optimizer", "name", "kwargs"),
    [
        (SGD(0.1, 0.9, 0.01), "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        (SGD(0.1, 0.9, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (RMSProp(0.01, 0.9, 1e-6, 0.1), "RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1}),
        (Adam(0.01, weight_decay=0.1), "Adam", {"lr": 0.01, "weight_decay": 0.1}),
        (AdamW(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ],
    ids=["sgd", "nesterov", "rmsprop", "adam", "adamw"],
)
def test_optimizers(optimizer: Optimizer, name: str, kwargs: dict[str, Any], rng: np.random.Generator) -> None:
    optimizer = copy.deepcopy(optimizer)  # the parameters of a test are made once
    start = rng.standard_normal(20)
    parameter = Parameter(start.copy(), "w")
    tensor = torch.tensor(start, requires_grad=True)
    witness = getattr(torch.optim, name)([tensor], **kwargs)
    for _ in range(20):
        grad = rng.standard_normal(20)
        parameter.grad[:] = grad
        tensor.grad = torch.tensor(grad)
        optimizer.step([parameter])
        witness.step()
    np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-10, atol=1e-13)


def test_muon(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch orthogonalises in bfloat16, here in what it is given: only then can the steps be compared."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    start = {name: rng.standard_normal(shape) for name, shape in (("wide", (6, 20)), ("tall", (20, 6)))}
    parameters = [Parameter(data.copy(), name) for name, data in start.items()]
    tensors = [torch.tensor(data, requires_grad=True) for data in start.values()]
    optimizer = Muon(SGD(), ["*"], 0.1, 0.9, 0.1)
    witness = torch.optim.Muon(tensors, 0.1, 0.1, 0.9)
    for _ in range(5):
        for parameter, tensor in zip(parameters, tensors, strict=True):
            parameter.grad[:] = rng.standard_normal(parameter.data.shape)
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step(parameters)
        witness.step()
    for parameter, tensor in zip(parameters, tensors, strict=True):
        np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("any_backend")
def test_clipping(rng: np.random.Generator) -> None:
    """PyTorch divides by norm + 1e-6."""
    parameters = [Parameter(rng.standard_normal(shape), str(shape)) for shape in ((20, 3), (7,))]
    tensors = [torch.tensor(parameter.data, requires_grad=True) for parameter in parameters]
    optimizer, witness = SGD(0.1, 0.9, clip_norm=2.0), torch.optim.SGD(tensors, 0.1, 0.9)
    for size in (0.01, 0.5, 3.0):
        for parameter, tensor in zip(parameters, tensors, strict=True):
            parameter.grad[:] = size * rng.standard_normal(parameter.data.shape)
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step(parameters)
        norm = torch.nn.utils.clip_grad_norm_(tensors, 2.0)
        witness.step()
        assert optimizer.grad_norm == pytest.approx(norm.item(), rel=1e-12)
    for parameter, tensor in zip(parameters, tensors, strict=True):
        np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_one_cycle() -> None:
    """PyTorch counts steps from 0 to total - 1 and ends the first phase one step before pct_start * total."""
    witness = torch.optim.SGD([torch.zeros(1)], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(witness, 0.3, total_steps=21, pct_start=7 / 21, cycle_momentum=False)
    mine = OneCycle(0.3, warmup=6 / 20)
    for epoch in range(21):
        assert mine(epoch, 20) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9), epoch
        witness.step()
        if epoch < 20:
            schedule.step()
