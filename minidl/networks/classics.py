"""The networks that began it: LeNet-5 and AlexNet."""

from __future__ import annotations

from typing import Any

from minidl.layers import AdaptiveAvgPool2D, AvgPool2D, Conv2D, Dropout, Flatten, Layer, Linear, MaxPool2D, Relu, Tanh
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng


def lenet5(
    classes: int = 10,
    channels: int = 1,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning ..."): 61,706 parameters.

    Images (N, channels, 32, 32) to scores (N, classes); small: (N, channels, 28, 28), as the digits of MNIST come, with
    two rows and columns of zeros around. As it is built today: every map of the second convolution sees all of the
    first, pooling is the mean, and the last layer is linear. width: factor of all numbers of channels. rng: where first
    weights are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("lenet5", width, rng)
    A, B, F, G = (make.wide(size) for size in (6, 16, 120, 84))
    drawn: dict[str, Any] = {"init": "glorot_uniform", "rng": make.rng}
    layers: list[Layer] = [
        Conv2D(channels, A, 5, padding=2 if small else 0, **drawn), Tanh(), AvgPool2D(2),
        Conv2D(A, B, 5, **drawn), Tanh(), AvgPool2D(2), Flatten(),
        Linear(B * 25, F, **drawn), Tanh(), Linear(F, G, **drawn), Tanh(), Linear(G, classes, **drawn),
    ]  # fmt: skip
    return make.model(layers, options)


def alexnet(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """AlexNet in one column (Krizhevsky 2014, arXiv 1404.5997): 61,100,840 parameters.

    Images (N, channels, H, W) of at least 63 x 63, 224 x 224 in the article, to scores (N, classes). width: factor of
    all numbers of channels and hidden units. small: for images of about 32 x 32, a first convolution of 5 x 5 with
    stride 1, and 3 x 3 numbers a channel, not 6 x 6, before the hidden units. rng: where first weights are drawn.
    options: those of `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("alexnet", width, rng)
    A, B, C, D, F = (make.wide(size) for size in (64, 192, 384, 256, 4096))
    side = 3 if small else 6
    first = Conv2D(channels, A, 5, padding=2, rng=make.rng) if small else Conv2D(channels, A, 11, 4, 2, rng=make.rng)
    layers: list[Layer] = [
        first, Relu(), MaxPool2D(3, 2), make.conv(A, B, 5), Relu(), MaxPool2D(3, 2),
        make.conv(B, C, 3), Relu(), make.conv(C, D, 3), Relu(), make.conv(D, D, 3), Relu(), MaxPool2D(3, 2),
        AdaptiveAvgPool2D(side), Flatten(),
        Dropout(0.5), Linear(D * side * side, F, rng=make.rng), Relu(),
        Dropout(0.5), Linear(F, F, rng=make.rng), Relu(), Linear(F, classes, rng=make.rng),
    ]  # fmt: skip
    return make.model(layers, options)
