"""Losses: value and gradient in one pass, mean over the batch."""

from __future__ import annotations

import numpy as np


def softmax_cross_entropy(
    logits: np.ndarray, target: np.ndarray, smoothing: float = 0.0
) -> tuple[float, np.ndarray, int]:
    N, K = logits.shape
    if N == 0:
        return 0.0, np.zeros_like(logits), 0
    t, correct = _targets(logits, target)
    t *= 1 - smoothing
    t += smoothing / K
    log_softmax = logits - logits.max(axis=1, keepdims=True)
    softmax = np.exp(log_softmax)
    total = softmax.sum(axis=1, keepdims=True)
    log_softmax -= np.log(total)
    softmax /= total
    # A class without weight adds nothing, even where its logarithm is infinite.
    terms = np.multiply(t, log_softmax, where=t != 0, out=np.zeros_like(t))
    loss = -float(np.sum(terms, dtype=np.float64)) / N
    softmax *= t.sum(axis=1, keepdims=True)
    softmax -= t
    softmax /= N
    return loss, softmax, correct


def mse_loss(x: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    dx = x - target
    loss = 0.5 * float(np.sum(np.square(dx), dtype=np.float64)) / max(len(x), 1)
    dx /= max(len(x), 1)
    return loss, dx


def margin_loss(
    lengths: np.ndarray, target: np.ndarray, present: float = 0.9, absent: float = 0.1, weight: float = 0.5
) -> tuple[float, np.ndarray, int]:
    N = len(lengths)
    t, correct = _targets(lengths, target)
    below, above = np.maximum(present - lengths, 0), np.maximum(lengths - absent, 0)
    rest = weight * (1 - t)
    loss = float(np.sum(t * below**2 + rest * above**2, dtype=np.float64)) / max(N, 1)
    return loss, (rest * above - t * below) * (2 / max(N, 1)), correct


def squared_error(x: np.ndarray, target: np.ndarray, scale: float) -> tuple[float, np.ndarray]:
    dx = x - target
    loss = scale * float(np.sum(np.square(dx), dtype=np.float64)) / max(len(x), 1)
    dx *= 2 * scale / max(len(x), 1)
    return loss, dx


def _targets(scores: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int]:
    """-> targets (N, K) of their own memory, number of rows whose largest score is the target's (none with a NaN)."""
    if target.ndim == 1:
        labels, t = target, np.zeros_like(scores)
        t[np.arange(len(scores)), labels] = 1
    else:
        labels, t = target.argmax(axis=1), target.copy()
    hit = scores.argmax(axis=1) == labels
    hit &= ~np.isnan(scores).any(axis=1)
    return t, int(np.count_nonzero(hit))
