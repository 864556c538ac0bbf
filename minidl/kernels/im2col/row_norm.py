"""Group normalisation (Wu, He 2018) and layer normalisation (Ba, Kiros, Hinton 2016) as rows of a matrix.

An image's values stand in rows, each with a mean and a variance of its own: (N, R, runs, area), where the `area`
values of a run share a gamma and a beta. A group is a row of its channels' runs; in layer normalisation a run is one
value.
"""

from __future__ import annotations

import numpy as np


def groupnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    spread = (groups, x.shape[1] // groups, 1)
    return _forward(x, gamma.reshape(spread), beta.reshape(spread), groups, eps)


def groupnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    out: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    groups = mean.shape[1]
    spread = gamma.reshape(groups, x.shape[1] // groups, 1)
    dx, dyx, d = _backward(dy, x, spread, mean, inv_std)
    dgamma, dbeta = out if out is not None else (np.empty_like(gamma), np.empty_like(gamma))
    np.sum(dyx, axis=(0, 3), out=dgamma.reshape(spread.shape[:2]))
    np.sum(d, axis=(0, 3), out=dbeta.reshape(spread.shape[:2]))
    return dx, dgamma, dbeta


def layernorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = int(np.prod(x.shape[1 : x.ndim - gamma.ndim]))
    return _forward(x, gamma.reshape(-1, 1), beta.reshape(-1, 1), places, eps)


def layernorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    out: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dyx, d = _backward(dy, x, gamma.reshape(-1, 1), mean, inv_std)
    dgamma, dbeta = out if out is not None else (np.empty_like(gamma), np.empty_like(gamma))
    np.sum(dyx, axis=(0, 1), out=dgamma.reshape(-1, 1))
    np.sum(d, axis=(0, 1), out=dbeta.reshape(-1, 1))
    return dx, dgamma, dbeta


def _forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, rows: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """gamma, beta (runs, 1) or (R, runs, 1)."""
    values = x.reshape(len(x), rows, gamma.shape[-2], -1) if x.size else x.reshape(0, rows, gamma.shape[-2], 1)
    mean = values.mean(axis=(2, 3), keepdims=True)
    y = values - mean
    inv_std = 1 / np.sqrt(np.square(y).mean(axis=(2, 3), keepdims=True) + x.dtype.type(eps))
    y *= inv_std
    y *= gamma
    y += beta
    return y.reshape(x.shape), mean.reshape(len(x), rows), inv_std.reshape(len(x), rows)


def _backward(
    dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, inv_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx like x; dy * xhat and dy as (N, R, runs, area)."""
    shape = (*mean.shape, gamma.shape[-2], -1 if x.size else 1)
    d, spread = dy.reshape(shape), (*mean.shape, 1, 1)
    xhat = x.reshape(shape) - mean.reshape(spread)
    xhat *= inv_std.reshape(spread)
    dyx = d * xhat
    dx = d * gamma
    slope = (dx * xhat).mean(axis=(2, 3), keepdims=True)
    dx -= dx.mean(axis=(2, 3), keepdims=True)
    xhat *= slope
    dx -= xhat
    dx *= inv_std.reshape(spread)
    return dx.reshape(x.shape), dyx, d
