"""The loss of class capsules' lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses.base import Loss


class MarginLoss(Loss):
    """Margin loss of the lengths x of class capsules (Sabour, Frosst, Hinton 2017, arXiv 1710.09829, equation 4).

        1/N sum_n sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2

    present, absent: the length that the right capsule shall reach, and the one that the others shall stay below, in
    [0, 1]. weight: of the absent classes, which would otherwise shrink all lengths at first; at least 0. Targets: class
    labels, integers (N,) in [0, K), or one row an image, (N, K), with ones for all classes that are there.
    """

    def __init__(self, present: float = 0.9, absent: float = 0.1, weight: float = 0.5) -> None:
        super().__init__()
        unit = "in [0, 1]", lambda value: 0 <= value <= 1
        self.present = checks.real(self.who, "present", present, *unit)
        self.absent = checks.real(self.who, "absent", absent, *unit)
        self.weight = checks.real(self.who, "weight", weight, "at least 0", lambda value: value >= 0)

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as intp, rows as `dtype`; ValueError or TypeError where they do not fit lengths (N, K)."""
        self._two_dimensions("lengths", shape)
        found = checks.class_targets(self.who, target, shape[0], shape[1], dtype)
        if found.ndim == 2:
            self._shares(found, "")
        return found

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the backend's array of lengths and a prepared target; sets `dlogits` and `correct`.

        weight: (N,) of the rows.
        """
        loss, self.dlogits, self.correct = kernels.current().margin_loss(
            logits, target, self.present, self.absent, self.weight, self._weights(weight, logits)
        )
        return loss
