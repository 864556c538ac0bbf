"""Images with more pixels.

Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
network", arXiv 1609.05158.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels import checks
from minidl.layers import PixelShuffle, Tanh
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng


def espcn(factor: int = 3, channels: int = 1, width: float = 1.0, rng: Rng = None, **options: Any) -> Model:
    """ESPCN (Shi et al. 2016, arXiv 1609.05158): 22,729 parameters.

    Images (N, channels, H, W) to (N, channels, factor H, factor W), computed at the small size up to the last step,
    which sorts channels into pixels. channels: 1 for brightness, as in the article. width: factor of the numbers of
    channels inside. rng: where first weights are drawn. options: those of `minidl.Model`. Raises TypeError or
    ValueError as the layers do.
    """
    make = Maker("espcn", width, rng)
    factor = checks.integer(make.name, "factor", factor, 1)
    A, B, O = make.wide(64), make.wide(32), channels * factor * factor
    init = "glorot_uniform"
    layers = [
        make.conv(channels, A, 5, init=init), Tanh(), make.conv(A, B, 3, init=init), Tanh(),
        make.conv(B, O, 3, init=init), PixelShuffle(factor),
    ]  # fmt: skip
    return make.model(layers, options)
