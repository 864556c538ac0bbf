"""Losses: value and gradient in one pass, means over the rows.

weight, where there is one: (N,) numbers w of at least 0, of any dtype; the mean is then sum w l / sum w, and 0 where
that sum is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks


def softmax_cross_entropy(
    logits: Any, target: Any, smoothing: float = 0.0, weight: Any = None, class_weight: Any = None
) -> tuple[float, np.ndarray, float]:
    """loss = -1/N sum_n sum_k t[n,k] log softmax(logits)[n,k] -> loss, dlogits (N, K), number of correct rows.

    logits: (N, K). target: (N,) integers in [0, K), or (N, K) one-hot or probabilities. smoothing s in [0, 1]:
    t -> (1 - s) t + s/K. class_weight: c (K,) of at least 0: t[n,k] -> c[k] t[n,k]; for integer targets 1/N becomes
    1 / sum_n c[target[n]]. A row is correct if its first largest logit stands at the target; with weight, the sum of
    the weights of such rows is given. N = 0: loss 0.
    """
    who = "softmax_cross_entropy"
    logits, target = _scores(who, target, logits=logits)
    smoothing = checks.real(who, "smoothing", smoothing, "in [0, 1]", lambda s: 0 <= s <= 1)
    factors = checks.weights(who, "class_weight", class_weight, logits.shape[1], "one a class", logits.dtype)
    return call(who, logits, target, smoothing, _weight(who, weight, logits), factors)


def sigmoid_cross_entropy(
    logits: Any, target: Any, weight: Any = None, pos_weight: Any = None
) -> tuple[float, np.ndarray, float]:
    """1/(N K) sum (1 - t) log(1 + exp(x)) + p t log(1 + exp(-x)) -> loss, dlogits (N, K), number of right decisions.

    logits: x (N, K). target: t, of the same shape and dtype, in [0, 1]. pos_weight: p (K,) of at least 0; None: 1. A
    decision x > 0 is right where t >= 0.5; with weight each counts its row's. N = 0: loss 0.
    """
    who = "sigmoid_cross_entropy"
    logits, target = checks.floats(who, logits=logits, target=target)
    checks.ndim(who, "logits", logits.shape, "(N, K)", 2)
    if logits.shape[1] < 1:
        raise ValueError(f"{who}: logits must have at least 1 column, got shape {logits.shape}")
    checks.same_shape(who, "target", target.shape, logits.shape, "the logits'")
    factors = checks.weights(who, "pos_weight", pos_weight, logits.shape[1], "one a column", logits.dtype)
    return call(who, logits, target, _weight(who, weight, logits), factors)


def mse_loss(x: Any, target: Any, weight: Any = None, mean: bool = False) -> tuple[float, np.ndarray]:
    """loss = 1/(2N) sum (x - target)^2 -> loss, dx = (x - target) / N. x, target: one shape, (N, F) or (N, C, H, W).

    mean: the mean of (x - target)^2 over all values instead.
    """
    who = "mse_loss"
    x, target = checks.images(who, x=x, target=target)
    return call(who, x, target, _weight(who, weight, x), bool(mean))


def l1_loss(x: Any, target: Any, weight: Any = None) -> tuple[float, np.ndarray]:
    """Mean of |x - target| over all values -> loss, dx. x, target: one shape, (N, F) or (N, C, H, W)."""
    who = "l1_loss"
    x, target = checks.images(who, x=x, target=target)
    return call(who, x, target, _weight(who, weight, x))


def huber_loss(x: Any, target: Any, delta: float = 1.0, weight: Any = None) -> tuple[float, np.ndarray]:
    """Mean over all values of d^2/2 for |d| up to delta, else delta (|d| - delta/2), d = x - target -> loss, dx.

    x, target: one shape, (N, F) or (N, C, H, W). delta: positive.
    """
    who = "huber_loss"
    x, target = checks.images(who, x=x, target=target)
    delta = checks.real(who, "delta", delta, "positive", lambda d: d > 0)
    return call(who, x, target, delta, _weight(who, weight, x))


def margin_loss(
    lengths: Any,
    target: Any,
    present: float = 0.9,
    absent: float = 0.1,
    weight: float = 0.5,
    row_weight: Any = None,
) -> tuple[float, np.ndarray, float]:
    """1/N sum_n sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 -> loss, dlengths, correct rows.

    lengths: x (N, K). target: t, (N,) integers in [0, K), or (N, K). row_weight: what is `weight` of the other losses.
    A row is correct if its first largest length stands at the target. N = 0: loss 0.
    """
    who = "margin_loss"
    lengths, target = _scores(who, target, lengths=lengths)
    settings = {"present": present, "absent": absent, "weight": weight}
    numbers = [checks.real(who, name, value, "a finite number", lambda _: True) for name, value in settings.items()]
    return call(who, lengths, target, *numbers, _weight(who, row_weight, lengths, "row_weight"))


def squared_error(x: Any, target: Any, scale: float = 1.0, weight: Any = None) -> tuple[float, np.ndarray]:
    """loss = scale/N sum (x - target)^2 -> loss, dx = 2 scale (x - target) / N. x, target: of one shape (N, ...)."""
    who = "squared_error"
    x, target = checks.floats(who, x=x, target=target)
    if x.ndim < 1:
        raise ValueError(f"{who}: x must have at least 1 dimension (N, ...), got shape {x.shape}")
    checks.same_shape(who, "target", target.shape, x.shape, "x's")
    scale = checks.real(who, "scale", scale, "a finite number", lambda _: True)
    return call(who, x, target, scale, _weight(who, weight, x))


def _weight(who: str, weight: Any, x: np.ndarray, name: str = "weight") -> np.ndarray | None:
    """Weights of x's rows."""
    return checks.weights(who, name, weight, len(x), "one a row", x.dtype)


def _scores(who: str, target: Any, **named: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K), given by their name, and targets that go with them."""
    ((name, scores),) = named.items()
    (scores,) = checks.floats(who, **named)
    checks.ndim(who, name, scores.shape, "(N, K)", 2)
    if scores.shape[1] < 1:
        raise ValueError(f"{who}: {name} must have at least 1 class, got shape {scores.shape}")
    n, classes = scores.shape
    return scores, checks.class_targets(who, target, n, classes, scores.dtype)
