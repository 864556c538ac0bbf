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
    kept: dict[Any, Training | None],
    plan: Plan,
    images: Sequence[np.ndarray],
    dtype: np.dtype,
    scale: Sequence[Any],
    shift: Sequence[Any],
) -> Training | None:
    """The one for these images, one array an input, if it is faster than the plan itself; None where it is not.

    dtype: of the parameters and of the scores. scale, shift: numbers of each channel, or None, for each input.
    """
    numbers = tuple(None if each is None else each.tobytes() for each in (*scale, *shift))
    key = tuple((array.shape[1:], array.dtype) for array in images), dtype, numbers, isa(), winograd()
    found = kept.get(key)
    if key not in kept or (found is not None and not (found.plan is plan and found.holds())):
        found = _made(plan, images, dtype, scale, shift)
        kept.pop(key, None)
        for old in list(kept)[: len(kept) + 1 - MOST]:
            del kept[old]
        kept[key] = found
    if found is None or not found.is_faster(len(images[0])):
        return None
    try:
        found.prepare()
    except (Unlowered, ValueError):  # more inputs or outputs than a program may have
        kept[key] = None
        return None
    return found


def _made(plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scale: Any, shift: Any) -> Training | None:
    try:
        kinds = [array.dtype for array in images]
        return Training(plan, [array.shape[1:] for array in images], dtype, kinds, lambda i: (scale[i], shift[i]))
    except (Unlowered, TypeError, ValueError):  # a shape that no layer takes is refused in words by the plan
        return None
