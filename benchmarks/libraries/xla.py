"""JAX, jitted, NHWC: whole networks. Its threads follow the processors that the process may use, so those are
restricted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.shapes import Arrays
from benchmarks.tasks import Case, Unsupported


class Library:
    """threads: processors that this process is bound to, before JAX starts its team."""

    def __init__(self, contender: Contender, threads: int) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        self.version = f"JAX {jax.__version__}"

    def prepare(self, task: tasks.Task) -> Case:
        """The task as jitted functions, compiled before the first measurement."""
        import jax
        import jax.numpy as jnp

        if isinstance(task, tasks.Prediction):
            parameters, apply = build(task.network)
            predict, images = jax.jit(apply), _nhwc(task.network.batch_of(task.images)[0])
            return Case(
                {"predict": lambda: np.asarray(predict(parameters, images))},
                lambda: {"logits": np.asarray(predict(parameters, images))},
            )
        if isinstance(task, tasks.Training):
            return _Training(task).case
        if not isinstance(task, tasks.Epoch):
            raise Unsupported("only whole networks")
        step, state = _step(task.network)
        images, labels = task.network.images_of(task.images)
        data, target = jnp.asarray(_nhwc(images)), jnp.asarray(labels, jnp.int32)

        @jax.jit
        def gathered(state: Any, index: Any) -> Any:
            return step(state, data[index].astype(jnp.float32) / 255, target[index])

        rng = np.random.default_rng(0)

        def epoch() -> None:
            nonlocal state
            for index in np.array_split(rng.permutation(task.images), -(-task.images // task.batch)):
                state = gathered(state, index)
            jax.block_until_ready(state)

        return Case({"epoch": epoch})


class _Training:
    """Forward pass and training step on one batch, with the state that the steps change."""

    def __init__(self, task: tasks.Training) -> None:
        import jax
        import jax.numpy as jnp

        images, labels = task.network.batch_of(task.batch)
        self.x, self.target = jnp.asarray(_nhwc(images)), jnp.asarray(labels, jnp.int32)
        step, self.state = _step(task.network)
        apply = build(task.network)[1]
        self.apply, self.step = jax.jit(apply), jax.jit(step)
        self.gradients = jax.jit(jax.grad(_loss(apply)))
        self.case = Case({"forward": self.forward, "step": self.train}, self.outputs)

    def forward(self) -> Any:
        return self.apply(self.state[0], self.x).block_until_ready()

    def train(self) -> None:
        import jax

        self.state = jax.block_until_ready(self.step(self.state, self.x, self.target))

    def outputs(self) -> Arrays:
        found = {"logits": np.asarray(self.forward())}
        for i, g in enumerate(self.gradients(self.state[0], self.x, self.target)):
            found[f"d{i}"] = np.asarray(g).transpose(3, 2, 0, 1) if g.ndim == 4 else np.asarray(g)
        self.train()
        return found | {tasks.LATER: np.asarray(self.forward())}


def build(network: networks.Network) -> tuple[list[Any], Any]:
    """-> parameters (convolution weights as KH, KW, C, O) and apply(parameters, x), x in NHWC, batch statistics in
    BatchNorm.
    """
    import jax.numpy as jnp

    if any(isinstance(layer, networks.Known) for layer in network.layers):
        raise Unsupported("networks of minidl.networks are not translated for JAX")
    parameters = [jnp.asarray(p.transpose(2, 3, 1, 0) if p.ndim == 4 else p) for p in network.parameters()]

    def apply(parameters: list[Any], x: Any) -> Any:
        rest = iter(parameters)
        for layer in network.layers:
            x = _layer(layer, x, rest)
        return x

    return parameters, apply


def _layer(spec: networks.Spec, x: Any, rest: Iterator[Any]) -> Any:
    import jax
    import jax.numpy as jnp
    from jax import lax

    match spec:
        case networks.Conv(_, _, _, stride, padding, bias, groups):
            pads, order = [(padding, padding)] * 2, ("NHWC", "HWIO", "NHWC")
            y = lax.conv_general_dilated(
                x, next(rest), (stride, stride), pads, dimension_numbers=order, feature_group_count=groups
            )
            return y + next(rest) if bias else y
        case networks.BatchNorm():
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            return (x - mean) * lax.rsqrt(var + 1e-5) * next(rest) + next(rest)
        case networks.Linear():
            return x @ next(rest).T + next(rest)
        case networks.Pool(kind, size):
            window = (1, size, size, 1)
            if kind == "max":
                return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
            return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / size**2
        case networks.Residual(body, shortcut):
            y = x
            for layer in body:
                y = _layer(layer, y, rest)
            for layer in shortcut:
                x = _layer(layer, x, rest)
            return y + x
        case networks.Relu():
            return jax.nn.relu(x)
        case networks.Flatten():
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        case _:
            return x.mean((1, 2))


def _loss(apply: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def loss(parameters: list[Any], x: Any, target: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(apply(parameters, x)), target[:, None], 1).mean()

    return loss


def _step(network: networks.Network) -> tuple[Any, Any]:
    """-> step(state, x, target) -> state, and the first state: parameters and velocities."""
    import jax
    import jax.numpy as jnp

    parameters, apply = build(network)
    gradients = jax.grad(_loss(apply))

    def step(state: Any, x: Any, target: Any) -> Any:
        old, velocities = state
        found = gradients(old, x, target)
        new = [tasks.MOMENTUM * v + g + tasks.WEIGHT_DECAY * p for p, v, g in zip(old, velocities, found, strict=True)]
        return [p - tasks.LEARNING_RATE * v for p, v in zip(old, new, strict=True)], new

    return step, (parameters, [jnp.zeros_like(p) for p in parameters])


def _nhwc(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
