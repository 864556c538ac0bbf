"""Residual networks: each block adds to its input what is still missing.

He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", arXiv 1512.03385. The stride of a block with
three convolutions is that of the middle one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.layers import GlobalAvgPool2D, Layer, Linear, MaxPool2D, Relu, Residual, Sequential
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng

CARDINALITY = 32


def resnet18(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ResNet-18 (He et al. 2015, arXiv 1512.03385): 11,689,512 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of all numbers of
    channels. small: for images of about 32 x 32, a first convolution of 3 x 3 with stride 1 and no pooling behind it,
    so that maps shrink by 8 and not by 32. rng: where first weights are drawn. options: those of `minidl.Model`. Raises
    TypeError or ValueError as the layers do.
    """
    return _resnet(Maker("resnet18", width, rng), _basic, (2, 2, 2, 2), classes, channels, small, options)


def resnet34(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ResNet-34 (He et al. 2015, arXiv 1512.03385): 21,797,672 parameters. All else as `resnet18`."""
    return _resnet(Maker("resnet34", width, rng), _basic, (3, 4, 6, 3), classes, channels, small, options)


def resnet50(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ResNet-50, of blocks with three convolutions (He et al. 2015, arXiv 1512.03385): 25,557,032 parameters.

    All else as `resnet18`.
    """
    return _resnet(Maker("resnet50", width, rng), _bottleneck, (3, 4, 6, 3), classes, channels, small, options)


def resnext50(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """ResNeXt-50 (32 x 4d), whose middle convolutions have 32 groups: 25,028,904 parameters.

    Xie, Girshick, Dollár, Tu, He 2016, arXiv 1611.05431. All else as `resnet18`; the groups stay 32 for each width.
    """
    return _resnet(Maker("resnext50", width, rng), _grouped, (3, 4, 6, 3), classes, channels, small, options)


def _resnet(
    make: Maker, block: Any, depths: Sequence[int], classes: int, channels: int, small: bool, options: dict[str, Any]
) -> Model:
    C = planes = make.wide(64)
    layers = make.unit(channels, C) if small else [*make.unit(channels, C, 7, 2), MaxPool2D(3, 2, 1)]
    for stage, depth in enumerate(depths):
        for place in range(depth):
            stride = 2 if stage and not place else 1
            body, O = block(make, C, planes << stage, stride)
            same = stride == 1 and C == O
            shortcut = None if same else Sequential(*make.linear_unit(C, O, 1, stride))
            layers += [Residual(Sequential(*body), shortcut), Relu()]
            C = O
    return make.model([*layers, GlobalAvgPool2D(), Linear(C, classes, rng=make.rng)], options)


def _basic(make: Maker, C: int, planes: int, stride: int) -> tuple[list[Layer], int]:
    return [*make.unit(C, planes, 3, stride), *make.linear_unit(planes, planes)], planes


def _bottleneck(make: Maker, C: int, planes: int, stride: int) -> tuple[list[Layer], int]:
    return _narrow(make, C, planes, stride, planes, 1)


def _grouped(make: Maker, C: int, planes: int, stride: int) -> tuple[list[Layer], int]:
    return _narrow(make, C, planes, stride, max(1, planes // 16) * CARDINALITY, CARDINALITY)


def _narrow(make: Maker, C: int, planes: int, stride: int, inner: int, groups: int) -> tuple[list[Layer], int]:
    O = 4 * planes
    middle = make.unit(inner, inner, 3, stride, groups)
    return [*make.unit(C, inner, 1), *middle, *make.linear_unit(inner, O, 1)], O
