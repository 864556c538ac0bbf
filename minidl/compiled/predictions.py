"""The compiled predictions of a plan: made when a shape is first seen, made anew when a parameter has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import isa
from minidl.compiled.prediction import Prediction, Unlowered
from minidl.compiled.segment import Scaling
from minidl.layers.plan import Plan

MOST = 8
"""So many are kept for a plan, for as many shapes and dtypes of images."""


def prediction_of(
    plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scaling: Scaling, watched: Sequence[tuple[Any, str]]
) -> Prediction | None:
    """The one for these images, one array an input, if it is faster than the plan itself; None where it is not.

    dtype: of the parameters and of the scores. watched: (object, attribute) of what `scaling` is made of.
    """
    kept: dict[Any, Prediction | None] = plan.compiled
    key = tuple((array.shape[1:], array.dtype) for array in images), dtype, isa()
    found = kept.get(key, _NEVER)
    for _ in range(2):
        if found is not _NEVER:
            if found is None or not found.is_faster(len(images[0])):
                return None
            if found.holds():
                break
        found = kept[key] = _made(plan, images, dtype, scaling, watched)
        for old in list(kept)[:-MOST]:
            kept.pop(old, None)
    return found if found is not None and _runs(kept, key, found) else None


def _runs(kept: dict[Any, Prediction | None], key: Any, found: Prediction) -> bool:
    """Whether its programs can be made; one that has no program is kept as None."""
    try:
        found.prepare()
    except ValueError:  # more inputs or outputs than a program may have
        kept[key] = None
        return False
    return True


_NEVER: Any = object()


def _made(
    plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scaling: Scaling, watched: Sequence[tuple[Any, str]]
) -> Prediction | None:
    try:
        kinds = [array.dtype for array in images]
        return Prediction(plan, [array.shape[1:] for array in images], dtype, kinds, scaling, watched)
    except (Unlowered, TypeError, ValueError):  # a shape that no layer takes is refused in words by the plan
        return None
