"""Random views of training images: `Trainer.fit(..., augment=(Crop(4, "reflect"), Flip(), Cutout(8)))`.

What happens to an image depends on (seed, epoch, index of the image) alone: not on batches, threads, backend or where a
run was resumed. Whatever the order in the tuple, an image is first moved (`Crop`, `Shift` or `Affine`), then flipped,
then cut; of each of these three there may be one. The pixels are moved by the backend's `gather`
(`minidl.kernels.moves`), in the same pass that makes the batch. What comes in from outside of an image is black, the
value 0 of the images before they are scaled; `Cutout` sets 0 after scaling, the mean colour of a scaled data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.kernels import geometry, moves
from minidl.kernels.random import mix

Pair = tuple[int, int]

CROP, FLIP, CUTOUT, AFFINE = range(4)
"""Streams of random numbers: one transform draws the same whether or not others are there."""


class Draw(NamedTuple):
    """Random bits for images, given by their places in the data set (intp), in an epoch."""

    seed: int
    epoch: int
    images: np.ndarray

    def bits(self, stream: int) -> np.ndarray:
        """64 random bits (uint64) an image."""
        key = self.seed % 2**64
        for part in (stream, self.epoch):
            key = int(mix(key, np.array([part]))[0])
        return mix(key, self.images)

    def pair(self, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Two independent random numbers in [0, 2^32) an image."""
        bits = self.bits(stream)
        return bits >> np.uint64(32), bits & np.uint64(2**32 - 1)


def below(bits: np.ndarray, count: int) -> np.ndarray:
    """Whole numbers in [0, count), all as likely to a part in 2^32 / count, from random numbers in [0, 2^32)."""
    return (bits * np.uint64(count) >> np.uint64(32)).astype(np.intp)


class Transform(Protocol):
    """What `fit` takes: `kind` ("move", "flip" or "cut") may occur once; `columns` of a row of moves it needs."""

    kind: str
    columns: int

    def check(self, size: Pair) -> None:
        """Raise ValueError where images of this height and width are too small."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """Set this transform's part of the moves (N, columns) of the images."""


@dataclass(frozen=True)
class Crop:
    """Pad the image on all sides, then cut a random window of its own size out: He et al. 2015, arXiv 1512.03385.

    padding: pixels, an int or an (h, w) pair, less than the image has. mode: what is padded, "zero" (black) or
    "reflect" (the image mirrored at its outermost pixels, as numpy's pad mode).
    """

    padding: int | Pair
    mode: str = "zero"
    kind = "move"
    columns = moves.SHIFTED

    def __post_init__(self) -> None:
        geometry.pair(type(self).__name__, "padding", self.padding, 0)
        if self.mode not in ("zero", "reflect"):
            raise ValueError(f"{type(self).__name__}: mode must be 'zero' or 'reflect', got {self.mode!r}")

    def check(self, size: Pair) -> None:
        """Refuse a padding as large as the image."""
        padding = geometry.pair("Crop", "padding", self.padding, 0)
        if padding[0] >= size[0] or padding[1] >= size[1]:
            raise ValueError(f"{self}: must be less than the images' size {size}")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """Offsets, each of -padding to padding as likely."""
        padding = geometry.pair("Crop", "padding", self.padding, 0)
        for axis, bits in enumerate(draw.pair(CROP)):
            rows[:, moves.SOURCE + axis] = below(bits, 2 * padding[axis] + 1) - padding[axis]
        rows[:, moves.REFLECT] = self.mode == "reflect"


def Shift(pixels: int | Pair) -> Crop:  # noqa: N802 - reads as the transforms do
    """Move the image by up to `pixels`, an int or an (h, w) pair, in each direction; black comes in: `Crop(pixels)`."""
    return Crop(geometry.pair("Shift", "pixels", pixels, 0))


@dataclass(frozen=True)
class Flip:
    """Mirror left and right with probability 1/2."""

    kind = "flip"
    columns = moves.SHIFTED

    def check(self, size: Pair) -> None:
        """Fits every image."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """One random bit an image and epoch."""
        rows[:, moves.FLIP] = draw.bits(FLIP) >> np.uint64(63)


@dataclass(frozen=True)
class AlternatingFlip:
    """Mirror half of the images in the first epoch, then the other half in every second: Jordan 2024, arXiv 2404.00498.

    Two epochs in a row show every image both ways, which random flips do for half of the images alone.
    """

    kind = "flip"
    columns = moves.SHIFTED

    def check(self, size: Pair) -> None:
        """Fits every image."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """One random bit an image, changed from epoch to epoch."""
        rows[:, moves.FLIP] = (draw._replace(epoch=0).bits(FLIP) >> np.uint64(63)) ^ np.uint64(draw.epoch % 2)


@dataclass(frozen=True)
class Cutout:
    """Set a box of `size` pixels, an int or an (h, w) pair, to 0: DeVries and Taylor 2017, arXiv 1708.04552.

    The centre may be any pixel, so that a box near the edge lies partly outside of the image. An even size reaches one
    pixel farther up and left of the centre.
    """

    size: int | Pair
    kind = "cut"
    columns = moves.SHIFTED

    def __post_init__(self) -> None:
        geometry.pair("Cutout", "size", self.size, 1)

    def check(self, size: Pair) -> None:
        """Refuse a box larger than the image."""
        box = geometry.pair("Cutout", "size", self.size, 1)
        if box[0] > size[0] or box[1] > size[1]:
            raise ValueError(f"{self}: must not be larger than the images' size {size}")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """The box around a random centre, as far as it lies in the image."""
        box = geometry.pair("Cutout", "size", self.size, 1)
        for axis, bits in enumerate(draw.pair(CUTOUT)):
            first = below(bits, size[axis]) - box[axis] // 2
            rows[:, moves.TOP + axis] = np.maximum(first, 0)
            rows[:, moves.BOTTOM + axis] = np.minimum(first + box[axis], size[axis])


@dataclass(frozen=True)
class Plan:
    """Checked transforms for images of one size (H, W)."""

    transforms: tuple[Any, ...]
    size: Pair
    seed: int

    def moves(self, epoch: int, index: np.ndarray) -> np.ndarray:
        """One row of moves for each image `index` (N,) of the data set in an epoch, for the backend's `gather`."""
        rows = moves.blank(len(index), max(transform.columns for transform in self.transforms))
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
