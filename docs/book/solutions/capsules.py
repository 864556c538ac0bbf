"""Exercises on capsules."""

from __future__ import annotations

import numpy as np


def squash(s: np.ndarray) -> np.ndarray:
    """The direction of s, and the length l^2 / (1 + l^2)."""
    length = np.linalg.norm(s)
    return s * length / (1 + length**2)


def squash_gradient(dv: np.ndarray, s: np.ndarray) -> np.ndarray:
    """f dv, and what comes through the length along s; 0 at 0."""
    length = np.linalg.norm(s)
    if length == 0:
        return np.zeros_like(s)
    along = (s @ dv) * (1 - length**2) / (length * (1 + length**2) ** 2)
    return dv * length / (1 + length**2) + s * along
