"""Random moves of training images: `Trainer.fit(..., augment=(Crop(4, "reflect"), Flip(), Cutout(8)))`.

What happens to an image depends on (seed, epoch, place of the image in the data set) alone: not on batches, threads,
backend or where a run was resumed. Whatever the order in the tuple, an image is first moved (`Crop`, `Shift` or
`Affine`), then flipped, then its colours are changed (`minidl.data.augment.colors`), then it is cut (`Cutout`, or
`minidl.data.augment.erase`); of each kind there may be one. The pixels are moved by the backend's `gather`
(`minidl.kernels.image_moves`), in the same pass that makes the batch. What comes in from outside of an image is black,
the value 0 of the images before they are scaled; `Cutout` sets 0 after scaling, the mean colour of a scaled data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.data.augment.randomness import CROP, CUTOUT, FLIP, SHIFT, TURN, Draw, below, spread
from minidl.kernels import checks, image_moves

Pair = tuple[int, int]


@dataclass(frozen=True)
class Crop:
    """Pad the image on all sides, then cut a random window of its own size out: He et al. 2015, arXiv 1512.03385.

    padding: pixels, an int or an (h, w) pair, less than the image has. mode: what is padded, "zero" (black) or
    "reflect" (the image mirrored at its outermost pixels, as numpy's pad mode).
    """

    padding: int | Pair
    mode: str = "zero"
    kind = "move"
    columns = image_moves.SHIFTED

    def __post_init__(self) -> None:
        checks.pair("Crop", "padding", self.padding, 0)
        _mode("Crop", self.mode)

    def check(self, size: Pair) -> None:
        """Refuse a padding as large as the image."""
        padding = checks.pair("Crop", "padding", self.padding, 0)
        if padding[0] >= size[0] or padding[1] >= size[1]:
            raise ValueError(f"{self}: padding must be less than the images' size {size}")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """Offsets, each of -padding to padding as likely."""
        padding = checks.pair("Crop", "padding", self.padding, 0)
        for axis, bits in enumerate(draw.pair(CROP)):
            rows[:, image_moves.SOURCE + axis] = below(bits, 2 * padding[axis] + 1) - padding[axis]
        rows[:, image_moves.REFLECT] = self.mode == "reflect"


def Shift(pixels: int | Pair) -> Crop:  # noqa: N802 - reads as the transforms do
    """Move the image by up to `pixels`, an int or an (h, w) pair, in each direction; black comes in: `Crop(pixels)`."""
    return Crop(checks.pair("Shift", "pixels", pixels, 0))


@dataclass(frozen=True)
class Affine:
    """Turn, scale and shift the image about its centre, all by random amounts, interpolating bilinearly.

    rotation: degrees, at most 180; the angle lies in [-rotation, rotation]. scale: at most 0.9; the factor lies in
    [1 - scale, 1 + scale]. shift: pixels, less than the image has; each direction lies in [-shift, shift], also between
    pixels. All evenly. mode: what comes in, as in `Crop`. A position is rounded to 1/256 of a pixel.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    mode: str = "zero"
    kind = "move"
    columns = image_moves.TURNED

    def __post_init__(self) -> None:
        checks.real("Affine", "rotation", self.rotation, "at least 0 and at most 180", lambda x: 0 <= x <= 180)
        checks.real("Affine", "scale", self.scale, "at least 0 and at most 0.9", lambda x: 0 <= x <= 0.9)
        checks.real("Affine", "shift", self.shift, "at least 0", lambda x: x >= 0)
        _mode("Affine", self.mode)

    def check(self, size: Pair) -> None:
        """Refuse a shift as large as the image."""
        if self.shift >= min(size):
            raise ValueError(f"{self}: shift must be less than the images' size {size}")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """The inverse map, from the result's pixels to the image's, in 1/2^16."""
        angle, factor = map(spread, draw.pair(TURN))
        down, right = (self.shift * spread(bits) for bits in draw.pair(SHIFT))
        angle, factor = np.deg2rad(self.rotation * angle), 2.0**16 / (1 + self.scale * factor)
        cosine, sine = np.rint(np.cos(angle) * factor), np.rint(np.sin(angle) * factor)
        h, w = (size[0] - 1) / 2, (size[1] - 1) / 2
        # The half of 1/256 makes the kernels' floor a rounding.
        top = 2.0**16 * h - cosine * (h + down) + sine * (w + right) + 128
        left = 2.0**16 * w - sine * (h + down) - cosine * (w + right) + 128
        rows[:, image_moves.SOURCE :] = np.stack([cosine, -sine, np.rint(top), sine, cosine, np.rint(left)], axis=1)
        rows[:, image_moves.REFLECT] = self.mode == "reflect"


@dataclass(frozen=True)
class Flip:
    """Mirror left and right with probability 1/2."""

    kind = "flip"
    columns = image_moves.SHIFTED

    def check(self, size: Pair) -> None:
        """Fits every image."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """One random bit an image and epoch."""
        rows[:, image_moves.FLIP] = draw.coin(FLIP)


@dataclass(frozen=True)
class AlternatingFlip:
    """Mirror half of the images in the first epoch, then the other half in every second: Jordan 2024, arXiv 2404.00498.

    Two epochs in a row show every image both ways, which random flips do for half of the images alone.
    """

    kind = "flip"
    columns = image_moves.SHIFTED

    def check(self, size: Pair) -> None:
        """Fits every image."""

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """One random bit an image, changed from epoch to epoch."""
        rows[:, image_moves.FLIP] = draw._replace(epoch=0).coin(FLIP) ^ np.uint64(draw.epoch % 2)


@dataclass(frozen=True)
class Cutout:
    """Set a box of `size` pixels, an int or an (h, w) pair, to 0: DeVries and Taylor 2017, arXiv 1708.04552.

    The centre may be any pixel, so that a box near the edge lies partly outside of the image. An even size reaches one
    pixel farther up and left of the centre.
    """

    size: int | Pair
    kind = "cut"
    columns = image_moves.SHIFTED

    def __post_init__(self) -> None:
        checks.pair("Cutout", "size", self.size, 1)

    def check(self, size: Pair) -> None:
        """Refuse a box larger than the image."""
        box = checks.pair("Cutout", "size", self.size, 1)
        if box[0] > size[0] or box[1] > size[1]:
            raise ValueError(f"{self}: size must be at most the images' size {size}")

    def write(self, draw: Draw, size: Pair, rows: np.ndarray) -> None:
        """The box around a random centre, as far as it lies in the image."""
        box = checks.pair("Cutout", "size", self.size, 1)
        for axis, bits in enumerate(draw.pair(CUTOUT)):
            first = below(bits, size[axis]) - box[axis] // 2
            rows[:, image_moves.TOP + axis] = np.maximum(first, 0)
            rows[:, image_moves.BOTTOM + axis] = np.minimum(first + box[axis], size[axis])


def _mode(who: str, mode: str) -> None:
    if mode not in ("zero", "reflect"):
        raise ValueError(f"{who}: mode must be 'zero' or 'reflect', got {mode!r}")
