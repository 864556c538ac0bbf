"""Inverted residuals: narrow maps are widened, filtered channel by channel, and narrowed again.

MobileNet v2: Sandler, Howard, Zhu, Zhmoginov, Chen 2018, arXiv 1801.04381. MnasNet: Tan et al. 2018, arXiv 1807.11626.
MobileNet v3: Howard et al. 2019, arXiv 1905.02244. EfficientNet: Tan, Le 2019, arXiv 1905.11946. The last one's
branches are not left out at random in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.layers import (
    Dropout,
    GlobalAvgPool2D,
    HardSigmoid,
    HardSwish,
    Layer,
    Linear,
    Relu,
    Relu6,
    Residual,
    Sequential,
    Silu,
)
from minidl.model import Model
from minidl.networks.blocks import Make, Maker, Rng, multiple

V2 = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (3, 6, 32, 3, 2), (3, 6, 64, 4, 2), (3, 6, 96, 3, 1), (3, 6, 160, 3, 2),
    (3, 6, 320, 1, 1),
)  # fmt: skip
MNAS = ((3, 3, 24, 3, 2), (5, 3, 40, 3, 2), (5, 6, 80, 3, 2), (3, 6, 96, 2, 1), (5, 6, 192, 4, 2), (3, 6, 320, 1, 1))
B0 = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)  # fmt: skip
"""Kernel, widening, channels, blocks, stride of the first one."""

V3_SMALL: tuple[tuple[int, int, int, bool, Make, int], ...] = (
    (3, 16, 16, True, Relu, 2), (3, 72, 24, False, Relu, 2), (3, 88, 24, False, Relu, 1),
    (5, 96, 40, True, HardSwish, 2), (5, 240, 40, True, HardSwish, 1), (5, 240, 40, True, HardSwish, 1),
    (5, 120, 48, True, HardSwish, 1), (5, 144, 48, True, HardSwish, 1), (5, 288, 96, True, HardSwish, 2),
    (5, 576, 96, True, HardSwish, 1), (5, 576, 96, True, HardSwish, 1),
)  # fmt: skip
"""Kernel, wide channels, channels, squeeze-and-excite, activation, stride."""


def mobilenet_v2(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381): 3,504,872 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). width: factor of all numbers of
    channels, which become multiples of 8; the last convolution keeps at least its 1,280. small: for images of about
    32 x 32, the first two strides of 2 are 1, so that maps shrink by 8 and not by 32. rng: where first weights are
    drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the layers do.
    """
    make = Maker("mobilenet_v2", width, rng, Relu6)
    C = make.wide(32, 8)
    layers = make.unit(channels, C, 3, 1 if small else 2)
    found, C = _stages(make, C, V2, small)
    layers += found
    O = max(1280, make.wide(1280, 8))
    return make.model([*layers, *make.unit(C, O, 1), *_head(make, O, classes)], options)


def mnasnet(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """MnasNet-B1, found by search (Tan et al. 2018, arXiv 1807.11626): 4,383,312 parameters.

    The last convolution has 1,280 channels for each width. All else as `mobilenet_v2`.
    """
    make = Maker("mnasnet", width, rng, momentum=0.9997)
    A, C = make.wide(32, 8), make.wide(16, 8)
    layers = [*make.unit(channels, A, 3, 1 if small else 2), *make.unit(A, A, 3, 1, A), *make.linear_unit(A, C, 1)]
    found, C = _stages(make, C, MNAS, small)
    return make.model([*layers, *found, *make.unit(C, 1280, 1), *_head(make, 1280, classes)], options)


def mobilenet_v3_small(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """MobileNet v3, the small one (Howard et al. 2019, arXiv 1905.02244): 2,542,856 parameters.

    The hidden units, 1,024, become a multiple of 8 with width as well. All else as `mobilenet_v2`.
    """
    make = Maker("mobilenet_v3_small", width, rng, HardSwish, 1e-3, 0.99)
    C = make.wide(16, 8)
    layers = make.unit(channels, C, 3, 1 if small else 2)
    for place, (k, inner, size, excited, act, stride) in enumerate(V3_SMALL):
        wide, O = make.wide(inner, 8), make.wide(size, 8)
        squeezed = multiple(wide // 4, 8) if excited else 0
        layers.append(
            _inverted(make, C, wide, O, k, 1 if small and not place else stride, squeezed, act, Relu, HardSigmoid)
        )
        C = O
    wide, hidden = 6 * C, make.wide(1024, 8)
    layers += [*make.unit(C, wide, 1), GlobalAvgPool2D(), Linear(wide, hidden, rng=make.rng), HardSwish()]
    return make.model([*layers, Dropout(0.2), Linear(hidden, classes, rng=make.rng)], options)


def efficientnet_b0(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """EfficientNet-B0 (Tan, Le 2019, arXiv 1905.11946): 5,288,548 parameters.

    The last convolution's 1,280 channels change with width as well. All else as `mobilenet_v2`.
    """
    make = Maker("efficientnet_b0", width, rng, Silu)
    C = make.wide(32, 8)
    layers = make.unit(channels, C, 3, 1 if small else 2)
    found, C = _stages(make, C, B0, small, excited=True)
    layers += found
    O = make.wide(1280, 8)
    return make.model([*layers, *make.unit(C, O, 1), *_head(make, O, classes)], options)


def _stages(
    make: Maker, C: int, rows: Sequence[tuple[int, int, int, int, int]], small: bool, excited: bool = False
) -> tuple[list[Layer], int]:
    """The blocks of `V2`, `MNAS` or `B0`, and how many channels they give.

    small: the stage of 24 channels keeps the size. excited: with squeeze-and-excite of a quarter of the channels.
    """
    layers = []
    for k, t, size, depth, stride in rows:
        first = 1 if small and size == 24 else stride
        for place in range(depth):
            O, squeeze = make.wide(size, 8), (max(1, C // 4), Silu, Silu) if excited else ()
            layers.append(_inverted(make, C, C * t, O, k, 1 if place else first, *squeeze))
            C = O
    return layers, C


def _inverted(
    make: Maker,
    C: int,
    wide: int,
    O: int,
    k: int,
    stride: int,
    squeezed: int = 0,
    act: Make | None = None,
    squeeze_act: Make = Relu,
    gate: Make | None = None,
) -> Layer:
    """The block; squeezed: channels inside of its squeeze-and-excite, 0 for none."""
    body = make.unit(C, wide, 1, act=act) if wide != C else []
    body += make.unit(wide, wide, k, stride, wide, act)
    if squeezed:
        body.append(make.excite(wide, squeezed, squeeze_act, *([gate] if gate else [])))
    chain = Sequential(*body, *make.linear_unit(wide, O, 1))
    return Residual(chain) if stride == 1 and C == O else chain


def _head(make: Maker, C: int, classes: int) -> list[Layer]:
    return [GlobalAvgPool2D(), Dropout(0.2), Linear(C, classes, rng=make.rng)]
