"""Boxes of images, one value after the other. `minidl.kernels.boxes` tells what a row of the table is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minidl.kernels.boxes import AXES, FROM, SOURCE, TO, check


def boxes_forward(
    xs: tuple[np.ndarray, ...], shape: tuple[int, ...], boxes: np.ndarray, fill: float = 0.0
) -> np.ndarray:
    N = len(xs[0])
    rows = [x.reshape(N, math.prod(x.shape[1:])) for x in xs]
    y = np.full((N, math.prod(shape)), fill, xs[0].dtype)
    check(boxes, y.shape[1], {number: row.shape[1] for number, row in enumerate(rows)})
    for source, start, to in _values(boxes):
        y[:, to] = rows[source][:, start]
    return y.reshape(N, *shape)


def boxes_backward(dy: np.ndarray, x_shape: tuple[int, ...], boxes: np.ndarray, source: int = 0) -> np.ndarray:
    N = len(dy)
    rows = dy.reshape(N, math.prod(dy.shape[1:]))
    dx = np.zeros((N, math.prod(x_shape[1:])), dy.dtype)
    check(boxes, rows.shape[1], {source: dx.shape[1]}, others=True)
    for number, start, to in _values(boxes):
        if number == source:
            dx[:, start] += rows[:, to]
    return dx.reshape(x_shape)


def _values(boxes: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """source, from and to of every single value."""
    for row in boxes:
        counts, steps_from, steps_to = row[AXES::3], row[AXES + 1 :: 3], row[AXES + 2 :: 3]
        for place in np.ndindex(*counts):
            yield int(row[SOURCE]), int(row[FROM] + np.dot(place, steps_from)), int(row[TO] + np.dot(place, steps_to))
