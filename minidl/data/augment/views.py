"""Fixed views of images at test time, over which predictions are averaged: `model.predict(x, views=Views())`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minidl.kernels import checks, image_moves

Pair = tuple[int, int]


@dataclass(frozen=True)
class Views:
    """Every shift of `shifts`, and with `mirror` each of them mirrored left and right, too.

    shifts: (down, right) by whole pixels, negative ones up and left; one that is named twice counts twice and costs no
    more. mode: what comes in, as in `Crop`. The average of Jordan 2024, arXiv 2404.00498, is
    Views(shifts=((0, 0), (0, 0), (-1, -1), (1, 1)), mode="reflect").
    """

    mirror: bool = True
    shifts: tuple[Pair, ...] = ((0, 0),)
    mode: str = "zero"

    def __post_init__(self) -> None:
        if not isinstance(self.shifts, (tuple, list)) or not self.shifts:
            raise ValueError(f"Views: shifts must be a tuple of (down, right) pairs, got {self.shifts!r}")
        pairs = tuple(checks.pair("Views", "shifts", shift, -(2**31)) for shift in self.shifts)
        object.__setattr__(self, "shifts", pairs)
        if self.mode not in ("zero", "reflect"):
            raise ValueError(f"Views: mode must be 'zero' or 'reflect', got {self.mode!r}")
        if not self.mirror and set(pairs) == {(0, 0)}:
            raise ValueError("Views: there must be a view beside the image itself")

    def __len__(self) -> int:
        """How many different views there are."""
        return len(set(self.shifts)) * (1 + bool(self.mirror))

    def moves(self, shape: tuple[int, ...]) -> Iterator[tuple[float, np.ndarray]]:
        """For each view, its share in the average, and the moves of a batch of this shape for the backend's `gather`.

        Raises ValueError for images that are flat or too small.
        """
        size = shape[2:]
        for (down, right), times in Counter(self.shifts).items():
            if len(size) != 2 or abs(down) >= size[0] or abs(right) >= size[1]:
                raise ValueError(f"{self}: shifts must be less than the size of images (N, C, H, W), got shape {shape}")
            for flip in (False, True) if self.mirror else (False,):
                rows = image_moves.blank(shape[0])
                rows[:, image_moves.FLIP], rows[:, image_moves.REFLECT] = flip, self.mode == "reflect"
                rows[:, image_moves.SOURCE :] = -down, -right
                yield times / (len(self.shifts) * (1 + bool(self.mirror))), rows
