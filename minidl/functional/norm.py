"""Batch normalisation on (N, C, H, W) and (N, C) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.kernels import checks


def norm_settings(who: str, momentum: float, eps: float) -> tuple[float, float]:
    """momentum and eps, checked."""
    return (
        checks.real(who, "momentum", momentum, "in [0, 1]", lambda m: 0 <= m <= 1),
        checks.real(who, "eps", eps, "positive", lambda e: e > 0),
    )


def norm_arrays(who: str, x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, train: bool) -> list[Any]:
    """x, gamma, beta and the running statistics ready for a kernel; in training the latter can be written to."""
    if train:
        _check.writeable(who, running_mean=running_mean, running_var=running_var)
    return _check.floats(who, x=x, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)


def batchnorm_forward(
    x: Any,
    gamma: Any,
    beta: Any,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    momentum: float = 0.9,
    eps: float = 1e-5,
    train: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y = gamma (x - mean) inv_std + beta, per channel -> y, mean (C,), inv_std (C,).

    x: (N, C, H, W) or (N, C). gamma, beta, running_mean, running_var: (C,). train: statistics of the batch, and
    running = momentum * running + (1 - momentum) * batch, in place (PyTorch counts momentum the other way round, and
    keeps the unbiased variance); else the running statistics, left alone. inv_std = 1 / sqrt(var + eps).
    """
    who = "batchnorm_forward"
    momentum, eps = norm_settings(who, momentum, eps)
    x, gamma, beta, *running = norm_arrays(who, x, gamma, beta, running_mean, running_var, train)
    _shapes(who, x, gamma=gamma, beta=beta, running_mean=running[0], running_var=running[1])
    backend = kernels.current()
    y, mean, inv_std = backend.batchnorm_forward(backend.enter(x), gamma, beta, *running, momentum, eps, bool(train))
    if train:
        _check.write_back([running_mean, running_var], running)
    return backend.leave(y), mean, inv_std


def batchnorm_backward(
    dy: Any, x: Any, gamma: Any, mean: Any, inv_std: Any, train: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx like x, dgamma (C,), dbeta (C,) for dy shaped like x, and mean and inv_std of `batchnorm_forward`.

    train: whether mean and inv_std were the batch's own, and so depend on x.
    """
    who = "batchnorm_backward"
    dy, x, gamma, mean, inv_std = _check.floats(who, dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
    _shapes(who, x, gamma=gamma, mean=mean, inv_std=inv_std)
    checks.same_shape(who, "dy", dy.shape, x.shape, "x's")
    backend = kernels.current()
    dx, dgamma, dbeta = backend.batchnorm_backward(
        backend.enter(dy), backend.enter(x), gamma, mean, inv_std, bool(train)
    )
    return backend.leave(dx), dgamma, dbeta


def _shapes(who: str, x: np.ndarray, **per_channel: np.ndarray) -> None:
    _check.ndim(who, "x", x, "(N, C) or (N, C, H, W)", 2, 4)
    if min(x.shape[1:]) < 1:
        raise ValueError(f"{who}: channels, height and width of x must be at least 1, got shape {x.shape}")
    _check.per_channel(who, x.shape[1], **per_channel)
