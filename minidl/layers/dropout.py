"""Dropout (Srivastava et al. 2014), inverted: the scaling happens in training, so that inference does nothing.

    y = x * mask / (1 - rate),   dx = dy * mask / (1 - rate),   mask 0 with probability rate, else 1

The mask of a training step is never stored: it is drawn again from the same key.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import checks, counter_random
from minidl.layers.base import Layer
from minidl.layers.setting import Renamed
from minidl.support import random

__all__ = ["Dropout"]


class Dropout(Layer):
    """Drop each element with probability `rate` in training; the identity otherwise, for inputs of any shape (N, ...).

    rate: in [0, 1). rng: a Generator or an int seed; None for minidl's default generator. One number is drawn from it a
    training step; the mask follows from that number and each element's index, the same in every backend and for any
    number of threads. Raises TypeError or ValueError that names the layer for a rate outside [0, 1).
    """

    first_row = 0
    """Which row of a larger batch its input begins with: several processes then draw that batch's mask."""
    p = Renamed("rate")
    _remembered = ("_key",)
    _ranks = (2, 3, 4)
    _shown = ("rate",)
    _key: int | None

    def __init__(
        self, rate: float = 0.5, *, rng: np.random.Generator | int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.rate = checks.real(self.name, "rate", rate, "in [0, 1)", lambda r: 0 <= r < 1)
        self.rng = None if rng is None else random.generator(rng)

    def _infer(self, x: Any) -> Any:
        return x

    def _forward(self, x: Any, train: bool) -> Any:
        if not train or self.rate == 0.0:
            self._key = -1
            return x
        self._key = self._draw(math.prod(x.shape[1:]))
        return self.kernels.dropout_forward(x, self.rate, self._key)

    def _draw(self, elements: int) -> int:
        """The key of the next mask, of rows of so many elements."""
        # The default generator is looked up late, so that `minidl.seed` after the construction counts.
        rng = random.generator() if self.rng is None else self.rng
        key = int(rng.integers(0, 2**64, dtype=np.uint64))
        return counter_random.key_from(key, self.first_row * elements) if self.first_row else key

    def _backward(self, dy: Any) -> Any:
        if self._key is None:
            raise self._unready()
        return dy if self._key < 0 else self.kernels.dropout_backward(dy, self.rate, self._key)
