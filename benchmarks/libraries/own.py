"""minidl's backends as contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl
from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.shapes import Arrays, Operation
from benchmarks.tasks import Case, Unsupported
from minidl import kernels
from minidl.training.samples import Samples
from minidl.training.step import Step

Call = Callable[[], Any]


class Library:
    """contender: a backend's name, with an instruction set where it is native; the environment has already forced
    that.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        kernels.use(contender.base)
        if contender.base == "native":
            minidl.set_num_threads(threads)
        self.backend: Any = kernels.current()
        self.dtype = np.dtype(contender.dtype)
        self.version = f"minidl {minidl.__version__}"

    def prepare(self, task: tasks.Task) -> Case:
        """The task on this backend."""
        if isinstance(task, Operation):
            return self._operation(task)
        if isinstance(task, tasks.Product):
            if self.backend.name != "im2col":
                raise Unsupported("numpy's product is measured beside im2col")
            a = np.random.default_rng(0).random((task.size, task.size), np.float32)
            return Case({"product": lambda: a @ a})
        if self.backend.name == "reference":
            raise Unsupported("whole networks take hours on the naive loops")
        if isinstance(task, tasks.Layer):
            return self._layer(task)
        if isinstance(task, tasks.Training):
            return self._training(task)
        if isinstance(task, tasks.Epoch):
            return self._epoch(task)
        if isinstance(task, tasks.Prediction):
            loaded = isinstance(task, tasks.Loaded)
            model = minidl.load_model(f"{task.folder}/{tasks.OWN}") if loaded else build(task.network, self.dtype)
            images = task.network.batch_of(task.images)[0].astype(self.dtype, copy=False)
            return Case({"predict": lambda: model.predict(images)}, lambda: {"logits": model.predict(images)})
        return self._cohabitation(task)

    # ---- one operation ----

    def _operation(self, task: Operation) -> Case:
        backend = self.backend
        a = {name: array.astype(self.dtype) for name, array in task.arrays().items()}
        forward, backward, names = self._calls(task, a)

        def outputs() -> Arrays:
            y = forward(backend.enter(a["x"]))
            gradients = backward(backend.enter(a["x"]), y, backend.enter(a["dy"]))
            found = {"y": backend.leave(y[0])}
            for name, gradient in zip(names, gradients):
                if gradient is not None:
                    found[name] = np.array(backend.leave(gradient) if name == "dx" else gradient)
            return found

        if task.lasting:
            x, dy = backend.enter(a["x"]), backend.enter(a["dy"])
            saved = forward(x)
            return Case({"forward": lambda: forward(x), "backward": lambda: backward(x, saved, dy)}, outputs)

        saved = forward(backend.enter(a["x"]))

        def plain_backward() -> None:
            dx = backward(backend.enter(a["x"]), saved, backend.enter(a["dy"]))[0]
            if dx is not None:
                backend.leave(dx)

        return Case(
            {"forward": lambda: backend.leave(forward(backend.enter(a["x"]))[0]), "backward": plain_backward}, outputs
        )

    def _calls(self, task: Operation, a: Arrays) -> tuple[Callable[..., Any], Callable[..., Any], tuple[str, ...]]:
        """forward(x) -> (y, whatever backward needs), backward(x, that, dy) -> gradients, and the gradients' names."""
        k = self.backend
        kernel, stride, padding = ((size, size) for size in (task.kernel, task.stride, task.padding))
        need_dx = not task.first
        if task.kind == "conv2d":
            window = stride, padding, (1, 1), task.groups
            out = np.empty_like(a["w"]), np.empty_like(a["b"])
            return (
                lambda x: (k.conv2d_forward(x, a["w"], a["b"], *window),),
                lambda x, saved, dy: k.conv2d_backward(dy, x, a["w"], *window, need_dx=need_dx, out=out),
                ("dx", "dw", "db"),
            )
        if task.kind == "linear":
            out = np.empty_like(a["w"]), np.empty_like(a["b"])
            return (
                lambda x: (k.linear_forward(x, a["w"], a["b"]),),
                lambda x, saved, dy: k.linear_backward(dy, x, a["w"], need_dx=need_dx, out=out),
                ("dx", "dw", "db"),
            )
        if task.kind == "maxpool2d":
            return (
                lambda x: k.maxpool2d_forward(x, kernel, stride, padding),
                lambda x, saved, dy: (k.maxpool2d_backward(dy, saved[1], task.x, kernel, stride, padding),),
                ("dx",),
            )
        if task.kind == "avgpool2d":
            return (
                lambda x: (k.avgpool2d_forward(x, kernel, stride, padding),),
                lambda x, saved, dy: (k.avgpool2d_backward(dy, task.x, kernel, stride, padding),),
                ("dx",),
            )
        if task.kind == "batchnorm":
            mean, var = np.zeros_like(a["beta"]), np.ones_like(a["beta"])
            return (
                lambda x: k.batchnorm_forward(x, a["gamma"], a["beta"], mean, var, 0.9, 1e-5, True),
                lambda x, saved, dy: k.batchnorm_backward(dy, x, a["gamma"], *saved[1:]),
                ("dx", "dgamma", "dbeta"),
            )
        return (
            lambda x: (k.relu_forward(x),),
            lambda x, saved, dy: (k.relu_backward(dy, saved[0]),),
            ("dx",),
        )

    # ---- whole networks ----

    def _step(self, network: networks.Network, batch: int, off: bool = False) -> tuple[Any, _Loss, Call, Call, Call]:
        """-> model, loss, and on one batch, as `Trainer` runs it: forward, forward and backward, the whole step.

        off: whether pixels and parameters are a little off.
        """
        model, loss = build(network, self.dtype), _Loss()
        images, labels = network.batch_of(batch)
        images = images.astype(self.dtype)
        if off:
            tasks.nudge([images, *(parameter.data for parameter in model.parameters())])
        samples = Samples(images, labels, None, *model.scaling(images), labels)
        whole, train = samples.all(), Step(model, loss, _sgd())

        def forward() -> Any:
            train.forward(whole, True)

        def gradients() -> None:
            forward()
            train.backward()

        def step() -> None:
            train.train(whole)

        return model, loss, forward, gradients, step

    def _layer(self, task: tasks.Layer) -> Case:
        """As a user's training runs it: `Step` chooses the layout, and compiles few images."""
        networks = task.networks()
        own = self._step(networks.pop(""), task.batch)

        def outputs() -> Arrays:
            found = {}
            others = {name: self._step(network, task.batch) for name, network in networks.items()}
            for name, (model, loss, _, gradients, _) in {"": own, **others}.items():
                gradients()
                found[f"logits{name}"] = np.array(self.backend.leave(loss.logits))
                found |= {f"d{i}{name}": p.grad.copy() for i, p in enumerate(model.parameters())}
            return found

        return Case({"both": own[3]}, outputs)

    def _training(self, task: tasks.Training) -> Case:
        own = self._step(task.network, task.batch)
        _, _, forward, _, step = own

        def outputs(model: Any, loss: _Loss, forward: Call, gradients: Call, step: Call) -> Arrays:
            forward()
            found = {"logits": self.backend.leave(loss.logits)}
            gradients()
            found |= {f"d{i}": p.grad.copy() for i, p in enumerate(model.parameters())}
            step()
            forward()
            return found | {tasks.LATER: self.backend.leave(loss.logits)}

        def moved() -> Arrays:
            return outputs(*self._step(task.network, task.batch, off=True))

        return Case({"forward": forward, "step": step}, lambda: outputs(*own), moved)

    def _epoch(self, task: tasks.Epoch) -> Case:
        trainer = minidl.Trainer(build(task.network, self.dtype), minidl.SoftmaxCrossEntropyLoss(), _sgd())
        data = task.network.images_of(task.images)
        return Case({"epoch": lambda: trainer.fit(data, epochs=1, batch_size=task.batch, seed=0, verbose=False)})

    def _cohabitation(self, task: tasks.Cohabitation) -> Case:
        step = self._step(task.network, task.batch)[-1]
        a = np.random.default_rng(0).random((task.size, task.size), np.float32)

        def pair() -> None:
            step()
            a @ a

        return Case({"step": step, "product": lambda: a @ a, "pair": pair})


