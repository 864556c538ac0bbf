"""Arrays as people have them, and what to do where they are not what a training can use."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.support.ragged import first_difference

CHUNK = 2**24
"""Values that are looked through at a time."""


def as_array(who: str, name: str, value: Any) -> np.ndarray:
    """`value` as an array, also of what only knows `__array__`. Raises ValueError for entries of different shapes."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{who}: {name} must have one shape for all entries, got {first_difference(value)}") from error
    if array.dtype == object and array.ndim and array.size and isinstance(array.flat[0], (np.ndarray, list, tuple)):
        raise ValueError(f"{who}: {name} must have one shape for all entries, got {first_difference(value)}")
    return array


def check_finite(who: str, name: str, array: np.ndarray) -> None:
    """Raise ValueError that names the first row (N, ...) with a NaN or an infinity."""
    if array.dtype.kind != "f" or not array.size:
        return
    step = max(1, CHUNK * len(array) // array.size)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        with np.errstate(all="ignore"):
            if np.isfinite(part.sum()):  # a tenth of the time that looking at each value takes
                continue
        bad = np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(axis=1))
        if len(bad):
            row = start + int(bad[0])
            values = array[row][~np.isfinite(array[row])] if array.ndim > 1 else array[row : row + 1]
            raise ValueError(f"{who}: {name} must be finite, got {values[0]} in row {row} of {len(array)}")
