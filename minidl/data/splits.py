"""A data set in two: images to train on and images to test on."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.data.mnist import Arrays


def split(x: Any, y: Any, fraction: float, seed: int, stratify: bool = True) -> tuple[Arrays, Arrays]:
    """((x_train, y_train), (x_test, y_test)): `fraction` of the images, drawn at random, becomes the second part.

    x: (N, ...), y: (N, ...), arrays or what numpy makes arrays of. fraction: share of the second part, in (0, 1);
    N * fraction is rounded. seed: an int of at least 0; the same seed gives the same parts.
    stratify: for labels (y of shape (N,), of integers, bools or strings) each class gives its share: its count times
    `fraction`, rounded down, and what the whole then lacks comes from the classes with the largest remainders; every
    class has at least one image in both parts. One-hot rows and float targets are drawn without regard to y, always.
    Both parts keep the order of x. They are copies: of a memory map they are read into memory. To leave a large one on
    the disk split its indices: `(i_train, _), (i_test, _) = split(np.arange(len(x)), y, 0.2, seed=0)`.
    Raises ValueError where lengths differ, a part would be empty, a class has one image only, or there are fewer images
    in a part than classes; TypeError or ValueError for the other arguments.
    """
    x, y = _array("x", x), _array("y", y)
    if len(x) != len(y):
        raise ValueError(f"split: x and y must have the same length, got shapes {x.shape} and {y.shape}")
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.integer, np.floating)):
        raise TypeError(f"split: fraction must be a number in (0, 1), got {fraction!r}")
    if not 0 < fraction < 1:
        raise ValueError(f"split: fraction must be in (0, 1), got {fraction!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"split: seed must be an int, got {seed!r}")
    if seed < 0:
        raise ValueError(f"split: seed must be at least 0, got {seed}")
    if not isinstance(stratify, bool):
        raise TypeError(f"split: stratify must be True or False, got {stratify!r}")
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind in "iubUS":
        raise ValueError(f"split: labels must be of shape (N,), got {y.shape}; pass y.ravel()")
    count = int(np.floor(len(x) * float(fraction) + 0.5))
    if not 0 < count < len(x):
        raise ValueError(f"split: fraction {fraction} of {len(x)} images leaves a part empty")
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(x), bool)
    if stratify and y.ndim == 1 and y.dtype.kind in "iubUS":
        classes, members = np.unique(y, return_inverse=True)
        for label, share in enumerate(_shares(classes, np.bincount(members), float(fraction), count)):
            chosen[rng.permutation(np.flatnonzero(members == label))[:share]] = True
    else:
        chosen[rng.permutation(len(x))[:count]] = True
    return (x[~chosen], y[~chosen]), (x[chosen], y[chosen])


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"split: {name} must be an array with one item an image ({error})") from None
    if array.ndim == 0 or array.dtype == object:
        raise TypeError(f"split: {name} must be an array with one item an image, got {type(value).__name__}")
    return array


def _shares(classes: np.ndarray, counts: np.ndarray, fraction: float, total: int) -> np.ndarray:
    """How many images of each class go to the second part: `total` in all, at least one and not all of any class."""
    if counts.min() < 2:
        single = classes[counts.argmin()]
        raise ValueError(f"split: class {single} has one image, must have two to be in both parts; or stratify=False")
    if min(total, counts.sum() - total) < len(counts):
        rule = f"each part must have an image of each of {len(counts)} classes; or stratify=False"
        raise ValueError(f"split: fraction {fraction} gives parts of {counts.sum() - total} and {total} images, {rule}")
    quotas = counts * fraction
    shares = np.clip(quotas.astype(np.int64), 1, counts - 1)
    while shares.sum() != total:  # the largest remainder gives, or, where the minimum of one asked too much, takes back
        missing = np.sign(total - shares.sum())
        movable = shares < counts - 1 if missing > 0 else shares > 1
        shares[np.where(movable, missing * (quotas - shares), -np.inf).argmax()] += missing
    return shares
