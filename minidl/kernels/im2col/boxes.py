"""Boxes as strided views of numpy."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minidl.kernels.boxes import AXES, FROM, SOURCE, TO, check


def _images(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))


def _view(images: np.ndarray, start: int, counts: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """A box of (N, F) images, (N, *counts); it lies inside of them, as `check` has seen."""
    steps = (images.strides[0], *(apart * images.itemsize))
    return as_strided(images[:, start:], (len(images), *counts), steps)


def boxes_forward(
    xs: tuple[np.ndarray, ...], shape: tuple[int, ...], boxes: np.ndarray, fill: float = 0.0
) -> np.ndarray:
    rows, y = [_images(x) for x in xs], np.empty((len(xs[0]), *shape), xs[0].dtype)
    flat = y.reshape(len(y), math.prod(shape))
    check(boxes, flat.shape[1], {number: row.shape[1] for number, row in enumerate(rows)})
    if np.prod(boxes[:, AXES::3], axis=1).sum() < flat.shape[1]:
        y.fill(fill)
    for box in boxes:
        counts = box[AXES::3]
        if counts.all():
            x = _view(rows[box[SOURCE]], box[FROM], counts, box[AXES + 1 :: 3])
            _view(flat, box[TO], counts, box[AXES + 2 :: 3])[...] = x
    return y


def boxes_backward(dy: np.ndarray, x_shape: tuple[int, ...], boxes: np.ndarray, source: int = 0) -> np.ndarray:
    rows, dx = _images(dy), np.zeros(x_shape, dy.dtype)
    flat = dx.reshape(len(dx), math.prod(x_shape[1:]))
    check(boxes, rows.shape[1], {source: flat.shape[1]}, others=True)
    for box in boxes[boxes[:, SOURCE] == source]:
        counts, apart = box[AXES::3], box[AXES + 1 :: 3]
        if not counts.all():
            continue
        given = _view(rows, box[TO], counts, box[AXES + 2 :: 3])
        again = apart == 0  # axes that read one value again and again
        given = given.sum(axis=tuple(1 + np.flatnonzero(again)))
        counts, apart = counts[~again], apart[~again]
        if _apart(counts, apart):
            into = _view(flat, box[FROM], counts, apart)
            into += given
        else:
            places = box[FROM] + sum(np.ix_(*(step * np.arange(count) for count, step in zip(counts, apart))))
            np.add.at(flat.T, places.ravel(), given.reshape(len(given), places.size).T)
    return dx


def _apart(counts: np.ndarray, apart: np.ndarray) -> bool:
    """Whether no two places of a box are certain to be one: each step is longer than all shorter ones together."""
    reach = 0
    for step, count in sorted(zip(np.abs(apart).tolist(), counts.tolist(), strict=True)):
        if count > 1 and step <= reach:
            return False
        reach += step * (count - 1)
    return True
