"""Strided boxes of images, from several arrays into one and back; `functional.arrange` has names for the usual ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _ready
from minidl.functional._call import call
from minidl.kernels import boxes as tables
from minidl.kernels import checks


def boxes_forward(xs: Sequence[Any], shape: Sequence[int], boxes: Any, fill: float = 0.0) -> np.ndarray:
    """y (N, *shape): boxes of the images of xs side by side, `fill` where none is.

    xs: arrays of N images each, of any shapes and one dtype. boxes: (B, 3 + 3 A) integers, as `minidl.kernels.boxes`
    says. ValueError for boxes that leave their source or y, or meet.
    """
    who = "boxes_forward"
    ready = _ready.same_batch(who, xs)
    sizes = tuple(checks.integer(who, "shape", size, 0) for size in shape)
    checks.check_elements(who, (len(ready[0]), *sizes))
    values = math.prod(sizes)
    table = _table(who, boxes, values, {number: math.prod(x.shape[1:]) for number, x in enumerate(ready)})
    backend, fill = kernels.current(), checks.real_or_infinite(who, "fill", fill)
    return backend.leave(backend.boxes_forward(tuple(map(backend.enter, ready)), sizes, table, fill))


def boxes_backward(dy: Any, x_shape: Sequence[int], boxes: Any, source: int = 0) -> np.ndarray:
    """dx of xs[source], (N, ...): each dy added where it came from."""
    who = "boxes_backward"
    (dy,) = checks.floats(who, dy=dy)
    source = checks.integer(who, "source", source, 0)
    if not isinstance(x_shape, (tuple, list)):
        raise TypeError(f"{who}: x_shape must be a tuple of sizes, got {checks.shown(x_shape)}")
    x_shape = tuple(checks.integer(who, "x_shape", size, 0) for size in x_shape)
    checks.same_shape(who, "x_shape", x_shape[:1], dy.shape[:1], "the images of dy")
    checks.check_elements(who, x_shape)
    values = math.prod(dy.shape[1:])
    table = _table(who, boxes, values, {source: math.prod(x_shape[1:])}, others=True)
    return call(who, dy, x_shape, table, source)


def _table(who: str, boxes: Any, result: int, sources: dict[int, int], others: bool = False) -> np.ndarray:
    """boxes as a table that fits, none of whose boxes meet in the result."""
    table = np.asarray(boxes)
    if table.dtype.kind not in "iu":
        raise TypeError(f"{who}: boxes must be an array of integers, got dtype {table.dtype}")
    table = np.require(table, np.intp, ["C_CONTIGUOUS", "ALIGNED"])
    try:
        tables.check(table, result, sources, others)
    except ValueError as error:
        raise ValueError(f"{who}: {error}") from None
    given = np.zeros(result, bool)
    for box in table:
        steps = [step * np.arange(count) for count, step in zip(box[tables.AXES :: 3], box[tables.AXES + 2 :: 3])]
        places = np.asarray(box[tables.TO] + sum(np.ix_(*steps))).ravel()
        if given[places].any() or len(np.unique(places)) < len(places):
            raise ValueError(f"{who}: boxes must not meet, but some give the same value twice")
        given[places] = True
    return table
