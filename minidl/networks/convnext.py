"""Convolutional networks with what was learnt from transformers.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie 2022, "A ConvNet for the 2020s", arXiv 2201.03545.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import (
    AdaptiveAvgPool2D,
    Affine,
    Flatten,
    Gelu,
    Layer,
    LayerNorm,
    Linear,
    Residual,
    Sequential,
    Transpose,
)
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng

EPS = 1e-6
INIT = 0.02
"""Standard deviation of first weights."""
SCALE = 1e-6
"""First factor of what a block adds."""


def convnext_tiny(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ConvNeXt-T (Liu et al. 2022, arXiv 2201.03545): 28,589,128 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of all numbers of
    channels. small: for images of about 32 x 32, a first convolution of 3 x 3 with stride 1 and not one of patches of
    4 x 4, so that maps shrink by 8 and not by 32. No branch is left out at random in training. rng: where first weights
    are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("convnext_tiny", width, rng)
    C = make.wide(96)
    first = make.conv(channels, C, 3, init=INIT) if small else make.conv(channels, C, 4, 4, padding=0, init=INIT)
    layers: list[Layer] = [first, *_norm(C)]
    for stage, depth in enumerate((3, 3, 9, 3)):
        if stage:
            O = make.wide(96 << stage)
            layers += [*_norm(C), make.conv(C, O, 2, 2, padding=0, init=INIT)]
            C = O
        layers += [_block(make, C) for _ in range(depth)]
    layers += [AdaptiveAvgPool2D(1), *_norm(C), Flatten(), Linear(C, classes, init=INIT, rng=make.rng)]
    return make.model(layers, options)


def _block(make: Maker, C: int) -> Layer:
    scale = Affine(C, shift=False)
    for parameter in scale.parameters():
        parameter.data[...] = SCALE
    return Residual(
        Sequential(
            make.conv(C, C, 7, groups=C, init=INIT), *_norm(C), make.conv(C, 4 * C, 1, init=INIT), Gelu(),
            make.conv(4 * C, C, 1, init=INIT), scale,
        )
    )  # fmt: skip


def _norm(C: int) -> list[Layer]:
    """Normalisation of each pixel over its channels, which are moved to the end for it."""
    return [Transpose((0, 2, 3, 1)), LayerNorm(C, EPS), Transpose((0, 3, 1, 2))]
