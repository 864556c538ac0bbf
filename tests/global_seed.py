"""MINIDL_TEST_SEED=5: every generator that a test, or minidl in this process, makes from a seed is another one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

SHIFT = int(os.environ.get("MINIDL_TEST_SEED", "0"))
"""0: the numbers that the seeds in the tests mean."""

_make = np.random.default_rng


def default_rng(seed: Any = None) -> np.random.Generator:
    """numpy's, of `seed` and the shift; what is no number, or none, means what it always means."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer | tuple | list):
        return _make(seed)
    try:
        return _make([*(seed if isinstance(seed, tuple | list) else [seed]), 1 << 20, SHIFT])
    except (TypeError, ValueError):
        return _make(seed)  # which says what is wrong with it


def shift(on: bool = True) -> None:
    """From here on shifted numbers, if a shift is asked for; or, not `on`, those that the seeds mean."""
    if SHIFT:
        np.random.default_rng = default_rng if on else _make
