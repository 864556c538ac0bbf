"""Transforms of images, checked for a data set and put together: what a training draws its changes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.data.augment.colors import together
from minidl.data.augment.randomness import Draw
from minidl.kernels import image_moves
from minidl.kernels.image_colors import Colors

Pair = tuple[int, int]

MOVING = "move", "flip"
"""Kinds after which a thing in the image stands elsewhere."""

PAINTED = "jitter", "gray", "noise", "cut"
"""Kinds that paint, in the order in which it happens to an image."""


class Transform(Protocol):
    """What `fit` takes: `kind` ("move", "flip", "cut", "jitter", "gray" or "noise") may occur once.

    One that moves pixels or cuts them out has `columns`, the length of a row of moves that it needs, `check` and
    `write`; one that changes colours `check_channels` and `paint`.
    """

    kind: str
    columns: int

    def check(self, size: Pair) -> None:
        """Raise ValueError where images of this height and width are too small."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """Set this transform's part of the moves (N, columns) of the images."""

    def check_channels(self, channels: int) -> None:
        """Raise ValueError where images of so many channels do not fit."""

    def paint(self, draw: Draw, channels: int) -> Colors:
        """This transform's part of the images' colours."""


class Changes(NamedTuple):
    """How each of N images is changed, as the backend's `gather` takes it; colors: None if all keep theirs."""

    moves: np.ndarray
    colors: Colors | None

    def part(self, rows: slice) -> Changes:
        """Those of some of the images."""
        return Changes(self.moves[rows], None if self.colors is None else self.colors.part(rows))


@dataclass(frozen=True)
class Plan:
    """Checked transforms for images of one shape: height and width in `size`, channels."""

    transforms: tuple[Any, ...]
    size: Pair
    seed: int
    channels: int = 1

    def changes(self, epoch: int, index: np.ndarray) -> Changes:
        """What happens to each image `index` (N,) of the data set in an epoch."""
        return Changes(self.moves(epoch, index), self.colors(epoch, index))

    def moves(self, epoch: int, index: np.ndarray) -> np.ndarray:
        """One row of moves for each image."""
        moving = [transform for transform in self.transforms if hasattr(transform, "write")]
        columns = max((transform.columns for transform in moving), default=image_moves.SHIFTED)
        rows = image_moves.blank(len(index), columns)
        for transform in moving:
            transform.write(Draw(self.seed, epoch, index), self.size, rows)
        return rows

    def colors(self, epoch: int, index: np.ndarray) -> Colors | None:
        """The colours of each image, or None."""
        painting = [transform for transform in self.transforms if hasattr(transform, "paint")]
        if not painting:
            return None
        painting.sort(key=lambda transform: PAINTED.index(transform.kind))
        draw = Draw(self.seed, epoch, index)
        return reduce(together, [transform.paint(draw, self.channels) for transform in painting])

    def check_range(self, images: np.ndarray) -> None:
        """Refuse float images outside of [0, 1] where colours are changed, which would clip them: ValueError."""
        colored = [transform for transform in self.transforms if transform.kind in ("jitter", "gray", "noise")]
        if not colored or images.dtype == np.uint8 or not images.size:
            return
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"Trainer: augment: {type(colored[0]).__name__} needs uint8 images, or floats in [0, 1], got values"
                f" from {low:g} to {high:g}; give the pixels as uint8, which Model(..., mean=, std=) scales afterwards"
            )


def plan(augment: Sequence[Transform], shape: tuple[int, ...] | None, seed: int) -> Plan | None:
    """The transforms, checked for images of `shape` (C, H, W), drawing from `seed`; None if there are none.

    shape: None checks the transforms alone. Raises TypeError for what is no tuple or list of transforms, ValueError for
    transforms that do not fit the images or each other.
    """
    who = "Trainer: augment"
    if not isinstance(augment, (tuple, list)):
        raise TypeError(f"{who} must be a tuple of transforms such as (Crop(4), Flip()), got {augment!r}")
    for transform in augment:
        if isinstance(transform, type) or not (hasattr(transform, "write") or hasattr(transform, "paint")):
            raise TypeError(f"{who} must hold transforms such as Crop(4) or Flip(), got {transform!r}")
    if not augment:
        return None
    kinds = [transform.kind for transform in augment]
    if len(set(kinds)) < len(kinds):
        raise ValueError(
            f"{who} must have at most one transform that moves, flips and cuts, jitters, makes grey and adds noise,"
            f" got {tuple(augment)!r}"
        )
    if shape is None:
        return Plan(tuple(augment), (0, 0), seed)
    if len(shape) != 3:
        raise ValueError(f"{who} needs images of shape (N, C, H, W), got {('N', *shape)}; flat ones cannot be moved")
    channels, *size = shape
    for transform in augment:
        if hasattr(transform, "write"):
            transform.check(tuple(size))
        if hasattr(transform, "paint"):
            transform.check_channels(channels)
    return Plan(tuple(augment), (size[0], size[1]), seed, channels)
