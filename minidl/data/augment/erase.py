"""Boxes of training images filled with a colour, the last thing that happens to an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidl.data.augment.colors import bounds, probability
from minidl.data.augment.randomness import BOX, COLOR, ERASE, PLACE, Draw, below, shares
from minidl.kernels import checks, image_moves
from minidl.kernels.counter_random import mix
from minidl.kernels.image_colors import Colors

Pair = tuple[int, int]


@dataclass(frozen=True)
class Erase:
    """Fill a random box with a colour, with probability p: Zhong et al. 2017, arXiv 1708.04896.

    scale: least and most share of the image's area that the box takes, evenly drawn, above 0 and at most 1. ratio:
    least and most of its height by its width, evenly drawn on a logarithmic scale. Sides are rounded to whole pixels
    and no longer than the image's; the box lies anywhere inside. color: "random", one for each box, every channel
    evenly from the whole range of values, 0 to 1 for floats; "mean", 0 after scaling as in `Cutout`; a number, or one a
    channel, in [0, 1], 1 being the largest value. Float pixels up to 255 get dark boxes, and `fit` a UserWarning.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    color: str | float | tuple[float, ...] = "random"
    kind = "cut"
    columns = image_moves.SHIFTED

    def __post_init__(self) -> None:
        probability("Erase", self.p)
        for name, value, most in (("scale", self.scale, 1.0), ("ratio", self.ratio, 1000.0)):
            if bounds("Erase", name, value, 0, most)[0] == 0:
                raise ValueError(f"Erase: {name} must be above 0, got {value!r}")
        if isinstance(self.color, str):
            if self.color not in ("random", "mean"):
                raise ValueError(f"Erase: color must be 'random', 'mean' or numbers in [0, 1], got {self.color!r}")
            return
        if isinstance(self.color, (Sequence, np.ndarray)):
            object.__setattr__(self, "color", tuple(self.color))
        self._numbers()

    def check(self, size: Pair) -> None:
        """Fits every image."""

    def check_channels(self, channels: int) -> None:
        """Refuse a colour of another number of channels."""
        if not isinstance(self.color, str) and len(self._numbers()) not in (1, channels):
            raise ValueError(f"{self}: color must be one number or one for each of {channels} channels")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """The box, empty where none was drawn."""
        area, ratio = map(shares, draw.pair(BOX))
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * area) * (size[0] * size[1])
        ratio = np.exp(np.log(self.ratio[0]) + np.log(self.ratio[1] / self.ratio[0]) * ratio)
        chosen = draw.chosen(ERASE, self.p)
        sides = np.sqrt(area * ratio), np.sqrt(area / ratio)
        for axis, bits in enumerate(draw.pair(PLACE)):
            side = np.clip(np.rint(sides[axis]), 1, size[axis]).astype(np.intp)
            first = below(bits, size[axis] - side + 1)
            rows[:, image_moves.TOP + axis] = np.where(chosen, first, 0)
            rows[:, image_moves.BOTTOM + axis] = np.where(chosen, first + side, 0)

    def paint(self, draw: Draw, channels: int) -> Colors:
        """The colour of each box."""
        n = len(draw.images)
        if self.color == "mean":
            return Colors()
        if self.color != "random":
            return Colors(fill=np.full((n, channels), self._numbers()))
        bits = mix(draw.bits(COLOR)[:, None], np.arange(channels))
        return Colors(fill=shares(bits >> np.uint64(32)))

    def _numbers(self) -> tuple[float, ...]:
        numbers = self.color if isinstance(self.color, tuple) else (self.color,)
        rule = "numbers in [0, 1], 'random' or 'mean'"
        found = tuple(checks.real("Erase", "color", x, rule, lambda x: 0 <= x <= 1) for x in numbers)
        if not found:
            raise ValueError("Erase: color must have at least one number, got ()")
        return found
