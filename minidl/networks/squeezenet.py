"""Few parameters by squeezing: 1 x 1 convolutions to few channels before each 3 x 3.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters",
arXiv 1602.07360.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import Dropout, GlobalAvgPool2D, Graph, Layer, MaxPool2D, Relu, Sequential
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng, parallel


def squeezenet1_1(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360; version 1.1 of its authors): 1,235,496 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of all numbers of
    channels. small: for images of about 32 x 32, a first convolution with stride 1 and no pooling behind it, so that
    maps shrink by 4 and not by 16. rng: where first weights are drawn. options: those of `minidl.Model`. Raises
    TypeError or ValueError as the layers do.
    """
    make = Maker("squeezenet1_1", width, rng)
    C = make.wide(64)
    first: list[Layer] = [make.conv(channels, C, 3), Relu()] if small else [
        make.conv(channels, C, 3, 2, padding=0), Relu(), MaxPool2D(3, 2, ceil_mode=True)
    ]  # fmt: skip
    layers = first
    for squeezed, expanded, pooled in (
        (16, 64, False), (16, 64, True), (32, 128, False), (32, 128, True),
        (48, 192, False), (48, 192, False), (64, 256, False), (64, 256, False),
    ):  # fmt: skip
        E = make.wide(expanded)
        layers.append(_fire(make, C, make.wide(squeezed), E))
        C = 2 * E
        if pooled:
            layers.append(MaxPool2D(3, 2, ceil_mode=True))
    return make.model([*layers, Dropout(0.5), make.conv(C, classes, 1), Relu(), GlobalAvgPool2D()], options)


def _fire(make: Maker, C: int, S: int, E: int) -> Layer:
    expanded: Graph = parallel(S, [make.conv(S, E, 1), Relu()], [make.conv(S, E, 3), Relu()])
    return Sequential(make.conv(C, S, 1), Relu(), expanded)
