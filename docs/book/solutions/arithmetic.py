"""Exercises on arithmetic."""

from __future__ import annotations

import numpy as np


def product_gradient(dy: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """da and db of y = a b: the other factor, and sums over the axes where an operand has the size 1."""

    def summed(gradient: np.ndarray, operand: np.ndarray) -> np.ndarray:
        axes = tuple(i for i, size in enumerate(operand.shape) if size == 1)
        return gradient.sum(axis=axes, keepdims=True)

    return summed(dy * b, a), summed(dy * a, b)
