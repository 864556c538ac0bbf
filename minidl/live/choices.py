"""What may be chosen on the page: data, networks as lists of layers, optimisers, changes of the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minidl import data, optim
from minidl.data.files.search import no_download

VALIDATION = 2000
"""So many images of the test set are the validation data, at most: they are predicted after every epoch."""
FOLDER_SIDE = 32
"""Pictures of a folder become squares of so many pixels."""


@dataclass(frozen=True)
class Images:
    """A data set: x uint8 (N, C, H, W), y int64 (N,), and the names of the classes."""

    title: str
    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return self.x.shape[1:]


DATA = {
    "digits": "5,000 digits (inside minidl)",
    "mnist": "MNIST",
    "fashion": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "folder": "your folder of pictures",
}
DIGITS = tuple("0123456789")


def read_data(name: str, path: str | None, folder: str | None) -> Images:
    """The data set of this name. path: where its files are; None for the usual places. folder: that of "folder".

    Nothing is downloaded. Raises ValueError, OSError or DataError (a ValueError) in one line where there are none.
    """
    if name not in DATA:
        raise ValueError(f"there are no data {name!r:.40}; there are {', '.join(DATA)}")
    if name == "folder":
        if folder is None:
            raise ValueError(
                "no folder is there: start with python -m minidl.live --folder FOLDER, a sub-folder a class"
            )
        found = data.load_folder(folder, FOLDER_SIDE)
        if len(found.names) < 2:
            raise ValueError(f"the folder {folder} has one sub-folder: there must be two classes at least")
        try:
            (x, y), (x_val, y_val) = data.split(found.x, found.y, 0.2, seed=0)
        except ValueError as error:
            had = f"{len(found.x)} pictures in {len(found.names)} sub-folders"
            rule = "a fifth of them becomes the validation data, so each sub-folder should have 5 at least"
            raise ValueError(f"the folder {folder} has only {had}: {rule}") from error
        return Images(DATA[name], x, y, x_val[:VALIDATION], y_val[:VALIDATION], tuple(found.names))
    loaders: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        "digits": (lambda path: data.load_digits_mini(), DIGITS),
        "mnist": (data.load_mnist, DIGITS),
        "fashion": (data.load_fashion_mnist, data.FASHION_MNIST_CLASSES),
        "cifar10": (data.load_cifar10, data.CIFAR10_CLASSES),
    }
    load, names = loaders[name]
    with no_download("start python -m minidl.live with --data and the folder that has them"):
        (x, y), (x_val, y_val) = load(path)
    return Images(DATA[name], x, y, x_val[:VALIDATION], y_val[:VALIDATION], names)


# ---- networks --------------------------------------------------------------------------------------------------------

NETWORKS = {
    "seed": "two convolutions (the README's)",
    "lenet": "LeNet",
    "three-layer": "three layers (CS231n)",
    "residual": "small residual",
    "mlp": "perceptron, no convolution",
}


def network_lines(name: str, shape: tuple[int, ...], classes: int) -> list[str]:
    """The list of layers of this name, for images (C, H, W). Raises ValueError for an unknown one."""
    C, H, W = shape
    if name == "seed":
        return [
            *(f"Conv2D({C}, 8, 3, padding=1)", "Relu()", "AvgPool2D(2)"),
            *("Conv2D(8, 16, 3, padding=1)", "Relu()", "AvgPool2D(2)"),
            *("Flatten()", f"Linear({16 * (H // 4) * (W // 4)}, 256)", "Relu()", f"Linear(256, {classes})"),
        ]
    if name == "lenet":
        features = 16 * ((H // 2 - 4) // 2) * ((W // 2 - 4) // 2)
        return [
            *(f"Conv2D({C}, 6, 5, padding=2)", "Relu()", "MaxPool2D(2)", "Conv2D(6, 16, 5)", "Relu()", "MaxPool2D(2)"),
            *("Flatten()", f"Linear({features}, 120)", "Relu()", "Linear(120, 84)", "Relu()", f"Linear(84, {classes})"),
        ]
    if name == "three-layer":
        return [
            *(f"Conv2D({C}, 16, 7, padding=3)", "Relu()", "MaxPool2D(2)"),
            *("Flatten()", f"Linear({16 * (H // 2) * (W // 2)}, 100)", "Relu()", f"Linear(100, {classes})"),
        ]
    if name == "residual":
        body = "Conv2D(16, 16, 3, padding=1, bias=False), BatchNorm2D(16)"
        return [
            *(f"Conv2D({C}, 16, 3, padding=1, bias=False)", "BatchNorm2D(16)", "Relu()", "MaxPool2D(2)"),
            *(f"Residual(Sequential({body}, Relu(), {body}))", "Relu()", "MaxPool2D(2)"),
            *("Conv2D(16, 32, 3, padding=1, bias=False)", "BatchNorm2D(32)", "Relu()"),
            *("GlobalAvgPool2D()", f"Linear(32, {classes})"),
        ]
    if name == "mlp":
        return ["Flatten()", f"Linear({C * H * W}, 100)", "Relu()", f"Linear(100, {classes})"]
    raise ValueError(f"there is no network {name!r:.40}; there are {', '.join(NETWORKS)}")


# ---- training --------------------------------------------------------------------------------------------------------


class Optimiser(NamedTuple):
    """help: what it does, in a line. lr: its usual rate. made: one with a rate and a weight decay."""

    title: str
    help: str
    lr: float
    made: Callable[[float, float], optim.Optimizer]


OPTIMISERS = {
    "sgd": Optimiser(
        "SGD with momentum 0.9",
        "A step against the gradient, and 0.9 of the step before: steps that agree add up.",
        0.01,
        lambda lr, decay: optim.SGD(lr, momentum=0.9, weight_decay=decay),
    ),
    "plain": Optimiser(
        "SGD without momentum",
        "Stochastic gradient descent: each weight becomes itself minus the rate times its gradient.",
        0.1,
        lambda lr, decay: optim.SGD(lr, weight_decay=decay),
    ),
    "adam": Optimiser(
        "Adam",
        "Adaptive moments: the mean of the last gradients, divided by their root mean square, for each weight.",
        0.001,
        lambda lr, decay: optim.Adam(lr, weight_decay=decay),
    ),
    "adamw": Optimiser(
        "AdamW",
        "Adam; the weight decay shrinks the weights themselves, apart from the gradient.",
        0.001,
        lambda lr, decay: optim.AdamW(lr, weight_decay=decay),
    ),
    "rmsprop": Optimiser(
        "RMSProp",
        "The gradient, divided by the root of its running mean square, for each weight.",
        0.001,
        lambda lr, decay: optim.RMSProp(lr, weight_decay=decay),
    ),
}

CHANGES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "none": ("as they are", ()),
    "shift": ("shifted by up to 2 pixels", (data.Shift(2),)),
    "turn": ("turned, scaled, shifted", (data.Affine(rotation=10, scale=0.1, shift=2),)),
    "flip": ("mirrored and shifted (no digits)", (data.Flip(), data.Shift(2))),
}


@dataclass(frozen=True)
class Settings:
    """What a training begins with; `of` reads them from a request."""

    data: str = "digits"
    network: str = "seed"
    layers: tuple[str, ...] = ()
    optimiser: str = "sgd"
    lr: float = 0.01
    weight_decay: float = 1e-4
    batch: int = 100
    epochs: int = 100
    change: str = "none"
    seed: int = 0

    @classmethod
    def of(cls, asked: Any) -> Settings:
        """Settings of a JSON object, those that it lacks having their defaults. Raises ValueError, `Faults` of all."""
        if not isinstance(asked, dict):
            raise ValueError("settings must be an object")
        lines = asked.get("layers", ())
        if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines):
            raise ValueError("layers must be a list of texts")
        usual = vars(cls()) | asked
        values = read_all(
            data=lambda: one_of("data", usual["data"], DATA),
            network=lambda: one_of("network", usual["network"], NETWORKS),
            optimiser=lambda: one_of("optimiser", usual["optimiser"], OPTIMISERS),
            lr=lambda: number("learning rate", usual["lr"], 0, 100),
            weight_decay=lambda: number("weight decay", usual["weight_decay"], 0, 10),
            batch=lambda: whole("batch", usual["batch"], 1, 10_000),
            epochs=lambda: whole("epochs", usual["epochs"], 1, 1_000_000),
            change=lambda: one_of("change of the images", usual["change"], CHANGES),
            seed=lambda: whole("seed", usual["seed"], 0, 2**31),
        )
        return cls(layers=tuple(lines), **values)


class Faults(ValueError):
    """What is wrong with some fields; fields: a line for each, by its name."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = fields


