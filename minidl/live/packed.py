"""Arrays on their way to the page: one byte a number, where a picture is all that is made of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

MAPS = 32
"""So many maps of a layer are shown."""
SIDE = 64
"""Larger maps are thinned to at most so many rows and columns."""
UNITS = 512
"""So many numbers of a row."""


def images(x: np.ndarray) -> dict[str, Any]:
    """uint8 images (..., C, H, W) as {"shape", "data"}, data in base64."""
    return {"shape": list(x.shape), "data": text(np.ascontiguousarray(x, np.uint8))}


def maps(y: np.ndarray) -> dict[str, Any]:
    """Floats (C, H, W) or (F,) as {"shape", "data", "scale", "all", "every"}: value = int8 / 127 * scale.

    shape: of what is there, a row being (1, 1, F); all: of the whole. every: each `every`-th row and column is there.
    What is not finite is sent as 0 and counted in "lost".
    """
    whole = y.shape
    shown = y[:UNITS].reshape(1, 1, -1) if y.ndim == 1 else y.reshape(len(y), *y.shape[-2:])[:MAPS]
    every = -(-max(shown.shape[1:]) // SIDE) if y.ndim > 1 else 1
    shown = shown[:, ::every, ::every]
    finite = np.isfinite(shown)
    lost = int(shown.size - np.count_nonzero(finite))
    if lost:
        shown = np.where(finite, shown, 0)
    scale = float(np.abs(shown).max(initial=0.0))
    whole_numbers = np.rint(shown / scale * 127 if scale else shown * 0).astype(np.int8)
    found = {"shape": list(shown.shape), "data": text(whole_numbers), "scale": scale, "all": list(whole)}
    return {**found, "every": every, **({"lost": lost} if lost else {})}


def text(array: np.ndarray) -> str:
    """The array's bytes in base64."""
    return base64.b64encode(array.tobytes()).decode()


def numbers(values: Any) -> Any:
    """Floats, arrays and lists of them as JSON holds them: six digits, None for what is not finite."""
    if isinstance(values, np.ndarray):
        return numbers(values.tolist())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [numbers(value) for value in values]
    if isinstance(values, (float, np.floating)):
        return float(f"{values:.6g}") if np.isfinite(values) else None
    return int(values) if isinstance(values, np.integer) else values
