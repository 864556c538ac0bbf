"""Arrays that are updated at once, for backends that update them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np


def together(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays of one dtype, for updates of all of them by one call; their memory stays what it was."""
    found = list(arrays)
    for array in found:
        if array.dtype != found[0].dtype:
            raise TypeError(f"an array of those together must be an array of {found[0].dtype}, got {array.dtype}")
    return found


def one_by_one(update: Callable[..., None]) -> Callable[..., None]:
    """`update`, whose arguments may be lists of as many arrays as the first."""

    @wraps(update)
    def updated(*given: Any, **named: Any) -> None:
        values = (*given, *named.values())
        counts = {len(value) for value in values if isinstance(value, list)}
        if not counts:
            update(*given, **named)
            return
        count = max(counts)
        if len(counts) > 1 or any(isinstance(value, np.ndarray) for value in values):
            raise ValueError(f"{update.__name__}: all arrays must be {count} together, got others")
        for i in range(count):
            update(
                *(value[i] if isinstance(value, list) else value for value in given),
                **{name: value[i] if isinstance(value, list) else value for name, value in named.items()},
            )

    return updated
