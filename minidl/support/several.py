"""Several arrays in the place of one: the inputs, or the outputs, of a layer that has more than one.

Their shape is written as one: (N, shape of an image, shape of an image, ...), for instance (8, (3, 32, 32), (5,)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Shape = tuple[Any, ...]
"""(N, C, H, W) or (N, F); of several arrays (N, (C, H, W), ...)."""


class Several(tuple[Any, ...]):
    """The backend's arrays side by side."""

    @property
    def shape(self) -> Shape:
        """(N, shape of an image, ...); N is the first one's."""
        return joined(tuple(array.shape) for array in self)

    @property
    def dtype(self) -> np.dtype:
        """dtype of the first; all have the same."""
        dtype: np.dtype = self[0].dtype
        return dtype


def joined(shapes: Iterable[Shape]) -> Shape:
    """One shape for several, batches included."""
    shapes = list(shapes)
    return (*shapes[0][:1], *(tuple(shape[1:]) for shape in shapes))


def parted(shape: Shape) -> list[Shape]:
    """The shapes, batches included, that `joined` has made one of."""
    return [(shape[0], *each) for each in shape[1:]]


def side_by_side(several: bool, things: Sequence[Any]) -> Any:
    """The things as a layer takes them: together where it has several inputs, else the one that there is."""
    return Several(things) if several else things[0]


def each(function: Callable[[Any], Any], arrays: Any) -> Any:
    """`function` of an array, or of each of several, which then come as a list."""
    return [function(array) for array in arrays] if isinstance(arrays, Several) else function(arrays)


def listed(who: str, name: str, values: Any, count: int, rule: str) -> list[Any]:
    """`values`, a list, a tuple or `Rows`, as a list of `count`; `rule` says why so many, as in "one for each input".

    Raises TypeError that names `who` for anything else.
    """
    found = values.arrays if isinstance(values, Rows) else values
    if not isinstance(found, (list, tuple)) or len(found) != count:
        got = f"{len(found)}" if isinstance(found, (list, tuple)) else type(values).__name__
        raise TypeError(f"{who}: {name} must be a list of {count} arrays, {rule}, got {got}")
    return list(found)


class Rows:
    """Numpy arrays with one row for each image, in the place of one array: what has several inputs or targets.

    It has of an array what a training asks of one: length, rows by their numbers, shape (as `Several`), dtype.
    """

    ndim = 1

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self.arrays = tuple(arrays)

    @property
    def shape(self) -> Shape:
        """(N, shape of an image, ...); N is the first one's."""
        return joined(array.shape for array in self.arrays)

    @property
    def dtype(self) -> np.dtype:
        """No one dtype."""
        return np.dtype(object)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, rows: Any) -> Rows:
        return Rows(array[rows] for array in self.arrays)


def parts(arrays: Any) -> tuple[np.ndarray, ...]:
    """The arrays, one or several, as a tuple."""
    return arrays.arrays if isinstance(arrays, Rows) else (arrays,)


def alike(arrays: Any, changed: Sequence[Any]) -> Any:
    """Other arrays in the place of `arrays`, one or several."""
    return Rows(changed) if isinstance(arrays, Rows) else changed[0]
