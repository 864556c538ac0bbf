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
        lists = [value for value in (*given, *named.values()) if isinstance(value, list)]
        if not lists:
            update(*given, **named)
            return
        for value in (*given, *named.values()):
            count = len(value) if isinstance(value, list) else len(lists[0]) - isinstance(value, np.ndarray)
            if count != len(lists[0]):
                raise ValueError(f"{update.__name__}: all arrays must be {len(lists[0])} together, got others")
        for i in range(len(lists[0])):
            update(
                *(value[i] if isinstance(value, list) else value for value in given),
                **{name: value[i] if isinstance(value, list) else value for name, value in named.items()},
            )

    return updated
