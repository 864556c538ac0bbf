"""PyTorch, eager. Variants: "channels_last" keeps activations and weights in that memory format, "compile" runs what
`torch.compile` makes of whole networks, "bfloat16" is channels_last under autocast to that precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.libraries.twin import twin
from benchmarks.shapes import Arrays, Operation
from benchmarks.tasks import Case, Unsupported

Call = Callable[[], Any]


class Library:
    """threads: of torch's one intra-operation team."""

    def __init__(self, contender: Contender, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.dtype = torch.float64 if contender.dtype == "float64" else torch.float32
        self.variant = contender.variant
        wanted = self.variant in ("channels_last", "bfloat16")
        self.format = torch.channels_last if wanted else torch.contiguous_format
        self.version = f"PyTorch {torch.__version__}"

    def prepare(self, task: tasks.Task) -> Case:
        """The task in this variant."""
        if isinstance(task, tasks.Training):
            return self._training(task)
        if isinstance(task, tasks.Prediction):
            return self._prediction(task)
        if self.variant in ("compile", "bfloat16"):
            raise Unsupported("only prediction and training steps of whole networks")
        if isinstance(task, Operation):
            return self._operation(task)
        if isinstance(task, tasks.Layer):
            return self._layer(task)
        if isinstance(task, tasks.Product):
            a = torch.rand(task.size, task.size)
            return Case({"product": lambda: a @ a})
        if isinstance(task, tasks.Epoch):
            return self._epoch(task)
        return self._cohabitation(task)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(self.dtype)
        return tensor.contiguous(memory_format=self.format) if tensor.ndim == 4 else tensor

    # ---- one operation ----

    def _operation(self, task: Operation) -> Case:
        if self.format == torch.channels_last and (len(task.x) != 4 or not task.lasting):
            raise Unsupported("only for images in a lasting layout")
        t = {name: self._tensor(array) for name, array in task.arrays().items()}
        names = [name for name in ("x", "w", "b", "gamma", "beta") if name in t and not (name == "x" and task.first)]
        wanted = [t[name].requires_grad_() for name in names]
        forward = self._forward(task, t)
        y = forward()

        def backward() -> tuple[torch.Tensor, ...]:
            return torch.autograd.grad(y, wanted, t["dy"], retain_graph=True)

        def outputs() -> Arrays:
            gradients = {f"d{name}": g.numpy() for name, g in zip(names, backward(), strict=True)}
            return {"y": y.detach().numpy()} | gradients

        return Case({"forward": forward, "backward": backward}, outputs)

    def _forward(self, task: Operation, t: dict[str, torch.Tensor]) -> Call:
        kernel, stride, padding = task.kernel, task.stride, task.padding
        match task.kind:
            case "conv2d":
                return lambda: F.conv2d(t["x"], t["w"], t["b"], stride, padding, groups=task.groups)
            case "linear":
                return lambda: F.linear(t["x"], t["w"], t["b"])
            case "maxpool2d":
                return lambda: F.max_pool2d(t["x"], kernel, stride, padding)
            case "avgpool2d":
                return lambda: F.avg_pool2d(t["x"], kernel, stride, padding)
            case "batchnorm":
                mean, var = torch.zeros_like(t["beta"]), torch.ones_like(t["beta"])
                return lambda: F.batch_norm(t["x"], mean, var, t["gamma"], t["beta"], True, 0.1, 1e-5)
            case _:
                return lambda: F.relu(t["x"])

    # ---- whole networks ----

    def _build(self, network: networks.Network) -> nn.Module:
        model = nn.Sequential(*map(layer, network.layers)).to(self.dtype)
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), network.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(value))
        return model.to(memory_format=self.format)

    def _call(self, model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """The forward pass of a model in this variant; scores in float32 or the judge's float64."""
        if self.variant == "compile":
            torch._dynamo.reset()
            return torch.compile(model, dynamic=False)
        if self.variant == "bfloat16":

            def narrow(x: torch.Tensor) -> torch.Tensor:
                with torch.autocast("cpu", torch.bfloat16):
                    return model(x).float()

            return narrow
        return model

    def _step(self, network: networks.Network, batch: int, off: bool = False) -> tuple[nn.Module, Call, Call, Call]:
        """-> model, forward, forward and backward, and the whole training step on one batch.

        off: whether pixels and parameters are a little off.
        """
        model, loss = self._build(network), nn.CrossEntropyLoss()
        optimizer, call = _sgd(model), self._call(model)
        images, labels = network.batch_of(batch)
        x, target = self._tensor(images), torch.from_numpy(labels)
        if off:
            tasks.nudge([x.numpy(), *(parameter.detach().numpy() for parameter in model.parameters())])

        def forward() -> torch.Tensor:
            return call(x)

        def gradients() -> None:
            optimizer.zero_grad()
            loss(forward(), target).backward()

        def step() -> None:
            gradients()
            optimizer.step()

        return model, forward, gradients, step

    def _layer(self, task: tasks.Layer) -> Case:
        networks = task.networks()
        own = self._step(networks.pop(""), task.batch)

        def outputs() -> Arrays:
            found = {}
            others = {name: self._step(network, task.batch) for name, network in networks.items()}
            for name, (model, forward, gradients, _) in {"": own, **others}.items():
                found[f"logits{name}"] = forward().detach().numpy()
                gradients()
                found |= {f"d{i}{name}": p.grad.numpy().copy() for i, p in enumerate(model.parameters())}
            return found

        return Case({"both": own[2]}, outputs)

    def _training(self, task: tasks.Training) -> Case:
        own = self._step(task.network, task.batch)
        _, forward, _, step = own

        def outputs(model: nn.Module, forward: Call, gradients: Call, step: Call) -> Arrays:
            found = {"logits": forward().detach().numpy()}
            gradients()
            if self.variant != "bfloat16":  # too coarse to be judged one by one
                found |= {f"d{i}": p.grad.numpy().copy() for i, p in enumerate(model.parameters())}
            step()
            return found | {tasks.LATER: forward().detach().numpy()}

        def moved() -> Arrays:
            return outputs(*self._step(task.network, task.batch, off=True))

        return Case({"forward": forward, "step": step}, lambda: outputs(*own), moved)

    def _epoch(self, task: tasks.Epoch) -> Case:
        model, loss = self._build(task.network), nn.CrossEntropyLoss()
        optimizer = _sgd(model)
        images, labels = map(torch.from_numpy, task.network.images_of(task.images))

        def epoch() -> float:
            total = torch.zeros(())
            for index in torch.randperm(task.images).split(task.batch):
                x = images[index].to(self.dtype).div_(255).contiguous(memory_format=self.format)
                optimizer.zero_grad()
                value = loss(model(x), labels[index])
                value.backward()
                optimizer.step()
                total += value.detach() * len(index)
            return float(total) / task.images

        return Case({"epoch": epoch})

    def _prediction(self, task: tasks.Prediction) -> Case:
        call = self._call(self._build(task.network).eval())
        images = task.network.batch_of(task.images)[0]

        def predict() -> np.ndarray:
            with torch.inference_mode():
                return call(self._tensor(images)).numpy()

        return Case({"predict": predict}, lambda: {"logits": predict()})

    def _cohabitation(self, task: tasks.Cohabitation) -> Case:
        step = self._step(task.network, task.batch)[3]
        a = np.random.default_rng(0).random((task.size, task.size), np.float32)

        def pair() -> None:
            step()
            a @ a

        return Case({"step": step, "product": lambda: a @ a, "pair": pair})


class _Residual(nn.Module):
    def __init__(self, body: tuple[networks.Spec, ...], shortcut: tuple[networks.Spec, ...]) -> None:
        super().__init__()
        self.body = nn.Sequential(*map(layer, body))
        self.shortcut = nn.Sequential(*map(layer, shortcut))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(),
        lr=tasks.LEARNING_RATE,
        momentum=tasks.MOMENTUM,
        weight_decay=tasks.WEIGHT_DECAY,
        fused=True,  # the fastest
    )


def layer(spec: networks.Spec) -> nn.Module:
    """The module of one layer of a description."""
    match spec:
        case networks.Conv(c, o, k, stride, padding, bias, groups):
            return nn.Conv2d(c, o, k, stride, padding, groups=groups, bias=bias)
        case networks.Known():
            return twin(spec.build())
        case networks.BatchNorm(c):
            return nn.BatchNorm2d(c)
        case networks.Linear(features, out):
            return nn.Linear(features, out)
        case networks.Pool(kind, size):
            return nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)
        case networks.Residual(body, shortcut):
            return _Residual(body, shortcut)
        case networks.Relu():
            return nn.ReLU()
        case networks.Flatten():
            return nn.Flatten()
        case _:
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
