"""The compiled predictions of a plan: made when a shape is first seen, made anew when a parameter has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import isa, winograd
from minidl.compiled.kept import compiled_for
from minidl.compiled.prediction import Prediction
from minidl.layers.plan import Plan

Scaled = Callable[[np.ndarray], tuple[np.ndarray | None, np.ndarray | None]]
MOST = 8
"""So many are kept for a plan, for as many shapes and dtypes of images."""


def prediction_of(
    plan: Plan, images: Sequence[np.ndarray], dtype: np.dtype, scaled: Scaled, model: Any
) -> Prediction | None:
    """The one for these images, one array an input, if it is faster than the plan itself; None where it is not.

    dtype: of the parameters and of the scores. scaled: images -> scale and shift of their channels, made of the
    model's mean and std.
    """
    key = tuple([(array.shape[1:], array.dtype) for array in images]), dtype, isa(), winograd()

    def make() -> Prediction:
        shapes, kinds = [array.shape[1:] for array in images], [array.dtype for array in images]
        watched = (model, "mean"), (model, "std")
        return Prediction(plan, shapes, dtype, kinds, lambda i: scaled(images[i]), watched)

    found: Prediction | None = compiled_for(plan.compiled, key, len(images[0]), make, MOST)
    return found
