"""The compiled predictions of a plan: made when a shape is first seen, made anew when a parameter has changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import isa, winograd
from minidl.compiled.prediction import Prediction, Unlowered
from minidl.layers.plan import Plan

Scaled = Callable[[np.ndarray], tuple[np.ndarray | None, np.ndarray | None]]
_uses = itertools.count(1)
MOST = 8
"""So many are kept for a plan, for as many shapes and dtypes of images."""


def prediction_of(
    plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scaled: Scaled, model: Any
) -> Prediction | None:
    """The one for these images, one array an input, if it is faster than the plan itself; None where it is not.

    dtype: of the parameters and of the scores. scaled: images -> scale and shift of their channels, made of the
    model's mean and std.
    """
    kept: dict[Any, Prediction | None] = plan.compiled
    key = tuple([(array.shape[1:], array.dtype) for array in images]), dtype, isa(), winograd()
    n = len(images[0])
    found = kept.get(key, _NEVER)
    if found is None:
        return None
    faster = found is not _NEVER and found.is_faster(n)
    if found is _NEVER or (faster and not found.holds()):
        try:
            found = kept[key] = _made(plan, images, dtype, scaled, model)
        except (TypeError, ValueError):  # what no layer takes is refused in words by the plan, and may be mended
            kept.pop(key, None)
            return None
        _forget(kept, key)
        faster = found is not None and found.is_faster(n)
    if not faster:
        return None
    found.used = next(_uses)
    return found if found.ready or _runs(kept, key, found) else None


def _forget(kept: dict[Any, Prediction | None], new: Any) -> None:
    """Keep no more than MOST, the last that were used."""
    ages = {key: 0 if found is None else found.used for key, found in list(kept.items()) if key != new}
    for key in sorted(ages, key=ages.__getitem__)[: max(0, len(ages) + 1 - MOST)]:
        kept.pop(key, None)


def _runs(kept: dict[Any, Prediction | None], key: Any, found: Prediction) -> bool:
    """Whether its programs can be made; one that has no program is kept as None."""
    try:
        found.prepare()
    except ValueError:  # more inputs or outputs than a program may have
        kept[key] = None
        return False
    return True


_NEVER: Any = object()


def _made(plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scaled: Scaled, model: Any) -> Prediction | None:
    try:
        shapes, kinds = [array.shape[1:] for array in images], [array.dtype for array in images]
        watched = (model, "mean"), (model, "std")
        return Prediction(plan, shapes, dtype, kinds, lambda i: scaled(images[i]), watched)
    except Unlowered:
        return None
