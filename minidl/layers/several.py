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
