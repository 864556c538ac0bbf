"""Normalisation within each image of (N, C, H, W) and (N, C) arrays: groups of channels, or the last dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks

Results = tuple[np.ndarray, np.ndarray, np.ndarray]


def groupnorm_forward(x: Any, gamma: Any, beta: Any, groups: int, eps: float = 1e-5) -> Results:
    """y = gamma (x - mean) inv_std + beta -> y, mean (N, groups), inv_std (N, groups).

    x: (N, C, H, W) or (N, C). gamma, beta: (C,). groups: divides C; each group of neighbouring channels of an image has
    a mean and a population variance, inv_std = 1 / sqrt(var + eps). The same in training and inference.
    """
    who = "groupnorm_forward"
    x, gamma, beta = checks.floats(who, x=x, gamma=gamma, beta=beta)
    _groups(who, x, checks.integer(who, "groups", groups, 1), gamma=gamma, beta=beta)
    return call(who, x, gamma, beta, groups, _eps(who, eps))


def groupnorm_backward(dy: Any, x: Any, gamma: Any, mean: Any, inv_std: Any) -> Results:
    """-> dx like x, dgamma (C,), dbeta (C,) for dy shaped like x, and mean and inv_std of `groupnorm_forward`."""
    who = "groupnorm_backward"
    dy, x, gamma, mean, inv_std = checks.floats(who, dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
    checks.ndim(who, "mean", mean.shape, "(N, groups)", 2)
    if mean.shape[1] < 1:
        raise ValueError(f"{who}: mean must have at least 1 group, got shape {mean.shape}")
    _groups(who, x, mean.shape[1], gamma=gamma)
    return _backward(who, dy, x, gamma, mean, inv_std, mean.shape[1])


def layernorm_forward(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Results:
    """y = gamma (x - mean) inv_std + beta -> y, mean (N, R), inv_std (N, R).

    x: (N, C, H, W) or (N, F). gamma, beta: the shape of x's last dimensions, at most all but N, over which mean and
    population variance are taken, once for each of the R places in the dimensions before them; R = 1 for whole images.
    """
    who = "layernorm_forward"
    x, gamma, beta = checks.floats(who, x=x, gamma=gamma, beta=beta)
    _places(who, x, gamma)
    checks.same_shape(who, "beta", beta.shape, gamma.shape, "gamma's")
    return call(who, x, gamma, beta, _eps(who, eps))


def layernorm_backward(dy: Any, x: Any, gamma: Any, mean: Any, inv_std: Any) -> Results:
    """-> dx like x, dgamma and dbeta like gamma for dy shaped like x, and mean and inv_std of `layernorm_forward`."""
    who = "layernorm_backward"
    dy, x, gamma, mean, inv_std = checks.floats(who, dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
    return _backward(who, dy, x, gamma, mean, inv_std, _places(who, x, gamma))


def _eps(who: str, eps: float) -> float:
    return checks.real(who, "eps", eps, "positive", lambda e: e > 0)


def _groups(who: str, x: np.ndarray, groups: int, **per_channel: np.ndarray) -> None:
    channels = checks.channels(who, x.shape)
    if channels % groups:
        raise ValueError(f"{who}: the channels of x must be divisible by groups, got {channels} and {groups}")
    checks.per_channel(who, channels, **per_channel)


def _places(who: str, x: np.ndarray, gamma: np.ndarray) -> int:
    checks.channels(who, x.shape)
    if not 0 < gamma.ndim < x.ndim or x.shape[x.ndim - gamma.ndim :] != gamma.shape:
        rule = f"the shape of the last dimensions of x {x.shape}, without N"
        raise ValueError(f"{who}: gamma must have {rule}, got {gamma.shape}")
    return int(np.prod(x.shape[1 : x.ndim - gamma.ndim]))


def _backward(
    who: str, dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, inv_std: np.ndarray, rows: int
) -> Results:
    checks.same_shape(who, "dy", dy.shape, x.shape, "x's")
    for name, statistic in (("mean", mean), ("inv_std", inv_std)):
        checks.same_shape(who, name, statistic.shape, (len(x), rows), "as the forward gave it")
    return call(who, dy, x, gamma, mean, inv_std)
