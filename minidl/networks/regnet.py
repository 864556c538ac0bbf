"""Networks out of a design space in which widths grow linearly.

Radosavovic, Kosaraju, Girshick, He, Dollár 2020, "Designing network design spaces", arXiv 2003.13678.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import GlobalAvgPool2D, Linear, Relu, Residual, Sequential
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng

GROUP = 8
"""Channels of a group of the 3 x 3 convolutions."""


def regnet_y_400mf(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """RegNetY-400MF (Radosavovic et al. 2020, arXiv 2003.13678): 4,344,144 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of all numbers of
    channels, which become multiples of 8, the width of a group. small: for images of about 32 x 32, the first two
    strides of 2 are 1, so that maps shrink by 8 and not by 32. rng: where first weights are drawn. options: those of
    `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("regnet_y_400mf", width, rng)
    C = make.wide(32, GROUP)
    layers = make.unit(channels, C, 3, 1 if small else 2)
    for stage, (size, depth) in enumerate(((48, 1), (104, 3), (208, 6), (440, 6))):
        O = make.wide(size, GROUP)
        for place in range(depth):
            stride = 1 if place or (small and not stage) else 2
            body = Sequential(
                *make.unit(C, O, 1), *make.unit(O, O, 3, stride, O // GROUP), make.excite(O, round(C / 4)),
                *make.linear_unit(O, O, 1),
            )  # fmt: skip
            same = stride == 1 and C == O
            layers += [Residual(body, None if same else Sequential(*make.linear_unit(C, O, 1, stride))), Relu()]
            C = O
    return make.model([*layers, GlobalAvgPool2D(), Linear(C, classes, rng=make.rng)], options)
