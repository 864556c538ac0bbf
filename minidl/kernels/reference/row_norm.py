"""Group normalisation (Wu, He 2018) and layer normalisation (Ba, Kiros, Hinton 2016), one group after the other.

Statistics belong to an image: training and inference compute the same, and no image depends on another. Means,
variances and gradient sums are computed in float64 and stored in x's dtype.
"""

from __future__ import annotations

import numpy as np


def groupnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = np.zeros_like(x)
    mean, inv_std = np.zeros((len(x), groups), x.dtype), np.zeros((len(x), groups), x.dtype)
    each = x.shape[1] // groups
    for n in range(len(x)):
        for g in range(groups):
            mean[n, g], inv_std[n, g] = _statistics(x[n, g * each : (g + 1) * each], eps)
            for c in range(g * each, (g + 1) * each):
                y[n, c] = (x[n, c] - mean[n, g]) * inv_std[n, g] * gamma[c] + beta[c]
    return y, mean, inv_std


def groupnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    out: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx = np.zeros_like(x)
    dgamma, dbeta = out if out is not None else (np.zeros_like(gamma), np.zeros_like(gamma))
    sums = np.zeros((2, len(gamma)))
    each = x.shape[1] // mean.shape[1]
    for n, g in np.ndindex(mean.shape):
        channels = range(g * each, (g + 1) * each)
        xhat = (x[n, channels].astype(np.float64) - mean[n, g]) * inv_std[n, g]
        scaled = np.zeros_like(xhat)
        for i, c in enumerate(channels):
            sums[0, c] += np.sum(dy[n, c] * xhat[i])
            sums[1, c] += np.sum(dy[n, c], dtype=np.float64)
            scaled[i] = dy[n, c] * np.float64(gamma[c])
        dx[n, channels] = _gradient(scaled, xhat, inv_std[n, g])
    dgamma[...], dbeta[...] = sums
    return dx, dgamma, dbeta


def layernorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = _rows(x, gamma)
    y = np.zeros_like(rows)
    mean, inv_std = np.zeros(rows.shape[:2], x.dtype), np.zeros(rows.shape[:2], x.dtype)
    for n, r in np.ndindex(mean.shape):
        mean[n, r], inv_std[n, r] = _statistics(rows[n, r], eps)
        y[n, r] = (rows[n, r] - mean[n, r]) * inv_std[n, r] * gamma + beta
    return y.reshape(x.shape), mean, inv_std


def layernorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    out: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, d = _rows(x, gamma), _rows(dy, gamma)
    dx = np.zeros_like(rows)
    dgamma, dbeta = out if out is not None else (np.zeros_like(gamma), np.zeros_like(gamma))
    sums = np.zeros((2, *gamma.shape))
    for n, r in np.ndindex(mean.shape):
        xhat = (rows[n, r].astype(np.float64) - mean[n, r]) * inv_std[n, r]
        sums[0] += d[n, r] * xhat
        sums[1] += d[n, r]
        dx[n, r] = _gradient(d[n, r] * gamma.astype(np.float64), xhat, inv_std[n, r])
    dgamma[...], dbeta[...] = sums
    return dx.reshape(x.shape), dgamma, dbeta


def _rows(x: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """(N, ..., *gamma's shape) -> (N, R, *gamma's shape)."""
    places = int(np.prod(x.shape[1 : x.ndim - gamma.ndim]))
    return x.reshape(len(x), places, *gamma.shape)


def _statistics(values: np.ndarray, eps: float) -> tuple[float, float]:
    wide = values.astype(np.float64)
    return wide.mean(), 1 / np.sqrt(wide.var() + eps)


def _gradient(g: np.ndarray, xhat: np.ndarray, inv_std: float) -> np.ndarray:
    """inv_std * (g - M(g) - xhat * M(g * xhat)): mean and variance depend on x, hence the two means M."""
    return inv_std * (g - np.mean(g) - xhat * np.mean(g * xhat))
