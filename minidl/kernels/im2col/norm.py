"""Batch normalisation, per channel of (N, C, H, W) or feature of (N, F): Ioffe and Szegedy 2015, arXiv 1502.03167."""

from __future__ import annotations

import numpy as np


def _channels(x: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Axes of a channel's statistics, shape that spreads a (C,) vector over x, and M, the elements a channel."""
    axes = (0, *range(2, x.ndim))
    return axes, (-1,) + (1,) * (x.ndim - 2), int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))


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
    axes, spread, M = _channels(x)
    if not train:
        mean, var = running_mean.copy(), running_var
    elif M == 0:
        mean = var = np.zeros_like(running_mean)
    else:
        mean = x.mean(axis=axes)
    y = x - mean.reshape(spread)
    if train and M:
        # From the centred values: the mean of squares minus the square of the mean cancels badly in float32.
        var = np.square(y).mean(axis=axes)
        for running, batch in ((running_mean, mean), (running_var, var)):
            running *= momentum
            running += (1 - momentum) * batch
    inv_std = 1 / np.sqrt(var + eps)
    y *= (inv_std * gamma).reshape(spread)
    y += beta.reshape(spread)
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
    axes, spread, M = _channels(x)
    dgamma, dbeta = out if out is not None else (np.empty_like(gamma), np.empty_like(gamma))
    xhat = x - mean.reshape(spread)
    xhat *= inv_std.reshape(spread)
    np.sum(dy, axis=axes, out=dbeta)
    np.sum(dy * xhat, axis=axes, out=dgamma)
    if train and M:
        dx = xhat
        dx *= (dgamma / -M).reshape(spread)
        dx += dy
        dx -= (dbeta / M).reshape(spread)
    else:
        dx = dy.copy()
    dx *= (gamma * inv_std).reshape(spread)
    return dx, dgamma, dbeta
