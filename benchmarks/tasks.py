"""What a library can be asked to do besides a single operation (`shapes.Operation`), and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.networks import Conv, GlobalAvgPool, Network, Relu
from benchmarks.shapes import Operation

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 1e-4
"""SGD of every training step and epoch: the seed network's parameters."""

OWN, ONNX = "network.safetensors", "network.onnx"
"""Files of a network with the common weights: for minidl, and for one image of `Loaded`."""

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
class Layer:
    """Measure "both": forward and backward, without an update, of the smallest network around a convolution.

    It stands behind a 1x1 convolution of one channel, which wants its dx, unless it is a first layer, and before the
    mean of each map, softmax and loss. No Relu that could be merged with it is timed.
    """

    operation: Operation

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self.operation.x[0]

    def networks(self) -> dict[str, Network]:
        """The network that is timed, as "", and one more to validate, where a Relu has each pixel's dy differ."""
        op = self.operation
        front = () if op.first else (Conv(1, op.x[1], 1),)
        conv = Conv(op.x[1], op.out, op.kernel, op.stride, op.padding, groups=op.groups)
        image = (op.x[1] if op.first else 1, *op.x[2:])
        return {
            name: _Surrounding(op.name, "layer", image, (*front, conv, *behind, GlobalAvgPool()), self.batch, op.out)
            for name, behind in (("", ()), (", Relu", (Relu(),)))
        }


class _Surrounding(Network):
    """All images of one class, so that the gradients of several do not cancel down to their rounding."""

    def batch_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """As of any network, but for the labels."""
        images, labels = super().batch_of(n)
        return images, np.zeros_like(labels)


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
class Loaded(Prediction):
    """As Prediction, of the network in the files OWN and ONNX of a folder: nothing but a prediction takes memory."""

    folder: str


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


Task = Operation | Layer | Training | Epoch | Prediction | Product | Cohabitation


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
    if isinstance(task, Layer):
        return sum(task.operation.flops(part) or 0 for part in ("forward", "backward"))
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
    if isinstance(task, (Layer, Training)):
        return task.batch
    return task.images if isinstance(task, (Epoch, Prediction)) else None


def title(task: Task) -> str:
    """What tables call a task."""
    if isinstance(task, Operation):
        return task.name
    if isinstance(task, Layer):
        return task.operation.name
    if isinstance(task, Product):
        return f"matrix product {task.size}"
    if isinstance(task, Epoch):
        return f"{task.network.name}, {task.images} images in batches of {task.batch}"
    if isinstance(task, Prediction):
        return f"{task.network.name}, {task.images} image{'s' * (task.images > 1)}"
    return f"{task.network.name}, batch {task.batch}"


def validated(task: Task) -> bool:
    """Whether the task's outputs are checked; the others repeat what a validated task does."""
    return isinstance(task, (Operation, Layer, Training, Prediction))
