"""Boxes: which values of one array stand where in another, so that backends agree on it.

An image counts as one row of its values (row-major). A table has one row of integers a box: source, from, to, followed
by count, step from and step to of each of its axes; all rows have as many axes, at most MOST_AXES. For each place
(i, j, ...) below the counts, value `to` + i `step to` + ... of the result is value `from` + i `step from` + ... of
array number `source`. Steps may be negative; those `from` may be 0. No value of the result is given twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

SOURCE, FROM, TO, AXES = range(4)
"""Columns; from AXES on stand count, step from, step to of each axis."""

MOST_AXES = 8

Shape = tuple[int, ...]
Run = tuple[int, int, int]
"""How many places of an axis, the first of them, and how far apart they are."""


def steps(shape: Sequence[int]) -> Shape:
    """How far apart the neighbours along each axis of an image stand."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def joined(shapes: Sequence[Shape], axis: int) -> np.ndarray:
    """Images of these shapes side by side along an axis of an image, in order."""
    whole = list(shapes[0])
    whole[axis] = sum(shape[axis] for shape in shapes)
    to, rows, start = steps(whole), [], 0
    for source, shape in enumerate(shapes):
        parts = zip(shape, steps(shape), to, strict=True)
        rows.append([source, 0, start * to[axis], *(number for part in parts for number in part)])
        start += shape[axis]
    return np.array(rows, np.intp)


def permuted(shape: Sequence[int], order: Sequence[int]) -> np.ndarray:
    """An image whose axis number i is axis order[i] of the shape it comes in."""
    out = [shape[axis] for axis in order]
    parts = zip(out, (steps(shape)[axis] for axis in order), steps(out), strict=True)
    return np.array([[0, 0, 0, *(number for part in parts for number in part)]], np.intp)


def picked(shape: Sequence[int], runs: Sequence[Sequence[Run]]) -> np.ndarray:
    """An image whose place (i, j, ...) has the value at the i-th place of the first axis, the j-th of the second, ...

    runs: for each axis of the shape what stands there, as `runs_of` gives it; a part that is empty, with a first place
    of -1, leaves a hole.
    """
    rows = [[0, 0, 0]]
    out = [sum(count for count, _, _ in axis) for axis in runs]
    for axis, step, step_to in zip(runs, steps(shape), steps(out), strict=True):
        longer, start = [], 0
        for count, first, apart in axis:
            longer += [
                [0, row[FROM] + first * step, row[TO] + start * step_to, *row[AXES:], count, apart * step, step_to]
                for row in rows
                if first >= 0
            ]
            start += count
        rows = longer
    return np.array(rows, np.intp).reshape(len(rows), AXES + 3 * len(runs))


def runs_of(index: Sequence[int]) -> list[Run]:
    """The parts of equal distance that an index falls into; -1 is a hole."""
    if isinstance(index, range):
        return [(len(index), index.start, index.step)] if index else []
    runs, start = [], 0
    while start < len(index):
        count, apart = 1, 0
        while index[start] >= 0 and start + count < len(index):
            following = index[start + count]
            distance = following - index[start + count - 1]
            if following < 0 or (count > 1 and distance != apart):
                break
            count, apart = count + 1, distance
        runs.append((count, int(index[start]), apart))
        start += count
    return runs


def swapped(boxes: np.ndarray, source: int = 0) -> np.ndarray:
    """The way back to one source, for boxes that read no value twice."""
    back = boxes[boxes[:, SOURCE] == source]
    back[:, SOURCE] = 0
    back[:, [FROM, TO]] = back[:, [TO, FROM]]
    back[:, AXES + 1 :: 3], back[:, AXES + 2 :: 3] = back[:, AXES + 2 :: 3].copy(), back[:, AXES + 1 :: 3].copy()
    return back


def check(boxes: np.ndarray, result: int, sources: Mapping[int, int], others: bool = False) -> None:
    """Refuse boxes that leave their source, or a result of so many values an image: ValueError, TypeError.

    sources: values of an image by source number. others: whether boxes of further sources are let through.
    """
    if boxes.dtype != np.intp:
        raise TypeError(f"boxes must be an array of intp, got {boxes.dtype}")
    if boxes.ndim != 2 or not AXES <= boxes.shape[1] <= AXES + 3 * MOST_AXES or boxes.shape[1] % 3:
        raise ValueError(f"boxes must have shape (B, 3 + 3 A) with A at most {MOST_AXES} axes, got {boxes.shape}")
    given = 0
    for number, (source, start, to, *axes) in enumerate(boxes.tolist()):
        counts = axes[::3]
        if source not in sources and not (others and source >= 0):
            raise ValueError(f"box {number} must come from source 0 to {len(sources) - 1}, got {source}")
        if source in sources and not _inside(start, counts, axes[1::3], sources[source]):
            raise ValueError(f"box {number} must lie inside its source, {sources[source]} values")
        if not _inside(to, counts, axes[2::3], result):
            raise ValueError(f"box {number} must lie inside the result, {result} values")
        given += math.prod(counts)
        if given > result:
            raise ValueError(f"boxes must lie side by side in the result, {result} values")


def _inside(start: int, counts: Sequence[int], apart: Sequence[int], values: int) -> bool:
    if min(counts, default=1) <= 0:
        return min(counts) == 0
    reach = [(count - 1) * step for count, step in zip(counts, apart, strict=True)]
    low, high = (start + sum(side) for side in ([min(r, 0) for r in reach], [max(r, 0) for r in reach]))
    return 0 <= start < values and low >= 0 and high < values
