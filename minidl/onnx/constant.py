"""Values that are known before an image comes, but for the number of images N."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.onnx.read import BATCH


class Constant:
    """An array; where it depends on N, one for each number of images in `BATCH`.

    trained: the name of the initialiser that it is, "" where it was computed or written into the graph.
    """

    def __init__(self, array: np.ndarray, other: np.ndarray | None = None, trained: str = "") -> None:
        self.arrays = (array, array if other is None or _equal(array, other) else other)
        self.trained = trained

    @property
    def fixed(self) -> bool:
        """Whether it is the same for every N."""
        return self.arrays[0] is self.arrays[1]

    def sizes(self) -> tuple[int | None, ...]:
        """The numbers of a shape; None for N. ValueError for other numbers."""
        a, b = (np.atleast_1d(array) for array in self.arrays)
        if a.ndim != 1 or a.shape != b.shape or a.dtype.kind not in "iu":
            raise ValueError(f"a shape must be whole numbers in one dimension, got {a.dtype} {a.shape}")
        found: list[int | None] = []
        for m, n in zip(a.tolist(), b.tolist()):
            if m != n and (m, n) != BATCH:
                raise ValueError("sizes may depend on the number of images only as its very number")
            found.append(None if m != n else m)
        return tuple(found)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))


def of_each(function: Callable[[int], np.ndarray]) -> Constant:
    """What a function gives for each number of images."""
    return Constant(function(BATCH[0]), function(BATCH[1]))
