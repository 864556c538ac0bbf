"""Losses: value and gradient in one pass, weighted mean over the rows."""

from __future__ import annotations

from typing import Any

import numpy as np


def softmax_cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    smoothing: float = 0.0,
    weight: np.ndarray | None = None,
    class_weight: np.ndarray | None = None,
) -> tuple[float, np.ndarray, float]:
    N, K = logits.shape
    if N == 0:
        return 0.0, np.zeros_like(logits), _sum(np.zeros(0, bool), weight)
    t, hit = _targets(logits, target)
    t *= 1 - smoothing
    t += smoothing / K
    total = None
    if class_weight is not None:
        t *= class_weight
        if target.ndim == 1:
            total = float(_sum(class_weight[target].astype(np.float64), weight))
    log_softmax = logits - logits.max(axis=1, keepdims=True)
    softmax = np.exp(log_softmax)
    sums = softmax.sum(axis=1, keepdims=True)
    log_softmax -= np.log(sums)
    softmax /= sums
    # A class without weight adds nothing, even where its logarithm is infinite.
    terms = np.multiply(t, log_softmax, where=t != 0, out=np.zeros_like(t))
    softmax *= t.sum(axis=1, keepdims=True)
    softmax -= t
    return _mean(np.negative(terms, out=terms), softmax, weight, 1.0, total), softmax, _sum(hit, weight)


def sigmoid_cross_entropy(
    logits: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, pos_weight: np.ndarray | None = None
) -> tuple[float, np.ndarray, float]:
    e = np.exp(-np.abs(logits))
    more, s = np.log1p(e), 1 / (1 + e)
    no, yes = 1 - target, target if pos_weight is None else target * pos_weight
    terms = np.multiply(no, np.maximum(logits, 0) + more, where=no != 0, out=np.zeros_like(logits))
    terms += np.multiply(yes, np.maximum(-logits, 0) + more, where=yes != 0, out=np.zeros_like(logits))
    gradient = np.where(logits > 0, no * s - yes * (e * s), no * (e * s) - yes * s)
    hit = ((logits > 0) == (target >= 0.5)) & ~np.isnan(logits)
    correct = _sum(hit.sum(axis=1), weight)
    return _mean(terms, gradient, weight, 1 / logits.shape[1]), gradient, correct


def mse_loss(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, mean: bool = False
) -> tuple[float, np.ndarray]:
    dx = x - target
    return _mean(np.square(dx) / 2, dx, weight, 2 / _values(x) if mean else 1.0), dx


def l1_loss(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    dx = x - target
    terms = np.abs(dx)
    np.sign(dx, out=dx)
    return _mean(terms, dx, weight, 1 / _values(x)), dx


def huber_loss(
    x: np.ndarray, target: np.ndarray, delta: float = 1.0, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    difference = x - target
    dx = np.clip(difference, -delta, delta)
    return _mean(dx * (difference - dx / 2), dx, weight, 1 / _values(x)), dx


def margin_loss(
    lengths: np.ndarray,
    target: np.ndarray,
    present: float = 0.9,
    absent: float = 0.1,
    weight: float = 0.5,
    row_weight: np.ndarray | None = None,
) -> tuple[float, np.ndarray, float]:
    t, hit = _targets(lengths, target)
    below, above = np.maximum(present - lengths, 0), np.maximum(lengths - absent, 0)
    rest = weight * (1 - t)
    gradient = 2 * (rest * above - t * below)
    return _mean(t * below**2 + rest * above**2, gradient, row_weight), gradient, _sum(hit, row_weight)


def squared_error(
    x: np.ndarray, target: np.ndarray, scale: float, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    dx = x - target
    return _mean(np.square(dx) / 2, dx, weight, 2 * scale), dx


def _mean(
    terms: np.ndarray,
    gradient: np.ndarray,
    weight: np.ndarray | None,
    scale: float = 1.0,
    total: float | None = None,
) -> float:
    """scale times the sum of the rows' terms, weighted mean over the rows; scales the gradient, in place, alike.

    total: what is divided by, where that is not the number of rows, or the sum of their weights.
    """
    if weight is None and total is None:
        if scale != 1:
            gradient *= scale
        gradient /= max(len(terms), 1)
        return scale * float(np.sum(terms, dtype=np.float64)) / max(len(terms), 1)
    weights = np.ones(len(terms)) if weight is None else weight.astype(np.float64)
    total = float(weights.sum()) if total is None else total
    shares = weights * (scale / total) if total > 0 else np.zeros_like(weights)
    rows = np.asarray(np.sum(terms, axis=tuple(range(1, terms.ndim)), dtype=np.float64))
    counted = shares != 0
    gradient[~counted] = 0
    gradient *= shares.astype(gradient.dtype).reshape(-1, *(1,) * (gradient.ndim - 1))
    return float(np.sum(rows[counted] * shares[counted]))


def _sum(rows: np.ndarray, weight: np.ndarray | None) -> Any:
    """The sum of what the rows count, as an int where they are whole, or weighted as a float."""
    return rows.sum().item() if weight is None else float(np.sum(rows * weight.astype(np.float64)))


def _values(x: np.ndarray) -> int:
    """F, the number of values of a row."""
    return max(int(np.prod(x.shape[1:])), 1)


def _targets(scores: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> targets (N, K) of their own memory, whether each row's largest score is the target's (not with a NaN)."""
    if target.ndim == 1:
        labels, t = target, np.zeros_like(scores)
        t[np.arange(len(scores)), labels] = 1
    else:
        labels, t = target.argmax(axis=1), target.copy()
    hit = scores.argmax(axis=1) == labels
    hit &= ~np.isnan(scores).any(axis=1)
    return t, hit
