"""Inverted dropout (Srivastava et al. 2014): the kept elements are scaled, so that the expectation stays the same."""

from __future__ import annotations

import numpy as np

from minidl.kernels.counter_random import keep_mask


def dropout_forward(x: np.ndarray, rate: float, key: int) -> np.ndarray:
    return np.where(keep_mask(x.shape, rate, key), x / (1 - rate), np.zeros_like(x))


def dropout_backward(dy: np.ndarray, rate: float, key: int) -> np.ndarray:
    """The same elements kept, the same factor: dropout is linear."""
    return dropout_forward(dy, rate, key)
