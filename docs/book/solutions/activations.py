"""Exercises on activations."""

from __future__ import annotations

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Exponentials of negative numbers alone: for x < 0 the fraction is enlarged by exp(x)."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))


def silu_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(x s)' = s + x s', and s' = s (1 - s)."""
    s = sigmoid(x)
    return dy * (s + x * s * (1 - s))
