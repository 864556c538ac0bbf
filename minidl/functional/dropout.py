"""Inverted dropout on (N, C, H, W) or (N, F) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks


def dropout_forward(x: Any, rate: float, key: int) -> np.ndarray:
    """x / (1 - rate) where an element is kept, else 0 (inverted dropout).

    rate: probability in [0, 1) of being dropped. key: int in [0, 2**64) that alone decides which elements are kept.
    """
    who = "dropout_forward"
    return call(who, *checks.images(who, x=x), *_settings(who, rate, key))


def dropout_backward(dy: Any, rate: float, key: int) -> np.ndarray:
    """The same elements kept and the same factor as in `dropout_forward`, applied to dy."""
    who = "dropout_backward"
    return call(who, *checks.images(who, dy=dy), *_settings(who, rate, key))


def _settings(who: str, rate: float, key: int) -> tuple[float, int]:
    rate = checks.real(who, "rate", rate, "in [0, 1)", lambda r: 0 <= r < 1)
    if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer)):
        raise TypeError(f"{who}: key must be an int, got {key!r}")
    if not 0 <= key < 2**64:
        raise ValueError(f"{who}: key must be in [0, 2**64), got {key}")
    return rate, int(key)
