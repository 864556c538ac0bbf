"""Batch normalisation, one channel after the other (Ioffe and Szegedy 2015).

Takes (N, C, H, W) and (N, C) alike. Means, variances and gradient sums are computed in float64 and stored in x's dtype.
"""

from __future__ import annotations

import numpy as np


def batchnorm_forward(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    momentum: float,
    eps: float,
    train: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = np.zeros_like(x)
    mean, inv_std = np.zeros_like(gamma), np.zeros_like(gamma)
    for c in range(x.shape[1]):
        values = x[:, c].astype(np.float64)
        if train and values.size == 0:
            mean[c], inv_std[c] = 0, 1 / np.sqrt(eps)
        elif train:
            mean[c], var = values.mean(), values.var()
            inv_std[c] = 1 / np.sqrt(var + eps)
            running_mean[c] = momentum * running_mean[c] + (1 - momentum) * values.mean()
            running_var[c] = momentum * running_var[c] + (1 - momentum) * var
        else:
            mean[c] = running_mean[c]
            inv_std[c] = 1 / np.sqrt(np.float64(running_var[c]) + eps)
        y[:, c] = (x[:, c] - mean[c]) * inv_std[c] * gamma[c] + beta[c]
    return y, mean, inv_std


def batchnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    train: bool = True,
    out: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In training mean and variance depend on x too: hence two extra terms."""
    dx = np.zeros_like(x)
    dgamma, dbeta = out if out is not None else (np.zeros_like(gamma), np.zeros_like(gamma))
    for c in range(x.shape[1]):
        d = dy[:, c].astype(np.float64)
        xhat = (x[:, c].astype(np.float64) - mean[c]) * inv_std[c]
        M = d.size
        dgamma[c] = np.sum(d * xhat)
        dbeta[c] = np.sum(d)
        if train and M > 0:
            d = d - np.sum(d) / M - xhat * (np.sum(d * xhat) / M)
        dx[:, c] = np.float64(gamma[c]) * inv_std[c] * d
    return dx, dgamma, dbeta