class _Loss(minidl.SoftmaxCrossEntropyLoss):
    """Remembers the logits that it was given last."""

    logits: Any = None

    def run(self, logits: Any, *target: Any) -> float:
        """The loss."""
        self.logits = logits
        return super().run(logits, *target)


def build(network: networks.Network, dtype: np.dtype) -> minidl.Model:
    """The network as a minidl model with the common weights."""
    model = minidl.Model(*map(_layer, network.layers), dtype=dtype.name)
    for parameter, value in zip(model.parameters(), network.parameters(), strict=True):
        parameter.data[...] = value
    return model


def _sgd() -> minidl.SGD:
    return minidl.SGD(lr=tasks.LEARNING_RATE, momentum=tasks.MOMENTUM, weight_decay=tasks.WEIGHT_DECAY)


def _layer(spec: networks.Spec) -> Any:
    match spec:
        case networks.Conv(c, o, k, stride, padding, bias, groups):
            return minidl.Conv2D(c, o, k, stride=stride, padding=padding, groups=groups, bias=bias)
        case networks.Known():
            return spec.build()
        case networks.BatchNorm(c):
            return minidl.BatchNorm2D(c)
        case networks.Linear(features, out):
            return minidl.Linear(features, out)
        case networks.Pool(kind, size):
            return minidl.MaxPool2D(size) if kind == "max" else minidl.AvgPool2D(size)
        case networks.Residual(body, shortcut):
            shortcut_layer = minidl.Sequential(*map(_layer, shortcut)) if shortcut else None
            return minidl.Residual(minidl.Sequential(*map(_layer, body)), shortcut_layer)
        case networks.Relu():
            return minidl.Relu()
        case networks.Flatten():
            return minidl.Flatten()
        case _:
            return minidl.GlobalAvgPool2D()
