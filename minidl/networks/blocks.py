"""What the networks are put together from: parts that many of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import (
    AdaptiveAvgPool2D,
    BatchNorm2D,
    Concat,
    Conv2D,
    Graph,
    Input,
    Layer,
    Mul,
    Relu,
    Sequential,
    Sigmoid,
)
from minidl.model import Model
from minidl.support import random

Rng = np.random.Generator | int | None
Size = int | tuple[int, int]
Make = Callable[[], Layer]
"""A layer without settings, an activation."""

SIDE = 8
"""Height and width on which a block is built; it takes others as well."""


class Maker:
    """What all layers of one network have in common.

    name: of the network, for messages. width: factor of the numbers of channels. eps, momentum: of the normalisations.
    act: their activation. Raises TypeError or ValueError for a width that is not positive, and for other generators.
    """

    def __init__(
        self, name: str, width: float, rng: Rng, act: Make = Relu, eps: float = 1e-5, momentum: float = 0.9
    ) -> None:
        self.name = name
        self.width = checks.real(name, "width", width, "positive", lambda value: value > 0)
        self.rng = random.generator(rng)
        self.act = act
        self.eps, self.momentum = eps, momentum

    def wide(self, channels: int, divisor: int = 1) -> int:
        """So many channels times the width, as a multiple of divisor."""
        return multiple(channels * self.width, divisor)

    def conv(self, C: int, O: int, kernel_size: Size, stride: int = 1, groups: int = 1, **more: Any) -> Conv2D:
        """A convolution whose padding keeps the size (stride aside) unless another one is given."""
        if "padding" not in more:
            more["padding"] = tuple(k // 2 for k in checks.pair(self.name, "kernel_size", kernel_size, 1))
        return Conv2D(C, O, kernel_size, stride, groups=groups, rng=self.rng, **more)

    def norm(self, channels: int) -> BatchNorm2D:
        """A normalisation."""
        return BatchNorm2D(channels, self.eps, self.momentum)

    def unit(
        self,
        C: int,
        O: int,
        kernel_size: Size = 3,
        stride: int = 1,
        groups: int = 1,
        act: Make | None = None,
        **more: Any,
    ) -> list[Layer]:
        """Convolution without bias, normalisation, activation (act None: the network's own)."""
        return [*self.linear_unit(C, O, kernel_size, stride, groups, **more), (act or self.act)()]

    def linear_unit(
        self, C: int, O: int, kernel_size: Size = 3, stride: int = 1, groups: int = 1, **more: Any
    ) -> list[Layer]:
        """Convolution without bias and normalisation."""
        return [self.conv(C, O, kernel_size, stride, groups, bias=False, **more), self.norm(O)]

    def excite(self, C: int, squeezed: int, act: Make = Relu, gate: Make = Sigmoid) -> Graph:
        """Squeeze-and-excite: each channel times a factor that the means of all channels give.

        y = x * gate(conv(act(conv(mean(x))))): Hu, Shen, Sun 2018, arXiv 1709.01507.
        """
        x = Input((C, SIDE, SIDE))
        body = Sequential(
            AdaptiveAvgPool2D(1), self.conv(C, squeezed, 1), act(), self.conv(squeezed, C, 1), gate()
        )  # fmt: skip
        return Graph(x, Mul()(x, body(x)))

    def model(self, layers: Sequence[Layer], options: dict[str, Any]) -> Model:
        """The network, named as its function unless options say otherwise."""
        return Model(*layers, **{"name": self.name, **options})


def multiple(wanted: float, divisor: int = 1) -> int:
    """The nearest multiple of divisor, at least one, and not more than a tenth below what is wanted."""
    found = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * wanted else found


def parallel(C: int, *bodies: Sequence[Layer]) -> Graph:
    """The outputs of several chains of layers on one input of C channels, one behind the other as channels.

    A chain without layers stands for the input itself.
    """
    x = Input((C, SIDE, SIDE))
    return Graph(x, Concat()(*(Sequential(*body)(x) if body else x for body in bodies)))
