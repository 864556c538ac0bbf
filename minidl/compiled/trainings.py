"""The compiled training steps of a model: made when a shape is first seen, made anew for other arrays or settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import isa, winograd
from minidl.compiled.kept import compiled_for
from minidl.compiled.training import Training
from minidl.layers.plan import Plan

MOST = 4
"""So many are kept, for as many shapes and dtypes of images: each has memory for all that a step remembers."""


def training_of(
    kept: dict[Any, Training | None], plan: Plan, n: int, kinds: Sequence[Any], dtype: np.dtype
) -> Training | None:
    """The one for n images, if it is faster than the plan itself; None where it is not.

    kinds: shape (C, H, W), dtype, scale and shift of each input's images; the latter are numbers of each channel, or
    None. dtype: of the parameters and of the scores.
    """
    numbers = tuple(None if each is None else each.tobytes() for kind in kinds for each in (kind.scale, kind.shift))
    key = tuple((kind.shape, kind.dtype) for kind in kinds), dtype, numbers, isa(), winograd()
    old = kept.get(key)
    if old is not None and old.plan is not plan:
        del kept[key]

    def make() -> Training:
        scaling = [(kind.scale, kind.shift) for kind in kinds]
        shapes, given = [kind.shape for kind in kinds], [kind.dtype for kind in kinds]
        return Training(plan, shapes, dtype, given, lambda i: scaling[i])

    found: Training | None = compiled_for(kept, key, n, make, MOST)
    return found
