"""Another shape for each image; numbers and their row-major order stay.

    Flatten   (N, C, H, W) -> (N, C*H*W)        Reshape(shape)   (N, ...) -> (N, *shape)

The gradient takes the opposite way.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels import checks
from minidl.layers.base import Layer, Shape

__all__ = ["Flatten", "Reshape"]


class _Reshape(Layer):
    """Reshape by the backend, to the shape that `_check` gives."""

    _remembered = ("_in",)
    _ranks = (2, 3, 4)
    _in: Any
    _shapes: tuple[Shape, Shape] = (), ()
    """The last input's and output's, of one image."""

    def _infer(self, x: Any) -> Any:
        shape, (known, out) = x.shape[1:], self._shapes  # read once: another thread may write
        if shape != known:
            out = self._check(x.shape)[1:]
            self._shapes = shape, out
        return self.kernels.reshape(x, out)

    def _forward(self, x: Any, train: bool) -> Any:
        self._in = x.shape[1:]
        return _Reshape._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._in is None:
            raise self._unready()
        return self.kernels.reshape(dy, self._in)


class Flatten(_Reshape):
    """Each image as one row: (N, C, H, W) to (N, C*H*W); (N, F) stays as it is."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _check(self, x_shape: Shape) -> Shape:
        return (*x_shape[:1], math.prod(x_shape[1:]))


class Reshape(_Reshape):
    """Each image in another shape: (N, ...) to (N, *shape).

    shape: (C, H, W), (F,), an int F, or two sizes, as of capsules (I, D); one size may be -1 and then follows from the
    others.
    Raises TypeError or ValueError that names the layer for other shapes and for inputs with another number of elements.
    """

    def __init__(self, shape: int | tuple[int, ...], *, name: str | None = None) -> None:
        super().__init__(name)
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        self.shape = tuple(checks.integer(self.name, "shape", size, -1) for size in sizes)
        if len(self.shape) not in (1, 2, 3) or 0 in self.shape or self.shape.count(-1) > 1:
            raise ValueError(
                f"{self.name}: shape must be (F,) or (C, H, W), or two sizes, each at least 1, at most one of them -1,"
                f" got {shape!r}"
            )

    def _check(self, x_shape: Shape) -> Shape:
        size = math.prod(x_shape[1:])
        known = math.prod(s for s in self.shape if s != -1)
        if size % known if -1 in self.shape else size != known:
            raise ValueError(
                f"{self.who}: an image of shape {tuple(x_shape[1:])} has {size} elements,"
                f" which do not fit the shape {self.shape}"
            )
        return (*x_shape[:1], *(size // known if s == -1 else s for s in self.shape))
