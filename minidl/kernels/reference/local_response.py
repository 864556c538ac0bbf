"""Local response normalisation across channels (Krizhevsky, Sutskever, Hinton 2012, section 3.3), channel after
channel.

As in PyTorch and ONNX alpha is divided by the number of channels that are summed.
"""

from __future__ import annotations

import numpy as np


def local_response_forward(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    y = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] / _sums(x[n], c, size, alpha, k) ** beta
    return y


def local_response_backward(
    dy: np.ndarray, x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """y[i] depends on x[c] by its numerator, where i = c, and by its sum, where c is in the window of i."""
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            s = _sums(x[n], i, size, alpha, k)
            dx[n, i] += dy[n, i] / s**beta
            for c in range(x.shape[1]):
                if i - size // 2 <= c <= i + (size - 1) // 2:
                    dx[n, c] -= dy[n, i] * x[n, i] * beta / s ** (beta + 1) * 2 * alpha / size * x[n, c]
    return dx


def _sums(image: np.ndarray, c: int, size: int, alpha: float, k: float) -> np.ndarray:
    """s of channel c."""
    window = image[max(0, c - size // 2) : c + (size - 1) // 2 + 1]
    return k + alpha / size * np.sum(window**2, axis=0)