def read_all(**fields: Callable[[], Any]) -> dict[str, Any]:
    """What the functions give, by field. Raises `Faults` of all at once that raise an error in words."""
    values, faults = {}, {}
    for name, read in fields.items():
        try:
            values[name] = read()
        except (ValueError, OSError, ImportError) as error:
            faults[name] = " ".join(str(error).split())
    if faults:
        raise Faults(faults)
    return values


def one_of(what: str, value: Any, names: Any) -> str:
    """A name; ValueError for one that is not there."""
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {told(value)}")
    return value


def number(what: str, value: Any, least: float, most: float) -> float:
    """A float in [least, most]; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{what} must be a number from {least:g} to {most:g}, got {told(value)}")
    return float(value)


def whole(what: str, value: Any, least: int, most: int) -> int:
    """An int in [least, most]; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{what} must be a whole number from {least:,} to {most:,}, got {told(value)}")
    return value


def places(what: str, value: Any, most: int, count: int) -> list[int]:
    """A list of at most `count` ints in [0, most]; ValueError for anything else."""
    if not isinstance(value, list) or len(value) > count:
        had = len(value) if isinstance(value, list) else told(value)
        raise ValueError(f"{what} must be a list of at most {count:,} numbers, got {had}")
    return [whole(what, each, 0, most) for each in value]


def told(value: Any) -> str:
    """A value in a message; an empty field has none."""
    return "nothing" if value is None else f"{value!r:.40}"
