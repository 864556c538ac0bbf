"""Transforms of images, checked for a data set and put together: what a training draws its moves from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minidl.data.augment.randomness import Draw
from minidl.kernels import image_moves

Pair = tuple[int, int]


class Transform(Protocol):
    """What `fit` takes: `kind` ("move", "flip" or "cut") may occur once; `columns` of a row of moves it needs."""

    kind: str
    columns: int

    def check(self, size: Pair) -> None:
        """Raise ValueError where images of this height and width are too small."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """Set this transform's part of the moves (N, columns) of the images."""


@dataclass(frozen=True)
class Plan:
    """Checked transforms for images of one size (H, W)."""

    transforms: tuple[Any, ...]
    size: Pair
    seed: int

    def moves(self, epoch: int, index: np.ndarray) -> np.ndarray:
        """One row of moves for each image `index` (N,) of the data set in an epoch, for the backend's `gather`."""
        rows = image_moves.blank(len(index), max(transform.columns for transform in self.transforms))
        for transform in self.transforms:
            transform.write(Draw(self.seed, epoch, index), self.size, rows)
        return rows


def plan(augment: Sequence[Transform], shape: tuple[int, ...], seed: int) -> Plan | None:
    """The transforms, checked for images of `shape` (C, H, W), drawing from `seed`; None if there are none.

    Raises TypeError for what is no tuple or list of transforms, ValueError for transforms that do not fit the images or
    each other.
    """
    who = "Trainer: augment"
    if not isinstance(augment, (tuple, list)):
        raise TypeError(f"{who} must be a tuple of transforms such as (Crop(4), Flip()), got {augment!r}")
    for transform in augment:
        if isinstance(transform, type) or not hasattr(transform, "write"):
            raise TypeError(f"{who} must hold transforms such as Crop(4) or Flip(), got {transform!r}")
    if not augment:
        return None
    if len(shape) != 3:
        raise ValueError(f"{who} needs images of shape (N, C, H, W), got {('N', *shape)}; flat ones cannot be moved")
    kinds = [transform.kind for transform in augment]
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"{who} must have at most one transform that moves, flips and cuts, got {tuple(augment)!r}")
    size = (shape[1], shape[2])
    for transform in augment:
        transform.check(size)
    return Plan(tuple(augment), size, seed)
