"""Exercises on normalisation."""

from __future__ import annotations

import numpy as np


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Each row of x (N, F) with mean 0 and deviation 1, then gamma and beta (F,); y, and xhat for the backward pass."""
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta, xhat


def layer_norm_gradient(
    dy: np.ndarray, x: np.ndarray, xhat: np.ndarray, gamma: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dgamma, dbeta: the page's formula for each row."""
    g = gamma * dy
    s = 1 / np.sqrt(x.var(axis=1, keepdims=True) + eps)
    along = (g * xhat).mean(axis=1, keepdims=True)
    return s * (g - g.mean(axis=1, keepdims=True) - xhat * along), (dy * xhat).sum(axis=0), dy.sum(axis=0)


def folded(
    w: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (O, C, KH, KW) and bias of the convolution that does both: each filter is scaled, the rest is bias."""
    scale = gamma / np.sqrt(var + eps)
    return w * scale[:, None, None, None], beta - mean * scale
