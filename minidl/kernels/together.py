"""Arrays that are updated at once, for backends that update them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np


def together(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays of one dtype, for updates of all of them by one call; their memory stays what it was."""
    return list(arrays)


def one_by_one(update: Callable[..., None]) -> Callable[..., None]:
    """`update`, whose arguments may be lists of as many arrays as the first."""

    @wraps(update)
    def updated(first: Any, *others: Any, **settings: Any) -> None:
        if not isinstance(first, list):
            update(first, *others, **settings)
            return
        for i, array in enumerate(first):
            update(
                array,
                *(other[i] if isinstance(other, list) else other for other in others),
                **{name: value[i] if isinstance(value, list) else value for name, value in settings.items()},
            )

    return updated
