"""Losses, one image after the other: value and gradient in one pass, summed in float64, mean over the batch."""

from __future__ import annotations

import numpy as np


def softmax_cross_entropy(
    logits: np.ndarray, target: np.ndarray, smoothing: float = 0.0
) -> tuple[float, np.ndarray, int]:
    """Label smoothing: Szegedy et al. 2016, "Rethinking the Inception architecture"."""
    N, K = logits.shape
    dlogits = np.zeros_like(logits)
    loss, correct = 0.0, 0
    for n in range(N):
        t = _wanted(target[n], K)
        correct += _right(logits[n], t)
        t = (1 - smoothing) * t + smoothing / K
        shifted = logits[n].astype(np.float64) - np.max(logits[n])
        log_sum = np.log(np.sum(np.exp(shifted)))
        counted = t != 0
        loss -= np.sum(t[counted] * (shifted[counted] - log_sum)) / N
        dlogits[n] = (np.exp(shifted - log_sum) * np.sum(t) - t) / N
    return float(loss), dlogits, correct


def mse_loss(x: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    loss = 0.0
    dx = np.zeros_like(x)
    N = x.shape[0]
    for n in range(N):
        difference = x[n].astype(np.float64) - target[n]
        loss += np.sum(difference * difference) / (2 * N)
        dx[n] = difference / N
    return float(loss), dx


def margin_loss(
    lengths: np.ndarray, target: np.ndarray, present: float = 0.9, absent: float = 0.1, weight: float = 0.5
) -> tuple[float, np.ndarray, int]:
    """Sabour, Frosst, Hinton 2017 (arXiv 1710.09829), equation 4."""
    N, K = lengths.shape
    dlengths = np.zeros_like(lengths)
    loss, correct = 0.0, 0
    for n in range(N):
        t = _wanted(target[n], K)
        correct += _right(lengths[n], t)
        x = lengths[n].astype(np.float64)
        below, above = np.maximum(0, present - x), np.maximum(0, x - absent)
        loss += np.sum(t * below**2 + weight * (1 - t) * above**2) / N
        dlengths[n] = 2 * (weight * (1 - t) * above - t * below) / N
    return float(loss), dlengths, correct


def squared_error(x: np.ndarray, target: np.ndarray, scale: float) -> tuple[float, np.ndarray]:
    loss = 0.0
    dx = np.zeros_like(x)
    N = x.shape[0]
    for n in range(N):
        difference = x[n].astype(np.float64) - target[n]
        loss += scale * np.sum(difference * difference) / N
        dx[n] = 2 * scale * difference / N
    return float(loss), dx


def _wanted(target: np.ndarray, K: int) -> np.ndarray:
    """The K values that one image should have, from its class or its row."""
    t = np.zeros(K)
    if target.ndim == 0:
        t[target] = 1
    else:
        t[:] = target
    return t


def _right(scores: np.ndarray, t: np.ndarray) -> int:
    """1 if the largest score is that of the largest target; a row with a NaN is never right."""
    return int(not np.isnan(scores).any() and np.argmax(scores) == np.argmax(t))
