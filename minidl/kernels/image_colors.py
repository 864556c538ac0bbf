"""Colours of images changed on their way into a batch: what `gather` takes beside the moves, so that backends agree.

Values are shares of the largest one, `top`: 255 for uint8 images, 1 for others. Of the moved image v of the result's
dtype, still to be scaled, comes for channel c

    z[c] = m[c,0] v[0] + m[c,1] v[1] + ... + b[c] top        or  gain v[c] + offset top,  all channels alike
    z[c] += noise
    z[c] is clipped to [0, top], then scaled; boxes that are cut out are filled afterwards

each product and sum rounded to the result's dtype, unless the processor fuses them: backends agree to rounding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.counter_random import mix

NOISE_MEAN, NOISE_DEVIATION = 1020, math.sqrt(8 * (2**16 - 1) / 12)
"""Of the sum of eight random bytes, which is nearly normal; it lies within 4.9 deviations."""


class Colors(NamedTuple):
    """How the colours of N images change; what is None stays.

    maps: float64 (N, 1, 2), [gain, offset] of all channels, or (N, 3, 4), [m, b] of images with three. keys: uint64
    (N,), from which each image's noise is drawn, by the place c H W + h W + w of a value in the result. deviation: of
    the noise. fill: float64 (N, C), the colours of the boxes that the moves cut out, in place of 0 after scaling.
    """

    maps: np.ndarray | None = None
    keys: np.ndarray | None = None
    deviation: float = 0.0
    fill: np.ndarray | None = None

    def part(self, rows: slice) -> Colors:
        """Those of some images."""
        maps, keys, fill = (None if each is None else each[rows] for each in (self.maps, self.keys, self.fill))
        return Colors(maps, keys, self.deviation, fill)


def check(colors: Colors, moves: np.ndarray | None, n: int, channels: int) -> None:
    """Refuse colours that do not fit n images of so many channels: ValueError, TypeError."""
    if moves is None:
        raise ValueError("colors must come with moves")
    shapes = [(n, 1, 2)] + [(n, 3, 4)] * (channels == 3)
    if colors.maps is not None and colors.maps.shape not in shapes:
        raise ValueError(
            f"colors.maps must have shape {' or '.join(map(str, shapes))} for images of {channels} channels,"
            f" got {colors.maps.shape}"
        )
    for name, array, shape in (("keys", colors.keys, (n,)), ("fill", colors.fill, (n, channels))):
        if array is not None and array.shape != shape:
            raise ValueError(f"colors.{name} must have shape {shape}, got {array.shape}")
    for name, array, dtype in (
        ("maps", colors.maps, np.float64),
        ("keys", colors.keys, np.uint64),
        ("fill", colors.fill, np.float64),
    ):
        if array is not None and array.dtype != dtype:
            raise TypeError(f"colors.{name} must be an array of {np.dtype(dtype)}, got {array.dtype}")


def top_of(images: np.ndarray) -> int:
    """The largest value of images of this kind."""
    return 255 if images.dtype == np.uint8 else 1


def noise_steps(key: int | np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Random whole numbers, nearly normal, of mean 0 and NOISE_DEVIATION."""
    bits = np.atleast_1d(mix(key, counter))
    return bits.view(np.uint8).reshape(*bits.shape, 8).sum(axis=-1, dtype=np.int64) - NOISE_MEAN
