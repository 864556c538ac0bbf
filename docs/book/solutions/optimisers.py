"""Exercises on optimisers."""

from __future__ import annotations

import numpy as np


class Adam:
    """For one array; `step` changes it in place."""

    def __init__(self, p: np.ndarray, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.p, self.lr, self.beta1, self.beta2, self.eps = p, lr, beta1, beta2, eps
        self.m, self.v, self.t = np.zeros_like(p), np.zeros_like(p), 0

    def step(self, g: np.ndarray) -> None:
        """One update with the gradient g."""
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        mean, square = self.m / (1 - self.beta1**self.t), self.v / (1 - self.beta2**self.t)
        self.p -= self.lr * mean / (np.sqrt(square) + self.eps)
