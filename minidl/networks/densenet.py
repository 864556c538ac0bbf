"""Every layer of a block reads the outputs of all before it.

Huang, Liu, van der Maaten, Weinberger 2016, "Densely connected convolutional networks", arXiv 1608.06993.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import AvgPool2D, GlobalAvgPool2D, Layer, Linear, MaxPool2D, Relu
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng, parallel


def densenet121(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """DenseNet-121 with a growth of 32 channels a layer (Huang et al. 2016, arXiv 1608.06993): 7,978,856 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of the growth and of the
    first convolution's channels. small: for images of about 32 x 32, a first convolution of 3 x 3 with stride 1 and no
    pooling behind it, so that maps shrink by 8 and not by 32. rng: where first weights are drawn. options: those of
    `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("densenet121", width, rng)
    C, growth = make.wide(64), make.wide(32)
    layers = make.unit(channels, C) if small else [*make.unit(channels, C, 7, 2), MaxPool2D(3, 2, 1)]
    for stage, depth in enumerate((6, 12, 24, 16)):
        if stage:
            layers += [make.norm(C), Relu(), make.conv(C, C // 2, 1, bias=False), AvgPool2D(2)]
            C //= 2
        for _ in range(depth):
            layers.append(parallel(C, [], _body(make, C, growth)))
            C += growth
    return make.model(
        [*layers, make.norm(C), Relu(), GlobalAvgPool2D(), Linear(C, classes, rng=make.rng)], options
    )  # fmt: skip


def _body(make: Maker, C: int, growth: int) -> list[Layer]:
    inner = 4 * growth
    return [
        make.norm(C), Relu(), make.conv(C, inner, 1, bias=False),
        make.norm(inner), Relu(), make.conv(inner, growth, 3, bias=False),
    ]  # fmt: skip
