"""Small networks and a few steps of training, for tests that compare whole runs bit by bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import (
    SGD,
    Adam,
    AvgPool2D,
    BatchNorm2D,
    Callback,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    History,
    Linear,
    MaxPool2D,
    Model,
    Muon,
    Relu,
    Residual,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropyLoss,
    Trainer,
)

CLASSES = 10


def seed_network(dtype: Any) -> Model:
    """The network of the examples: two convolutions with average pooling, two linear layers."""
    return Model(
        *(Conv2D(1, 8, 3, padding=1, rng=1), Relu(), AvgPool2D(2)),
        *(Conv2D(8, 16, 3, padding=1, rng=2), Relu(), AvgPool2D(2)),
        *(Flatten(), Linear(16 * 49, 64, rng=3), Relu(), Linear(64, CLASSES, rng=4)),
        dtype=dtype,
    )


def vgg(dtype: Any) -> Model:
    """Pairs of 3 x 3 convolutions with batch normalisation, maximum pooling, dropout."""
    layers: list[Any] = []
    for i, (channels, out) in enumerate([(1, 8), (8, 8), (8, 16), (16, 16)]):
        layers += [Conv2D(channels, out, 3, padding=1, bias=False, rng=i), BatchNorm2D(out), Relu()]
        layers += [MaxPool2D(2)] if i % 2 else []
    return Model(*layers, Flatten(), Dropout(0.3, rng=9), Linear(16 * 49, CLASSES, rng=8), dtype=dtype)


def residual(dtype: Any) -> Model:
    """A strided stem, two residual blocks, the second one with a shortcut, and a global mean."""

    def body(channels: int, out: int, stride: int, rng: int) -> Sequential:
        return Sequential(
            *(Conv2D(channels, out, 3, stride=stride, padding=1, bias=False, rng=rng), BatchNorm2D(out), Relu()),
            *(Conv2D(out, out, 3, padding=1, bias=False, rng=rng + 1), BatchNorm2D(out)),
        )

    shortcut = Sequential(Conv2D(8, 16, 1, stride=2, bias=False, rng=7), BatchNorm2D(16))
    return Model(
        *(Conv2D(1, 8, 5, stride=2, padding=2, rng=0), Relu()),
        *(Residual(body(8, 8, 1, 1)), Relu(), Residual(body(8, 16, 2, 3), shortcut), Relu()),
        *(GlobalAvgPool2D(), Linear(16, CLASSES, rng=6)),
        dtype=dtype,
    )


def muon(lr: float) -> Muon:
    """For the `seed_network`: the second convolution and the first linear layer are its matrices."""
    return Muon(SGD(lr), ["3.weight", "7.weight"], lr, steps=3, fixed_norm=True)


NETWORKS: dict[str, tuple[Callable[[Any], Model], Callable[..., Any], float]] = {
    "seed": (seed_network, SGD, 0.05),
    "vgg": (vgg, Adam, 0.01),
    "residual": (residual, RMSProp, 0.001),
    "muon": (seed_network, muon, 0.02),
}


def train(name: str, dtype: Any = np.float32, seed: int = 0, epochs: int = 1) -> dict[str, np.ndarray]:
    """Weights, gradients, losses and scores after two steps an epoch, the second one with a smaller batch."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (90, 1, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, 90)
    build, optimizer, lr = NETWORKS[name]
    model = build(dtype)
    trainer = Trainer(model, SoftmaxCrossEntropyLoss(), optimizer(lr=lr))
    history = trainer.fit((images, labels), epochs=epochs, batch_size=53, seed=seed, verbose=False)
    return {
        **model.state(),
        **{f"{parameter.name} grad": parameter.grad for parameter in model.parameters()},
        "losses": np.array(history.step_loss),
        "scores": model.predict(images),
    }


def digest(found: dict[str, np.ndarray]) -> str:
    """One line that differs if any bit does."""
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(name.encode())
        total.update(found[name].tobytes())
    return total.hexdigest()


def assert_a_saved_run_goes_on(make: Callable[[int], Trainer], path: Path) -> None:
    """A run that is saved after two of five epochs, and loaded into a trainer of another seed, ends in the same bits.

    make: seed -> a trainer for 3 values and 3 classes.
    """
    rng = np.random.default_rng(20240229)
    data = rng.standard_normal((40, 3)).astype(np.float32), rng.integers(0, 3, 40)

    class Stop(Callback):
        def on_epoch_end(self, trainer: Trainer, history: History) -> bool:
            return history.epochs == 2

    whole, first, second = make(1), make(1), make(2)
    settings: dict[str, Any] = {"epochs": 5, "batch_size": 7, "seed": 3, "verbose": False}
    whole.fit(data, **settings)
    first.fit(data, callbacks=[Stop()], **settings)
    assert first.history.epochs == 2
    first.save(path)
    second.load(path).fit(data, resume=True, **settings)
    assert second.history.epochs == 5
    for name, array in whole.model.state().items():
        np.testing.assert_array_equal(second.model.state()[name], array)
