"""Losses, one row after the other: value and gradient in one pass, summed in float64, weighted mean over the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def softmax_cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    smoothing: float = 0.0,
    weight: np.ndarray | None = None,
    class_weight: np.ndarray | None = None,
) -> tuple[float, np.ndarray, float]:
    """Label smoothing: Szegedy et al. 2016, "Rethinking the Inception architecture"."""
    N, K = logits.shape
    dlogits = np.zeros_like(logits)
    factor = np.ones(K) if class_weight is None else class_weight.astype(np.float64)
    each = factor[target] if target.ndim == 1 else np.ones(N)
    loss = 0.0
    correct: float = 0
    for n, w, total in _weighted_rows(N, weight, each):
        t = _wanted(target[n], K)
        correct += w * _right(logits[n], t)
        if _counts(w, total):
            t = factor * ((1 - smoothing) * t + smoothing / K)
            shifted = logits[n].astype(np.float64) - np.max(logits[n])
            log_sum = np.log(np.sum(np.exp(shifted)))
            counted = t != 0
            loss -= w * np.sum(t[counted] * (shifted[counted] - log_sum)) / total
            dlogits[n] = w * (np.exp(shifted - log_sum) * np.sum(t) - t) / total
    return float(loss), dlogits, correct


def sigmoid_cross_entropy(
    logits: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, pos_weight: np.ndarray | None = None
) -> tuple[float, np.ndarray, float]:
    N, K = logits.shape
    dlogits = np.zeros_like(logits)
    loss = 0.0
    correct: float = 0
    for n, w, total in _weighted_rows(N, weight):
        for k in range(K):
            x, t = float(logits[n, k]), float(target[n, k])
            p = 1.0 if pos_weight is None else float(pos_weight[k])
            if x == x:
                correct += w * ((x > 0) == (t >= 0.5))
            if _counts(w, total):
                more = np.log1p(np.exp(-abs(x)))
                sigmoid = 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x)))
                up, down = sigmoid if x > 0 else sigmoid[::-1]
                no, yes = 1 - t, p * t
                value = (no * (max(x, 0) + more) if no else 0) + (yes * (max(-x, 0) + more) if yes else 0)
                loss += w * (value if x == x else x) / (K * total)
                dlogits[n, k] = w * (no * up - yes * down) / (K * total)
    return float(loss), dlogits, correct


def mse_loss(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, mean: bool = False
) -> tuple[float, np.ndarray]:
    return squared_error(x, target, 1 / _values(x) if mean else 0.5, weight)


def l1_loss(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    loss = 0.0
    dx = np.zeros_like(x)
    for n, w, total in _weighted_rows(len(x), weight):
        if _counts(w, total):
            difference = x[n].astype(np.float64) - target[n]
            loss += w * np.sum(np.abs(difference)) / (_values(x) * total)
            dx[n] = w * np.sign(difference) / (_values(x) * total)
    return float(loss), dx


def huber_loss(
    x: np.ndarray, target: np.ndarray, delta: float = 1.0, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Huber 1964, "Robust estimation of a location parameter"."""
    loss = 0.0
    dx = np.zeros_like(x)
    for n, w, total in _weighted_rows(len(x), weight):
        if _counts(w, total):
            difference = x[n].astype(np.float64) - target[n]
            near, distance = np.abs(difference) <= delta, np.abs(difference)
            values = np.where(near, difference**2 / 2, delta * (distance - delta / 2))
            loss += w * np.sum(values) / (_values(x) * total)
            dx[n] = w * np.where(near, difference, delta * np.sign(difference)) / (_values(x) * total)
    return float(loss), dx


def margin_loss(
    lengths: np.ndarray,
    target: np.ndarray,
    present: float = 0.9,
    absent: float = 0.1,
    weight: float = 0.5,
    row_weight: np.ndarray | None = None,
) -> tuple[float, np.ndarray, float]:
    """Sabour, Frosst, Hinton 2017 (arXiv 1710.09829), equation 4."""
    N, K = lengths.shape
    dlengths = np.zeros_like(lengths)
    loss = 0.0
    correct: float = 0
    for n, w, total in _weighted_rows(N, row_weight):
        t = _wanted(target[n], K)
        correct += w * _right(lengths[n], t)
        if _counts(w, total):
            x = lengths[n].astype(np.float64)
            below, above = np.maximum(0, present - x), np.maximum(0, x - absent)
            loss += w * np.sum(t * below**2 + weight * (1 - t) * above**2) / total
            dlengths[n] = 2 * w * (weight * (1 - t) * above - t * below) / total
    return float(loss), dlengths, correct


def squared_error(
    x: np.ndarray, target: np.ndarray, scale: float, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    loss = 0.0
    dx = np.zeros_like(x)
    for n, w, total in _weighted_rows(len(x), weight):
        if _counts(w, total):
            difference = x[n].astype(np.float64) - target[n]
            loss += w * scale * np.sum(difference * difference) / total
            dx[n] = w * 2 * scale * difference / total
    return float(loss), dx


def _weighted_rows(
    N: int, weight: np.ndarray | None, each: np.ndarray | None = None
) -> Iterator[tuple[int, float, float]]:
    """Of each row its number, its weight (an int without weights), and the sum of all, each times `each`."""
    weights = [1] * N if weight is None else [float(w) for w in weight]
    total = float(sum(w * (1.0 if each is None else each[n]) for n, w in enumerate(weights)))
    return ((n, w, total) for n, w in enumerate(weights))


def _counts(w: float, total: float) -> bool:
    """Whether a row has a share in the mean."""
    return w > 0 and total > 0


def _values(x: np.ndarray) -> int:
    """F, the number of values of a row."""
    return max(int(np.prod(x.shape[1:])), 1)


def _wanted(target: np.ndarray, K: int) -> np.ndarray:
    """The K values that one row should have, from its class or its row."""
    t = np.zeros(K)
    if target.ndim == 0:
        t[target] = 1
    else:
        t[:] = target
    return t


def _right(scores: np.ndarray, t: np.ndarray) -> int:
    """1 if the largest score is that of the largest target; a row with a NaN is never right."""
    return int(not np.isnan(scores).any() and np.argmax(scores) == np.argmax(t))
