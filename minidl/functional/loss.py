"""Losses: value and gradient in one pass, mean over the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.kernels import checks


def softmax_cross_entropy(logits: Any, target: Any, smoothing: float = 0.0) -> tuple[float, np.ndarray, int]:
    """loss = -1/N sum_n sum_k t[n,k] log softmax(logits)[n,k] -> loss, dlogits (N, K), number of correct rows.

    logits: (N, K). target: (N,) integers in [0, K), or (N, K) one-hot or probabilities. smoothing s in [0, 1]:
    t -> (1 - s) t + s/K. A row is correct if its first largest logit stands at the target. N = 0: loss 0.
    """
    who = "softmax_cross_entropy"
    (logits,) = _check.floats(who, logits=logits)
    _check.ndim(who, "logits", logits, "(N, K)", 2)
    if logits.shape[1] < 1:
        raise ValueError(f"{who}: logits must have at least 1 class, got shape {logits.shape}")
    n, classes = logits.shape
    target = checks.class_targets(who, target, n, classes, logits.dtype)
    smoothing = checks.real(who, "smoothing", smoothing, "in [0, 1]", lambda s: 0 <= s <= 1)
    backend = kernels.current()
    loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), target, smoothing)
    return loss, backend.leave(dlogits), correct


def mse_loss(x: Any, target: Any) -> tuple[float, np.ndarray]:
    """loss = 1/(2N) sum (x - target)^2 -> loss, dx = (x - target) / N. x, target: one shape, (N, F) or (N, C, H, W)."""
    who = "mse_loss"
    x, target = _check.floats(who, x=x, target=target)
    _check.ndim(who, "x", x, "(N, F) or (N, C, H, W)", 2, 4)
    checks.same_shape(who, "target", target.shape, x.shape, "x's")
    backend = kernels.current()
    loss, dx = backend.mse_loss(backend.enter(x), target)
    return loss, backend.leave(dx)
