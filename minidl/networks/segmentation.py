"""Scores for each pixel: down to small maps that see much, and up again beside what was seen on the way.

Ronneberger, Fischer, Brox 2015, "U-Net: convolutional networks for biomedical image segmentation", arXiv 1505.04597.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels import checks
from minidl.layers import Concat, ConvTranspose2D, Graph, Input, Layer, MaxPool2D, Relu, Sequential
from minidl.model import Model
from minidl.networks.blocks import SIDE, Maker, Rng


def unet(
    classes: int = 1,
    channels: int = 3,
    width: float = 1.0,
    depth: int = 4,
    norm: bool = True,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """U-Net (Ronneberger et al. 2015, arXiv 1505.04597): 31,037,633 parameters.

    Images (N, channels, H, W), height and width multiples of 2^depth, to scores (N, classes, H, W). Convolutions keep
    the size, so nothing is cropped. depth: how often maps are halved. norm: a normalisation behind each convolution
    instead of its bias, which the article does not have (31,030,593 parameters for channels=1 without). width: factor
    of all numbers of channels. rng: where first weights are drawn. options: those of `minidl.Model`. Raises TypeError
    or ValueError as the layers do.
    """
    make = Maker("unet", width, rng)
    depth = checks.integer(make.name, "depth", depth, 1)
    sizes = [make.wide(64 << level) for level in range(depth + 1)]
    x = y = Input((channels, SIDE << depth, SIDE << depth))
    beside = []
    C = channels
    for O in sizes[:-1]:
        y = _double(make, C, O, norm)(y)
        beside.append(y)
        y = MaxPool2D(2)(y)
        C = O
    y = _double(make, C, sizes[-1], norm)(y)
    C = sizes[-1]
    for O, other in zip(reversed(sizes[:-1]), reversed(beside)):
        y = ConvTranspose2D(C, O, 2, 2, rng=make.rng)(y)
        y = _double(make, 2 * O, O, norm)(Concat()(other, y))
        C = O
    return make.model([Graph(x, make.conv(C, classes, 1)(y))], options)


def _double(make: Maker, C: int, O: int, norm: bool) -> Layer:
    if norm:
        return Sequential(*make.unit(C, O), *make.unit(O, O))
    return Sequential(make.conv(C, O, 3), Relu(), make.conv(O, O, 3), Relu())
