"""The compiled training steps of a model: made when a shape is first seen, made anew for other arrays or settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import isa, winograd
from minidl.compiled.training import Training, Unlowered
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
    found = kept.get(key)
    if found is not None and found.plan is plan and not found.is_faster(n):
        return None
    if key not in kept or (found is not None and not (found.plan is plan and found.holds())):
        kept.pop(key, None)
        try:
            found = _made(plan, kinds, dtype)
        except (TypeError, ValueError):  # what no layer takes is refused in words by the plan, and may be mended
            return None
        for old in list(kept)[: len(kept) + 1 - MOST]:
            del kept[old]
        kept[key] = found
    if found is None or not found.is_faster(n):
        return None
    try:
        found.prepare()
    except (Unlowered, ValueError):  # more inputs or outputs than a program may have
        kept[key] = None
        return None
    return found


def _made(plan: Plan, kinds: Sequence[Any], dtype: np.dtype) -> Training | None:
    try:
        scaling = [(kind.scale, kind.shift) for kind in kinds]
        shapes, given = [kind.shape for kind in kinds], [kind.dtype for kind in kinds]
        return Training(plan, shapes, dtype, given, lambda i: scaling[i])
    except Unlowered:
        return None
