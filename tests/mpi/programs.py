"""Trainings that one process and several ranks do alike."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from small_runs import residual, seed_network, vgg

import minidl
from minidl.data.augment.transforms import Crop, Flip

IMAGES, VALIDATED = 60, 22


class Steps(minidl.Callback):
    """A checksum of all weights and running statistics after each step."""

    def on_fit_begin(self, trainer: Any) -> None:
        self.sums: list[int] = []

    def on_step_end(self, trainer: Any, history: Any) -> None:
        number = 0
        for array in trainer.model.state().values():
            number = zlib.crc32(array.tobytes(), number)
        self.sums.append(number)


def images(count: int = IMAGES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images and labels of ten classes, all of which are there."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 1, 28, 28)).astype(np.uint8), np.arange(count) % 10


def perceptron(dtype: Any) -> minidl.Model:
    """Of which the first layer is frozen."""
    layers = minidl.Flatten(), minidl.Linear(784, 32, rng=1).freeze(), minidl.Relu(), minidl.Linear(32, 24, rng=2)
    return minidl.Model(*layers, minidl.Relu(), minidl.Linear(24, 10, rng=3), dtype=dtype)


def one_number(dtype: Any) -> minidl.Model:
    """A regression."""
    return minidl.Model(minidl.Flatten(), minidl.Linear(784, 1, rng=1), dtype=dtype)


class Halves:
    """Images in batches, with weights."""

    def __iter__(self) -> Any:
        x, y = images()
        weight = np.random.default_rng(5).random(IMAGES).astype(np.float32)
        return ((x[i : i + 23], y[i : i + 23], weight[i : i + 23]) for i in range(0, IMAGES, 23))


def _case(
    network: Callable[[Any], minidl.Model],
    optimizer: Callable[[], Any],
    batch_size: int,
    dtype: str = "float32",
    loss: Callable[[], Any] = minidl.SoftmaxCrossEntropyLoss,
    average: Callable[[], Any] = lambda: None,
    metrics: Any = None,
    numbers: bool = False,
    stream: bool = False,
    **arguments: Any,
) -> Callable[..., dict[str, Any]]:
    def train(parallel: Any = None, rows: slice = slice(None), judged: slice = slice(None)) -> dict[str, Any]:
        minidl.seed(11)
        model = network(dtype)
        trainer = minidl.Trainer(model, loss(), optimizer(), average(), metrics, parallel)
        x, y = images()
        xv, yv = images(VALIDATED, 1)
        if numbers:
            y, yv = (np.sin(each)[:, None] for each in (y, yv))
        given = dict(arguments)
        if "sample_weight" in given:
            given["sample_weight"] = given["sample_weight"][rows]
        data = Halves() if stream else (x[rows], y[rows])
        steps = Steps()
        common = {"epochs": 2, "batch_size": batch_size, "seed": 3, "callbacks": steps, "verbose": False}
        history = trainer.fit(data, validation=(xv[judged], yv[judged]), **common, **given)
        found = {f"weight {name}": array for name, array in model.state().items()}
        found |= {f"history {name}": np.array(values) for name, values in history.items() if name != "seconds"}
        return {**found, "history step_loss": np.array(history.step_loss), "steps": np.array(steps.sums)}

    return train


SGD = lambda: minidl.SGD(0.05, momentum=0.9, clip_norm=1.0)  # noqa: E731
WEIGHTS = np.random.default_rng(4).random(IMAGES)

CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "seed network, clipped": _case(seed_network, SGD, 32),
    "normalisation, dropout, average": _case(
        vgg, lambda: minidl.SGD(0.02, momentum=0.9), 37, average=lambda: minidl.WeightAverage(0.9)
    ),
    "residual, Lookahead": _case(residual, lambda: minidl.Lookahead(minidl.AdamW(0.001), every=2), 7, dtype="float64"),
    "batches of one, weighted": _case(
        perceptron,
        SGD,
        1,
        dtype="float64",
        loss=lambda: minidl.SoftmaxCrossEntropyLoss(0.1, class_weight="balanced"),
        sample_weight=WEIGHTS,
    ),
    "classes and images weighted": _case(
        seed_network,
        SGD,
        13,
        loss=lambda: minidl.SoftmaxCrossEntropyLoss(class_weight=range(10)),
        sample_weight=WEIGHTS,
    ),
    "Muon, frozen, moved": _case(
        perceptron,
        lambda: minidl.Muon(SGD(), ["3.weight"]),
        20,
        augment=(Crop(2), Flip()),
        metrics={"f1": minidl.metrics.MacroF1()},
    ),
    "numbers": _case(
        one_number,
        lambda: minidl.SGD(0.001),
        17,
        loss=lambda: minidl.HuberLoss(0.5),
        numbers=True,
        metrics={"error": minidl.metrics.MeanAbsoluteError()},
    ),
    "batches, a function of one's own": _case(
        seed_network, SGD, 1, stream=True, augment=lambda images, rng: 255 - images if rng.random() < 0.5 else images
    ),
}
"""Name -> a training. parallel: of the Trainer. rows, judged: the part of data and validation data that is here."""


def normed() -> minidl.Model:
    """Normalisation of images and of rows, one of them with statistics that stay, in float64."""
    kept = minidl.BatchNorm2D(4).freeze(statistics=True)
    kept.running_mean[...] = 0.1 + np.arange(4) / 3
    return minidl.Model(
        *(minidl.AvgPool2D(4), minidl.Conv2D(1, 4, 3, rng=1), minidl.BatchNorm2D(4), minidl.Relu(), kept),
        *(minidl.Flatten(), minidl.Linear(100, 6, rng=2), minidl.BatchNorm1D(6, momentum=0.5)),
        minidl.Linear(6, 10, rng=3),
        dtype="float64",
    )
