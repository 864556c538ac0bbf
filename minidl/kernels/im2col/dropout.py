"""Inverted dropout (Srivastava et al. 2014), with a mask that is computed again instead of kept."""

from __future__ import annotations

import numpy as np

from minidl.kernels import counter_random


def dropout_forward(x: np.ndarray, rate: float, key: int) -> np.ndarray:
    return np.where(counter_random.keep_mask(x.shape, rate, key), x / (1 - rate), x.dtype.type(0))


def dropout_backward(dy: np.ndarray, rate: float, key: int) -> np.ndarray:
    return dropout_forward(dy, rate, key)
