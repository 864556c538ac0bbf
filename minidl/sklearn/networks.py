"""The network of an estimator: by its name, by a function, or chosen from the data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl import networks
from minidl.layers import AvgPool2D, BatchNorm2D, Conv2D, Flatten, Layer, Linear, MaxPool2D, Relu
from minidl.model import Model
from minidl.support.several import Shape

HIDDEN = 100
"""Units of the perceptron's hidden layer, as many as MLPClassifier's."""
WIDTH = 16
"""Maps of the small CNN's first convolution, half as many beyond `FEW_PIXELS` a side; each further one has twice."""
FEW_PIXELS = 16
STAGES = 4
"""Convolutions of the small CNN, at most."""
MANY, LARGE_BATCH = 10_000, 128
"""From so many rows on a batch has as many as that."""
LARGE = 64
"""Images of more pixels a side get the well-known networks as their articles have them, others their `small` form."""

Function = Callable[[Shape, int], Model]


class Habits(NamedTuple):
    """How a kind of network is trained where nothing else is asked for.

    lr: of AdamW, the largest of the schedule. weight_decay: of AdamW. batch_size: below `MANY` rows. steps: about so
    many, in at least and at most so many epochs.
    """

    lr: float
    weight_decay: float
    batch_size: int
    steps: int
    least: int
    most: int

    def epochs(self, count: int, batch_size: int) -> int:
        """Passes over so many rows."""
        return int(np.clip(-(-self.steps * batch_size // count), self.least, self.most))


MLP = Habits(lr=0.02, weight_decay=1.0, batch_size=128, steps=1200, least=20, most=300)
MLP_OF_NUMBERS = Habits(lr=0.01, weight_decay=0.2, batch_size=32, steps=2000, least=20, most=100)
CNN = Habits(lr=0.02, weight_decay=0.1, batch_size=32, steps=350, least=5, most=60)


def mlp(shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    """A perceptron with one hidden layer."""
    features = int(np.prod(shape))
    first: list[Layer] = [Flatten()] if len(shape) == 3 else []
    return Model(*first, Linear(features, HIDDEN, rng=rng), Relu(), Linear(HIDDEN, outputs, rng=rng))


def cnn(shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    """Convolutions with normalisation and pooling, as long as the maps are 4 x 4 or larger, and one linear layer."""
    C, H, W = shape
    layers: list[Layer] = []
    O = WIDTH if max(H, W) <= FEW_PIXELS else WIDTH // 2
    while not layers or (min(H, W) >= 4 and len(layers) < 4 * STAGES):
        pool = min(2, H), min(2, W)
        layers += [Conv2D(C, O, 3, padding=1, bias=False, rng=rng), BatchNorm2D(O), Relu(), MaxPool2D(pool)]
        C, H, W, O = O, H // pool[0], W // pool[1], 2 * O
    return Model(*layers, Flatten(), Linear(C * H * W, outputs, rng=rng))


def seed(shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    """Two convolutions and two linear layers, the network of the README."""
    C, H, W = shape
    return Model(
        *(Conv2D(C, 8, 3, padding=1, rng=rng), Relu(), AvgPool2D(2)),
        *(Conv2D(8, 16, 3, padding=1, rng=rng), Relu(), AvgPool2D(2), Flatten()),
        *(Linear(16 * (H // 4) * (W // 4), 256, rng=rng), Relu(), Linear(256, outputs, rng=rng)),
    )


def vgg(shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    """Pairs of 3 x 3 convolutions with normalisation between poolings, 32, 64 and 128 maps."""
    C, H, W = shape
    layers: list[Layer] = []
    for O in (32, 64, 128):
        for _ in range(2):
            layers += [Conv2D(C, O, 3, padding=1, bias=False, rng=rng), BatchNorm2D(O), Relu()]
            C = O
        pool = min(2, H), min(2, W)
        layers.append(MaxPool2D(pool))
        H, W = H // pool[0], W // pool[1]
    return Model(*layers, Flatten(), Linear(C * H * W, outputs, rng=rng))


MAPS = ("espcn", "unet")
"""Networks whose answers are images."""
OWN = {"mlp": mlp, "cnn": cnn, "seed": seed, "vgg": vgg}


class Chosen(NamedTuple):
    """A network, how it is trained by default, and whether it takes its input as it comes (a user's function's)."""

    model: Model
    habits: Habits
    raw: bool


def choose(
    who: str, network: Any, shape: Shape, outputs: int, rng: np.random.Generator, numbers: bool = False
) -> Chosen:
    """A new network for rows of `shape`, (F,) or (C, H, W), and so many outputs, first weights drawn from rng.

    network: None for a small CNN for images and a perceptron for rows; a name of `OWN` or of `minidl.networks`; or a
    function (shape, outputs) -> Model. numbers: whether the outputs are numbers, not classes. Raises TypeError or
    ValueError that names what is wrong.
    """
    perceptron = MLP_OF_NUMBERS if numbers else MLP
    own = callable(network) and not isinstance(network, Layer)  # a model, which is called with images, makes none
    if own:
        model = network(shape, outputs)
        if not isinstance(model, Model):
            raise TypeError(f"{who}: network must return a minidl.Model, got {type(model).__name__}")
        habits = CNN if len(shape) == 3 else perceptron
    else:
        name = ("cnn" if len(shape) == 3 else "mlp") if network is None else network
        model, habits = _named(who, name, shape, outputs, rng), perceptron if name == "mlp" else CNN
    found = model.output_shape(shape)
    if found != (outputs,):
        raise ValueError(f"{who}: network must give {outputs} numbers for a row of shape {shape}, got shape {found}")
    return Chosen(model, habits, own)


def _named(who: str, name: Any, shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    known = [*OWN, *(name for name in networks.__all__ if name not in MAPS)]
    if not isinstance(name, str) or name not in known:
        rule = f"None, a function (shape, outputs) -> Model, or one of {', '.join(known)}"
        raise ValueError(f"{who}: network must be {rule}, got {name!r}")
    if len(shape) != 3 and name != "mlp":
        raise ValueError(f"{who}: network {name!r} is for images: say image_shape=(C, H, W), got rows of {shape[0]}")
    try:
        model = _made(name, shape, outputs, rng)
        model.output_shape(shape)
    except ValueError as error:
        raise ValueError(f"{who}: network {name!r} does not take images of shape {shape}: {error}") from error
    return model


def _made(name: str, shape: Shape, outputs: int, rng: np.random.Generator) -> Model:
    """The network of a known name."""
    if name in OWN:
        return OWN[name](shape, outputs, rng)
    function = getattr(networks, name)
    options: dict[str, Any] = {"classes": outputs, "channels": shape[0], "rng": rng}
    if "small" in inspect.signature(function).parameters:
        options["small"] = max(shape[1:]) <= LARGE
    return function(**options)
