"""The random numbers of augmentation: those of an image depend on (seed, epoch, its place in the data set) alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.kernels.counter_random import mix

CROP, FLIP, CUTOUT, TURN, SHIFT, JITTER, TONE, GRAY, NOISE, ERASE, BOX, PLACE, COLOR = range(13)
"""Streams: one transform draws the same whether or not others are there."""


class Draw(NamedTuple):
    """Random bits for images, given by their places in the data set (intp), in an epoch."""

    seed: int
    epoch: int
    images: np.ndarray

    def bits(self, stream: int) -> np.ndarray:
        """64 random bits (uint64) an image, from a key that seed, stream and epoch are mixed into."""
        key = self.seed % 2**64
        for part in (stream, self.epoch):
            key = int(mix(key, np.array([part]))[0])
        return mix(key, self.images)

    def coin(self, stream: int) -> np.ndarray:
        """0 or 1 (uint64) an image."""
        return self.bits(stream) >> np.uint64(63)

    def chosen(self, stream: int, p: float) -> np.ndarray:
        """True with probability p an image."""
        return shares(self.bits(stream) >> np.uint64(32)) < p

    def pair(self, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Two independent random numbers in [0, 2^32) an image."""
        bits = self.bits(stream)
        return bits >> np.uint64(32), bits & np.uint64(2**32 - 1)


def shares(bits: np.ndarray) -> np.ndarray:
    """Numbers in (0, 1) from random numbers in [0, 2^32)."""
    return (bits.astype(np.float64) + 0.5) * 2.0**-32


def below(bits: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Whole numbers in [0, count), evenly to a part in 2^32 / count, from random numbers in [0, 2^32)."""
    return (bits * np.asarray(count, np.uint64) >> np.uint64(32)).astype(np.intp)


def spread(bits: np.ndarray) -> np.ndarray:
    """Numbers in (-1, 1) from random numbers in [0, 2^32)."""
    return (bits.astype(np.float64) + 0.5) * 2.0**-31 - 1
