"""Layers with several inputs.

Add   y = x1 + x2 + ... + xk        dx1 = dx2 = ... = dxk = dy
"""

from __future__ import annotations

from typing import Any

from minidl.layers.base import Layer
from minidl.layers.several import Shape, parted

__all__ = ["Add"]


class Merge(Layer):
    """Base of layers that make one array of several.

    A subclass writes `_merged(shapes)`, the output's shape for the inputs' (batches included), `_forward(x, train)`,
    with x a `Several` of the backend's arrays, and `_backward(dy)`, which gives a tuple with a gradient for each input.
    Where it remembers something, it also writes `_infer(x)`.
    """

    merges = True
    _fewest, _most = 2, 1_000
    """How many inputs it may have."""

    def _check(self, x_shape: Shape) -> Shape:
        shapes = parted(x_shape)
        if not self._fewest <= len(shapes) <= self._most:
            rule = f"{self._fewest}" if self._fewest == self._most else f"at least {self._fewest}"
            raise ValueError(f"{self.who}: it takes {rule} inputs, got {len(shapes)}")
        return self._merged(shapes)

    def _merged(self, shapes: list[Shape]) -> Shape:
        raise NotImplementedError(f"{type(self).__name__} must define _merged")


class Add(Merge):
    """The sum of two or more inputs of one shape.

    Raises ValueError that names the layer and the shapes where they differ.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _merged(self, shapes: list[Shape]) -> Shape:
        for shape in shapes[1:]:
            if tuple(shape) != tuple(shapes[0]):
                raise ValueError(
                    f"{self.who}: all inputs must have the same shape, got {tuple(shapes[0])} and {tuple(shape)}"
                )
        return shapes[0]

    def _infer(self, x: Any) -> Any:
        y = self.kernels.add(x[0], x[1])
        for other in x[2:]:
            y = self.kernels.add(y, other)
        return y

    def _forward(self, x: Any, train: bool) -> Any:
        self._inputs = len(x)
        return self._infer(x)

    _inputs = 0

    def _backward(self, dy: Any) -> Any:
        if not self._inputs:
            raise self._unready()
        return (dy,) * self._inputs
