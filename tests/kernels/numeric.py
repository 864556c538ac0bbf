"""Central differences: the gradient that needs no derivation, in every element or along one random direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-8
"""Largest error relative to the largest gradient: about STEP^2 and the rounding of 1e-16 / STEP."""


def gradient(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, dy: np.ndarray | float = 1.0) -> np.ndarray:
    """d sum(f(x) * dy) / dx for a float64 x, one element after the other; x is as before afterwards."""
    assert x.dtype == np.float64
    dx = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        old = x[place]
        x[place] = old + STEP
        above = np.sum(f(x) * dy)
        x[place] = old - STEP
        below = np.sum(f(x) * dy)
        x[place] = old
        dx[place] = (above - below) / (2 * STEP)
    return dx


def slope(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, direction: np.ndarray, dy: np.ndarray | float = 1.0
) -> float:
    """d sum(f(x + t direction) * dy) / dt at t = 0: what sum(dx * direction) must be. Cheap, for large arrays."""
    difference = f(x + STEP * direction) - f(x - STEP * direction)
    return float(np.sum(difference * dy) / (2 * STEP))
