"""What a library can be asked to do besides a single operation (`shapes.Operation`), and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.networks import Network
from benchmarks.shapes import Operation

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 1e-4
"""SGD of every training step and epoch: the seed network's parameters."""

LATER = "logits after a step"
"""The name of that output: it shows that the update is right."""


@dataclass(frozen=True)
class Training:
    """Measures "forward" (training mode, to the logits) and "step" (forward, loss, backward, update) on one float32
    batch.
    """

    network: Network
    batch: int


@dataclass(frozen=True)
class Epoch:
    """Measure "epoch": shuffle, gather from uint8 images, train on every batch; `Trainer.fit` on minidl's side."""

    network: Network
    images: int
    batch: int


@dataclass(frozen=True)
class Prediction:
    """Measure "predict": logits of float32 NCHW images in one call, without gradients."""

    network: Network
    images: int


@dataclass(frozen=True)
class Product:
    """Measure "product": a square float32 matrix product; the machine's reachable peak."""

    size: int


@dataclass(frozen=True)
class Cohabitation:
    """Measures "step" (a training step), "product" (numpy's matrix product of that size) and "pair" (one after the
    other).
    """

    network: Network
    batch: int
    size: int


Task = Operation | Training | Epoch | Prediction | Product | Cohabitation


@dataclass
class Case:
    """A task made ready by one library.

    runs: one callable a measure; every call does the whole work anew. outputs: arrays to validate, by name; called
    before any run, at most once: gradients are named "d...", results "y" or "logits...". moved: the same, where each
    number that comes in is off by half a unit of float32: how well conditioned the task is.
    """

    runs: dict[str, Callable[[], object]]
    outputs: Callable[[], dict[str, np.ndarray]] = field(default=dict)
    moved: Callable[[], dict[str, np.ndarray]] = field(default=dict)


class Unsupported(Exception):
    """The library does not do this task; the message says why."""


def nudge(arrays: Iterable[np.ndarray]) -> None:
    """Move every number by half a unit of float32, to one side or the other, in place."""
    rng = np.random.default_rng(1)
    for array in arrays:
        array *= 1 + 2.0**-24 * rng.choice([-1, 1], array.shape)


def centred(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) less their mean in each row: what is left where only the softmax is known."""
    logits = np.asarray(logits, dtype=np.float64)
    return logits - logits.mean(axis=1, keepdims=True)


def flops(task: Task, measure: str) -> int | None:
    """Floating point operations of a measure by the direct count, or None."""
    if isinstance(task, Operation):
        return task.flops(measure)
    if isinstance(task, Product):
        return 2 * task.size**3
    if isinstance(task, Training):
        return task.network.flops(task.batch, train=measure == "step")
    if isinstance(task, Prediction):
        return task.network.flops(task.images, train=False)
    if isinstance(task, Epoch):
        return task.network.flops(task.images, train=True)
    return None


def images(task: Task) -> int | None:
    """Images that one call works on, where a whole network is concerned."""
    if isinstance(task, Training):
        return task.batch
    return task.images if isinstance(task, (Epoch, Prediction)) else None


def title(task: Task) -> str:
    """What tables call a task."""
    if isinstance(task, Operation):
        return task.name
    if isinstance(task, Product):
        return f"matrix product {task.size}"
    if isinstance(task, Epoch):
        return f"{task.network.name}, {task.images} images in batches of {task.batch}"
    if isinstance(task, Prediction):
        return f"{task.network.name}, {task.images} image{'s' * (task.images > 1)}"
    return f"{task.network.name}, batch {task.batch}"


def validated(task: Task) -> bool:
    """Whether the task's outputs are checked; the others repeat what a validated task does."""
    return isinstance(task, (Operation, Training, Prediction))
