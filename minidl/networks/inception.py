"""Branches of several kernel sizes side by side.

GoogLeNet: Szegedy et al. 2014, "Going deeper with convolutions", arXiv 1409.4842. Inception v3: Szegedy, Vanhoucke,
Ioffe, Shlens, Wojna 2015, "Rethinking the Inception architecture", arXiv 1512.00567. Both with a normalisation behind
each convolution and without the auxiliary classifiers, which have a part in training alone.
"""

from __future__ import annotations

from typing import Any

from minidl.layers import AvgPool2D, Dropout, GlobalAvgPool2D, Graph, Layer, Linear, MaxPool2D
from minidl.model import Model
from minidl.networks.blocks import Maker, Rng, parallel

EPS = 1e-3
SEVENS = (128, 160, 160, 192)
"""Channels inside the branches of 1 x 7 and 7 x 1 convolutions, block by block."""

GOOGLE: tuple[tuple[int, ...] | None, ...] = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip
"""Channels of each block's convolutions as in the article's table 1; None: a pooling."""


def googlenet(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842), no auxiliary classifiers: 6,624,904 parameters.

    Images (N, channels, H, W), 224 x 224 in the article, to scores (N, classes). As in PyTorch's definition the third
    branches have kernels of 3 x 3, not 5 x 5. width: factor of all numbers of channels. small: for images of about
    32 x 32, a first convolution of 3 x 3 with stride 1 and no pooling behind it, so that maps shrink by 8 and not by
    32. rng: where first weights are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the
    layers do.
    """
    make = Maker("googlenet", width, rng, eps=EPS)
    A, C = make.wide(64), make.wide(192)
    layers = make.unit(channels, A) if small else [*make.unit(channels, A, 7, 2), MaxPool2D(3, 2, ceil_mode=True)]
    layers += [*make.unit(A, A, 1), *make.unit(A, C), MaxPool2D(3, 2, ceil_mode=True)]
    pools = [MaxPool2D(3, 2, ceil_mode=True), MaxPool2D(2, 2, ceil_mode=True)]
    for sizes in GOOGLE:
        if sizes is None:
            layers.append(pools.pop(0))
            continue
        a, b, c, d, e, f = map(make.wide, sizes)
        pool = MaxPool2D(3, 1, 1)
        layers.append(
            parallel(
                C,
                make.unit(C, a, 1),
                [*make.unit(C, b, 1), *make.unit(b, c)],
                [*make.unit(C, d, 1), *make.unit(d, e)],
                [pool, *make.unit(C, f, 1)],
            )
        )
        C = a + c + e + f
    return make.model([*layers, GlobalAvgPool2D(), Dropout(0.2), Linear(C, classes, rng=make.rng)], options)


def inception_v3(
    classes: int = 1000,
    channels: int = 3,
    width: float = 1.0,
    small: bool = False,
    rng: Rng = None,
    **options: Any,
) -> Model:
    """Inception v3 (Szegedy et al. 2015, arXiv 1512.00567), no auxiliary classifier: 23,834,568 parameters.

    With the auxiliary classifier, which this network leaves out, the published ones are 27,161,264. Images (N,
    channels, H, W) of at least 75 x 75, 299 x 299 in the article, to scores (N, classes). width: factor of all numbers
    of channels. small: for images of at least 26 x 26, a first convolution with stride 1 and no pooling before the
    fourth. rng: where first weights are drawn. options: those of `minidl.Model`. Raises TypeError or ValueError as the
    layers do.
    """
    make = Maker("inception_v3", width, rng, eps=EPS)
    a, b, c, C = map(make.wide, (32, 64, 80, 192))
    layers = [
        *make.unit(channels, a, 3, 1 if small else 2, padding=0), *make.unit(a, a, 3, padding=0), *make.unit(a, b),
        *([] if small else [MaxPool2D(3, 2)]),
        *make.unit(b, c, 1), *make.unit(c, C, 3, padding=0), MaxPool2D(3, 2),
    ]  # fmt: skip
    for pooled in (32, 64, 64):
        block, C = _fives(make, C, make.wide(pooled))
        layers.append(block)
    block, C = _to_17(make, C)
    layers.append(block)
    for inner in SEVENS:
        block, C = _sevens(make, C, make.wide(inner))
        layers.append(block)
    block, C = _to_8(make, C)
    layers.append(block)
    for _ in range(2):
        block, C = _forked(make, C)
        layers.append(block)
    return make.model([*layers, GlobalAvgPool2D(), Dropout(0.5), Linear(C, classes, rng=make.rng)], options)


def _pooled(make: Maker, C: int, O: int) -> list[Layer]:
    return [AvgPool2D(3, 1, 1), *make.unit(C, O, 1)]


def _fives(make: Maker, C: int, pooled: int) -> tuple[Graph, int]:
    a, b, c = map(make.wide, (48, 64, 96))
    block = parallel(
        C,
        make.unit(C, b, 1),
        [*make.unit(C, a, 1), *make.unit(a, b, 5)],
        [*make.unit(C, b, 1), *make.unit(b, c), *make.unit(c, c)],
        _pooled(make, C, pooled),
    )
    return block, 2 * b + c + pooled


def _to_17(make: Maker, C: int) -> tuple[Graph, int]:
    a, b, c = map(make.wide, (64, 96, 384))
    block = parallel(
        C,
        make.unit(C, c, 3, 2, padding=0),
        [*make.unit(C, a, 1), *make.unit(a, b), *make.unit(b, b, 3, 2, padding=0)],
        [MaxPool2D(3, 2)],
    )
    return block, c + b + C


def _sevens(make: Maker, C: int, a: int) -> tuple[Graph, int]:
    O, row, column = make.wide(192), (1, 7), (7, 1)
    block = parallel(
        C,
        make.unit(C, O, 1),
        [*make.unit(C, a, 1), *make.unit(a, a, row), *make.unit(a, O, column)],
        [
            *make.unit(C, a, 1), *make.unit(a, a, column), *make.unit(a, a, row),
            *make.unit(a, a, column), *make.unit(a, O, row),
        ],
        _pooled(make, C, O),
    )  # fmt: skip
    return block, 4 * O


def _to_8(make: Maker, C: int) -> tuple[Graph, int]:
    a, b = map(make.wide, (192, 320))
    block = parallel(
        C,
        [*make.unit(C, a, 1), *make.unit(a, b, 3, 2, padding=0)],
        [*make.unit(C, a, 1), *make.unit(a, a, (1, 7)), *make.unit(a, a, (7, 1)), *make.unit(a, a, 3, 2, padding=0)],
        [MaxPool2D(3, 2)],
    )
    return block, b + a + C


def _forked(make: Maker, C: int) -> tuple[Graph, int]:
    a, b, c, d = map(make.wide, (320, 384, 448, 192))

    def fork() -> Graph:
        return parallel(b, make.unit(b, b, (1, 3)), make.unit(b, b, (3, 1)))

    block = parallel(
        C,
        make.unit(C, a, 1),
        [*make.unit(C, b, 1), fork()],
        [*make.unit(C, c, 1), *make.unit(c, b), fork()],
        _pooled(make, C, d),
    )
    return block, a + 4 * b + d
