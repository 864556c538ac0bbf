"""Every loss as a function of a backend, predictions, targets in [0, 1] and the rows' weights or None."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels import cases

LOSS = {np.float32: 1e-6, np.float64: 1e-13}
"""Error of a loss, as `compare.check_number` takes it."""


def _factors(x: Any) -> np.ndarray:
    return np.linspace(0, 3, x.shape[1]).astype(x.dtype)


VALUES = {
    "sigmoid": lambda b, x, t, w: b.sigmoid_cross_entropy(x, t, w),
    "sigmoid, weighted": lambda b, x, t, w: b.sigmoid_cross_entropy(x, t, w, _factors(x)),
    "mse": lambda b, x, t, w: b.mse_loss(x, t, w),
    "mse, mean": lambda b, x, t, w: b.mse_loss(x, t, w, True),
    "l1": lambda b, x, t, w: b.l1_loss(x, t, w),
    "huber": lambda b, x, t, w: b.huber_loss(x, t, 0.7, w),
    "squared error": lambda b, x, t, w: b.squared_error(x, b.enter(t), 0.3, w),
}
ALL = VALUES | {
    "softmax": lambda b, x, t, w: b.softmax_cross_entropy(x, t.argmax(1), 0.0, w),
    "softmax, smoothed": lambda b, x, t, w: b.softmax_cross_entropy(x, t.argmax(1), 0.3, w),
    "softmax, rows": lambda b, x, t, w: b.softmax_cross_entropy(x, t, 0.3, w),
    "margin": lambda b, x, t, w: b.margin_loss(x, t.argmax(1), 0.8, 0.2, 0.4, w),
    "margin, rows": lambda b, x, t, w: b.margin_loss(x, t, 0.8, 0.2, 0.4, w),
}


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and targets in [0, 1], some of them at the ends."""
    t = np.clip(rng.uniform(-0.3, 1.3, shape), 0, 1)
    return 4 * cases.random(rng, shape, dtype), t.astype(dtype)
