"""Losses: value and gradient in one pass.

Means over the rows: sum_n w[n] l[n] / sum_n w[n], l[n] the loss of row n. weight w: (N,) of the logits' dtype, at
least 0; None: 1 for each. A row of weight 0 counts nothing, whatever it holds. Where the weights' sum is 0, or N,
the loss is 0 and the gradient too.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Array


class Losses(Protocol):
    """The operations of this file."""

    def softmax_cross_entropy(
        self,
        logits: Array,
        target: np.ndarray,
        smoothing: float = 0.0,
        weight: np.ndarray | None = None,
        class_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlogits, correct.

        l[n] = -sum_k t[n,k] log softmax(logits)[n,k], dlogits[n] = (softmax * sum_k t - t) * w[n] / sum w.
        target: (N,) intp class indices in [0, K), or (N, K) of the logits' dtype (one-hot or probabilities).
        smoothing s: t -> (1 - s) t + s/K. class_weight c: (K,) like the logits, at least 0: t[n,k] -> c[k] t[n,k], and
        for class indices sum w is that of w[n] c[target[n]]. correct: rows whose first largest logit is at the first
        largest target, as it was given, an int; with weight the sum of their weights. A row with a NaN is never
        correct. The softmax is shifted by its maximum. Where t = 0 the logarithm counts nothing, even at a logit of
        -inf.
        """

    def sigmoid_cross_entropy(
        self,
        logits: Array,
        target: np.ndarray,
        weight: np.ndarray | None = None,
        pos_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlogits, correct. x = logits (N, K), t = target, an ndarray like x with values in [0, 1]:

        l[n] = 1/K sum_k (1 - t) log(1 + exp(x)) + p[k] t log(1 + exp(-x)), without overflow;
        dx = ((1 - t) sigmoid(x) - p[k] t sigmoid(-x)) * w[n] / (K sum w). pos_weight p: (K,) like x; None: 1 for each.
        Where a factor is 0 the logarithm counts nothing. correct: how many of the N K decisions x > 0 are t >= 0.5, an
        int; with weight each counts its row's. A NaN is never correct.
        """

    def mse_loss(
        self, x: Array, target: np.ndarray, weight: np.ndarray | None = None, mean: bool = False
    ) -> tuple[float, Array]:
        """-> loss, dx. l[n] = 1/2 sum (x - target)^2, dx = (x - target) * w[n] / sum w. target: ndarray like x.

        mean: l[n] is the mean of the row's (x - target)^2 instead, 2/F times that of F values; so is dx.
        """

    def l1_loss(self, x: Array, target: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, Array]:
        """-> loss, dx. l[n]: mean over the row's F values of |x - target|; dx = sign(x - target) * w[n] / (F sum w).

        sign(0) = 0, and that of a NaN is a NaN.
        """

    def huber_loss(
        self, x: Array, target: np.ndarray, delta: float = 1.0, weight: np.ndarray | None = None
    ) -> tuple[float, Array]:
        """-> loss, dx. With d = x - target and g = d clipped to [-delta, delta]: l[n] is the mean over the row's F
        values of g (d - g/2), that is d^2/2 up to delta and delta (|d| - delta/2) beyond; dx = g * w[n] / (F sum w).
        """

    def margin_loss(
        self,
        lengths: Array,
        target: np.ndarray,
        present: float = 0.9,
        absent: float = 0.1,
        weight: float = 0.5,
        row_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlengths, correct.

        l[n] = sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 with x = lengths[n,k] and
        t = target[n,k]. row_weight: w. target and correct: as in `softmax_cross_entropy`.
        """

    def squared_error(
        self, x: Array, target: Array, scale: float, weight: np.ndarray | None = None
    ) -> tuple[float, Array]:
        """-> loss, dx. l[n] = scale sum (x - target)^2, dx = 2 scale (x - target) * w[n] / sum w. target: like x."""
