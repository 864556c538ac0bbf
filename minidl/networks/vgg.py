"""Chains of 3 x 3 convolutions between poolings.

Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv 1409.1556.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.layers import AdaptiveAvgPool2D, Dropout, Flatten, Layer, Linear, MaxPool2D, Relu
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng


def vgg11(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    norm: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """VGG-11, configuration A (Simonyan, Zisserman 2014, arXiv 1409.1556): 132,863,336 parameters.

    Images (N, channels, H, W) of at least 32 x 32, 224 x 224 in the article, to scores (N, classes). norm: a
    normalisation behind each convolution (132,868,840 parameters). width: factor of all numbers of channels and hidden
    units. small: for images of about 32 x 32, one number a channel, not 7 x 7, before the hidden units. rng: where
    first weights are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    return _vgg(Maker("vgg11", width, rng), (1, 1, 2, 2, 2), classes, channels, small, norm, options)


def vgg16(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    norm: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """VGG-16, configuration D (Simonyan, Zisserman 2014, arXiv 1409.1556): 138,357,544 parameters.

    With norm 138,365,992. All else as `vgg11`.
    """
    return _vgg(Maker("vgg16", width, rng), (2, 2, 3, 3, 3), classes, channels, small, norm, options)


def _vgg(
    make: Maker, depths: Sequence[int], classes: int, channels: int, small: bool, norm: bool, options: dict[str, Any]
) -> Model:
    layers: list[Layer] = []
    C = channels
    for depth, size in zip(depths, (64, 128, 256, 512, 512)):
        for _ in range(depth):
            O = make.wide(size)
            layers += [make.conv(C, O, 3), *([make.norm(O)] if norm else []), Relu()]
            C = O
        layers.append(MaxPool2D(2))
    side, F = 1 if small else 7, make.wide(4096)
    layers += [
        AdaptiveAvgPool2D(side), Flatten(), Linear(C * side * side, F, rng=make.rng), Relu(), Dropout(0.5),
        Linear(F, F, rng=make.rng), Relu(), Dropout(0.5), Linear(F, classes, rng=make.rng),
    ]  # fmt: skip
    return make.model(layers, options)
