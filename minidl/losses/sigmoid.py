"""Cross-entropy of yes or no, for each of K questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses.base import Loss


class SigmoidCrossEntropyLoss(Loss):
    """Cross-entropy of targets t in [0, 1] and sigmoid(x), of each of K outputs by itself: several classes, or two.

        1/(N K) sum (1 - t) log(1 + exp(x)) + p t log(1 + exp(-x)),   log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))

    It is the mean over all N K values, as in PyTorch's BCEWithLogitsLoss. Targets: (N, K), or for K = 1 labels (N,), 0
    and 1 or bools. pos_weight: p, how much a yes counts against a no, a number of at least 0, or one a column, (K,).
    Accuracy is the share of right decisions, x > 0 against t >= 0.5: `correct` is the number of a batch's, over K.
    """

    def __init__(self, pos_weight: Any = None) -> None:
        super().__init__()
        if pos_weight is None or np.ndim(pos_weight):
            self.pos_weight: Any = self._constants("pos_weight", pos_weight)
        else:
            self.pos_weight = checks.real(self.who, "pos_weight", pos_weight, "at least 0", lambda p: p >= 0)

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Rows (N, K) as `dtype`; ValueError or TypeError where they do not fit logits (N, K)."""
        self._two_dimensions("logits", shape)
        if self.pos_weight is not None:
            each = self.pos_weight if isinstance(self.pos_weight, tuple) else np.full(shape[1], self.pos_weight)
            checks.weights(self.who, "pos_weight", each, shape[1], "one a column", dtype)
        t = np.asarray(target)
        if t.ndim == 1 and shape[1] == 1:
            t = t[:, np.newaxis]
        checks.same_shape(self.who, "target", t.shape, shape, "a number in [0, 1] for each logit")
        t = checks.float_array(self.who, "target", t.astype(dtype) if t.dtype.kind in "iub" else t, dtype)
        self._shares(t, "")
        return t

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array `logits` and a prepared target; sets `dlogits` and `correct`."""
        columns = logits.shape[1]
        factors = None if self.pos_weight is None else np.full(columns, self.pos_weight, logits.dtype)
        loss, self.dlogits, correct = kernels.current().sigmoid_cross_entropy(
            logits, target, self._weights(weight, logits), factors
        )
        self.correct = correct / columns
        return loss
