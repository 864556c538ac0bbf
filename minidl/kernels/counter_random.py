"""Counter-based random numbers: a number depends on (key, counter) alone, so threads, batches and backends agree on it.

The mixer is the 64-bit finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators"), applied to key + (counter + 1) * 0x9E3779B97F4A7C15: the counter-th output of a SplitMix64 generator
seeded with key.
"""

from __future__ import annotations

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15


def mix(key: int | np.ndarray, counter: np.ndarray) -> np.ndarray:
    """uint64 random bits for each uint64 counter under a key (0 <= key < 2**64), or under each of an array of keys."""
    with np.errstate(over="ignore"):
        z = np.asarray(key, np.uint64) + (counter.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def key_from(key: int, counter: int) -> int:
    """The key that gives for 0, 1, ... what `key` gives for counter, counter + 1, ..."""
    return (key + counter * GOLDEN) % 2**64


def keep_threshold(rate: float) -> int:
    """An element is dropped if the upper 32 bits of its random number are below this: round(rate * 2^32)."""
    return round(rate * 2.0**32)


def keep_mask(shape: tuple[int, ...], rate: float, key: int) -> np.ndarray:
    """Boolean mask of the elements that dropout keeps, each with probability 1 - rate."""
    counter = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    return ((mix(key, counter) >> np.uint64(32)) >= np.uint64(keep_threshold(rate))).reshape(shape)
