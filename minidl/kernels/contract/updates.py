"""Optimiser updates, in place on plain ndarrays of one shape; g = scale * grad + weight_decay * p.

In place of an array each takes what `together` has made of several; so must its other arguments then be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Arrays


class Updates(Protocol):
    """The operations of this file."""

    def together(self, arrays: Sequence[np.ndarray]) -> Arrays:
        """Arrays of one dtype, for updates of all of them by one call; their memory stays what it was."""

    def sgd_update(
        self,
        p: Arrays,
        grad: Arrays,
        velocity: Arrays | None,
        lr: float,
        momentum: float,
        weight_decay: float,
        nesterov: bool = False,
        scale: float = 1.0,
    ) -> None:
        """v = momentum * v + g; p -= lr * v (Nesterov: p -= lr * (g + momentum * v)). velocity None: p -= lr * g."""

    def rmsprop_update(
        self,
        p: Arrays,
        grad: Arrays,
        square: Arrays,
        lr: float,
        decay: float,
        eps: float,
        weight_decay: float,
        scale: float = 1.0,
    ) -> None:
        """s = decay * s + (1 - decay) g^2; p -= lr * g / (sqrt(s) + eps)."""

    def adam_update(
        self,
        p: Arrays,
        grad: Arrays,
        m: Arrays,
        v: Arrays,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool = False,
        scale: float = 1.0,
    ) -> None:
        """m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2;
        p -= lr * (m / (1-beta1^step)) / (sqrt(v / (1-beta2^step)) + eps).

        decoupled (AdamW): g = scale * grad, and p is first multiplied by 1 - lr * weight_decay. step counts from 1.
        """

    def blend(self, a: Arrays, b: Arrays, share: float) -> None:
        """a += share * (b - a): a step of a running average."""

    def sum_of_squares(self, a: np.ndarray) -> float:
        """Sum of a^2 over all elements, added in float64; 0 for an empty array. No float32's square overflows."""
