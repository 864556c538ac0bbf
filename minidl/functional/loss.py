"""Losses: value and gradient in one pass, mean over the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks


def softmax_cross_entropy(logits: Any, target: Any, smoothing: float = 0.0) -> tuple[float, np.ndarray, int]:
    """loss = -1/N sum_n sum_k t[n,k] log softmax(logits)[n,k] -> loss, dlogits (N, K), number of correct rows.

    logits: (N, K). target: (N,) integers in [0, K), or (N, K) one-hot or probabilities. smoothing s in [0, 1]:
    t -> (1 - s) t + s/K. A row is correct if its first largest logit stands at the target. N = 0: loss 0.
    """
    who = "softmax_cross_entropy"
    logits, target = _scores(who, target, logits=logits)
    smoothing = checks.real(who, "smoothing", smoothing, "in [0, 1]", lambda s: 0 <= s <= 1)
    return call(who, logits, target, smoothing)


def mse_loss(x: Any, target: Any) -> tuple[float, np.ndarray]:
    """loss = 1/(2N) sum (x - target)^2 -> loss, dx = (x - target) / N. x, target: one shape, (N, F) or (N, C, H, W)."""
    who = "mse_loss"
    return call(who, *checks.images(who, x=x, target=target))


def margin_loss(
    lengths: Any, target: Any, present: float = 0.9, absent: float = 0.1, weight: float = 0.5
) -> tuple[float, np.ndarray, int]:
    """1/N sum_n sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 -> loss, dlengths, correct rows.

    lengths: x (N, K). target: t, (N,) integers in [0, K), or (N, K). A row is correct if its first largest length
    stands at the target. N = 0: loss 0.
    """
    who = "margin_loss"
    lengths, target = _scores(who, target, lengths=lengths)
    settings = {"present": present, "absent": absent, "weight": weight}
    numbers = [checks.real(who, name, value, "a finite number", lambda _: True) for name, value in settings.items()]
    return call(who, lengths, target, *numbers)


def squared_error(x: Any, target: Any, scale: float = 1.0) -> tuple[float, np.ndarray]:
    """loss = scale/N sum (x - target)^2 -> loss, dx = 2 scale (x - target) / N. x, target: of one shape (N, ...)."""
    who = "squared_error"
    x, target = checks.floats(who, x=x, target=target)
    if x.ndim < 1:
        raise ValueError(f"{who}: x must have at least 1 dimension (N, ...), got shape {x.shape}")
    checks.same_shape(who, "target", target.shape, x.shape, "x's")
    scale = checks.real(who, "scale", scale, "a finite number", lambda _: True)
    return call(who, x, target, scale)


def _scores(who: str, target: Any, **named: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K), given by their name, and targets that go with them."""
    ((name, scores),) = named.items()
    (scores,) = checks.floats(who, **named)
    checks.ndim(who, name, scores.shape, "(N, K)", 2)
    if scores.shape[1] < 1:
        raise ValueError(f"{who}: {name} must have at least 1 class, got shape {scores.shape}")
    n, classes = scores.shape
    return scores, checks.class_targets(who, target, n, classes, scores.dtype)
