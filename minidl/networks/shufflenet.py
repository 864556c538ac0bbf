"""Halves of the channels that are mixed after each block.

Ma, Zhang, Zheng, Sun 2018, "ShuffleNet V2: practical guidelines for efficient CNN architecture design", arXiv
1807.11164.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import (
    ChannelShuffle,
    Concat,
    GlobalAvgPool2D,
    Graph,
    Input,
    Layer,
    Linear,
    MaxPool2D,
    Sequential,
    Split,
)
from minidl.model import Model
from minidl.networks.blocks import SIDE, Maker, Rng, parallel


def shufflenet_v2(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ShuffleNet V2 1x (Ma et al. 2018, arXiv 1807.11164): 2,278,604 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of the blocks' numbers
    of channels, which become even (those of the first and last convolution stay 24 and 1,024). small: for images of
    about 32 x 32, a first convolution with stride 1 and no pooling behind it, so that maps shrink by 8 and not by 32.
    rng: where first weights are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the layers
    do.
    """
    make = Maker("shufflenet_v2", width, rng)
    C, last = 24, 1024
    layers = make.unit(channels, C) if small else [*make.unit(channels, C, 3, 2), MaxPool2D(3, 2, 1)]
    for size, depth in ((116, 4), (232, 8), (464, 4)):
        O = make.wide(size, 2)
        layers.append(_halving(make, C, O // 2))
        layers += [_mixing(make, O // 2) for _ in range(depth - 1)]
        C = O
    return make.model(
        [*layers, *make.unit(C, last, 1), GlobalAvgPool2D(), Linear(last, classes, rng=make.rng)], options
    )


def _halving(make: Maker, C: int, half: int) -> Layer:
    left = [*make.linear_unit(C, C, 3, 2, C), *make.unit(C, half, 1)]
    return Sequential(parallel(C, left, _branch(make, C, half, 2)), ChannelShuffle(2))


def _mixing(make: Maker, half: int) -> Layer:
    x = Input((2 * half, SIDE, SIDE))
    left, right = Split(2)(x)
    return Graph(x, ChannelShuffle(2)(Concat()(left, Sequential(*_branch(make, half, half, 1))(right))))


def _branch(make: Maker, C: int, half: int, stride: int) -> list[Layer]:
    return [*make.unit(C, half, 1), *make.linear_unit(half, half, 3, stride, half), *make.unit(half, half, 1)]
