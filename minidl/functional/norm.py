"""Batch normalisation on (N, C, H, W) and (N, C) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional import _ready
from minidl.functional._call import call, write_back
from minidl.kernels import checks


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
    momentum, eps = _ready.norm_settings(who, momentum, eps)
    x, gamma, beta, *running = _ready.norm(who, x, gamma, beta, running_mean, running_var, train)
    checks.per_channel(
        who,
        checks.channels(who, x.shape, "(N, C) or (N, C, H, W)"),
        gamma=gamma,
        beta=beta,
        running_mean=running[0],
        running_var=running[1],
    )
    results = call(who, x, gamma, beta, *running, momentum, eps, bool(train))
    if train:
        write_back([running_mean, running_var], running)
    return results


def batchnorm_backward(
    dy: Any, x: Any, gamma: Any, mean: Any, inv_std: Any, train: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx like x, dgamma (C,), dbeta (C,) for dy shaped like x, and mean and inv_std of `batchnorm_forward`.

    train: whether mean and inv_std were the batch's own, and so depend on x.
    """
    who = "batchnorm_backward"
    dy, x, gamma, mean, inv_std = checks.floats(who, dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
    checks.per_channel(
        who, checks.channels(who, x.shape, "(N, C) or (N, C, H, W)"), gamma=gamma, mean=mean, inv_std=inv_std
    )
    checks.same_shape(who, "dy", dy.shape, x.shape, "x's")
    return call(who, dy, x, gamma, mean, inv_std, bool(train))
