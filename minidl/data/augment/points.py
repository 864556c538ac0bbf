"""Points that move with their images: the coordinates among the targets of a regression.

A point is (x, y) in pixels, x to the right and y down. The centre of a pixel is at whole numbers, that of the first one
at (0, 0), so that the corners of an image lie at (-0.5, -0.5) and (W - 0.5, H - 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.augment.pipeline import MOVING
from minidl.kernels import checks
from minidl.kernels.image_moves import FLIP, SHIFTED, SOURCE

Pair = tuple[int, int]
WHO = "Trainer: coordinates"


def moved_points(moves: np.ndarray, points: np.ndarray, size: Pair) -> np.ndarray:
    """Where the points of images stand after the images' moves: (N, P, 2) float64, for points (N, P, 2).

    moves: (N, 8) or (N, 12), as `gather` takes them. size: (H, W) of the images. The exact inverse of what the pixels
    of the result are taken from; an affine map's position is floored there, the half step of which is taken off. A
    point may leave the image; what a mode "reflect" mirrors into it is not that point.
    """
    x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    source = moves[:, SOURCE:, None].astype(np.float64)
    if moves.shape[1] == SHIFTED:
        x, y = x - source[:, 1], y - source[:, 0]
    else:
        a, b, top, d, e, left = np.moveaxis(source * 2.0**-16, 1, 0)
        u, v = y - (top - 2.0**-9), x - (left - 2.0**-9)
        determinant = a * e - b * d
        x, y = (a * v - d * u) / determinant, (e * u - b * v) / determinant
    return np.stack([np.where(moves[:, FLIP, None] == 1, size[1] - 1 - x, x), y], axis=-1)


def moved_targets(
    moves: np.ndarray, target: np.ndarray, coordinates: Sequence[tuple[int, int]], size: Pair
) -> np.ndarray:
    """A copy of targets (N, K) whose pairs of columns (x, y) in `coordinates` are moved with the images."""
    moved = target.copy()
    if coordinates:
        columns = np.array(coordinates)
        moved[:, columns] = moved_points(moves, target[:, columns], size)
    return moved


def check_coordinates(
    coordinates: Any, transforms: Sequence[Any], columns: int | None
) -> tuple[tuple[int, int], ...] | None:
    """`coordinates` of a training as pairs of columns; None where the targets are no numbers.

    columns: how many numbers the targets have an image, None for classes. transforms: those of the training, which
    must not move images whose targets are numbers without an answer. Raises TypeError or ValueError.
    """
    if coordinates is None:
        moving = [transform for transform in transforms if transform.kind in MOVING]
        if columns is None or not moving:
            return None
        raise ValueError(
            f"{WHO} must say which columns of the targets move with the images under {moving[0]}: coordinates=[(0, 1)]"
            " if column 0 is an x and column 1 a y in pixels, coordinates=() if none are positions"
        )
    if columns is None:
        raise ValueError(f"{WHO} must be None for class labels, which have no columns, got {coordinates!r}")
    rule = f"a list of pairs of columns (x, y), such as [(0, 1)], or () for none, got {coordinates!r}"
    if not isinstance(coordinates, (tuple, list)) or not all(
        isinstance(each, (tuple, list)) and len(each) == 2 for each in coordinates
    ):
        raise TypeError(f"{WHO} must be {rule}")
    pairs = tuple(
        (checks.integer("Trainer", "coordinates", x, 0), checks.integer("Trainer", "coordinates", y, 0))
        for x, y in coordinates
    )
    flat = [column for each in pairs for column in each]
    if len(set(flat)) < len(flat):
        raise ValueError(f"{WHO} must name each column once, got {coordinates!r}")
    if flat and max(flat) >= columns:
        raise ValueError(f"{WHO} must name columns below {columns}, of targets (N, {columns}), got {coordinates!r}")
    return pairs
