"""Layers with several inputs.

Add   y = x1 + x2 + ... + xk        dx1 = dx2 = ... = dxk = dy, summed over where an input was broadcast to
"""

from __future__ import annotations

from typing import Any

from minidl.layers.base import Layer
from minidl.support.several import Shape, parted

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

    def _inputs(self) -> int:
        if self._fewest < self._most:
            kind = type(self).__name__
            raise ValueError(
                f"{self.who}: how many inputs it has, a graph must say: a, b = Input(...), Input(...), then"
                f" Graph([a, b], {kind}()(a, b)) in its place"
            )
        return self._fewest

    def _merged(self, shapes: list[Shape]) -> Shape:
        raise NotImplementedError(f"{type(self).__name__} must define _merged")


class Broadcast(Merge):
    """Base of layers that put inputs together by an operator, the first two, their result and the third, and so on.

    Shapes have as many dimensions and equal sizes, but that a size of 1 goes with all sizes of another input.
    """

    _operator = ""
    _ranks = (2, 3, 4)
    _remembered: tuple[str, ...] = ("_pairs",)
    _pairs: Any
    """The two operands of each step."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _merged(self, shapes: list[Shape]) -> Shape:
        result = tuple(shapes[0])
        for shape in shapes[1:]:
            if len(shape) != len(result) or any(m != n and m != 1 and n != 1 for m, n in zip(result, shape)):
                raise ValueError(
                    f"{self.who}: all inputs must have, but for sizes of 1, the same shape,"
                    f" got {result} and {tuple(shape)}"
                )
            result = tuple(n if m == 1 else m for m, n in zip(result, shape))
        return result

    def _infer(self, x: Any) -> Any:
        y = x[0]
        for other in x[1:]:
            y = self.kernels.arithmetic_forward(y, other, self._operator)
        return y

    def _forward(self, x: Any, train: bool) -> Any:
        self._pairs, y = [], x[0]
        for other in x[1:]:
            self._pairs.append((y, other))
            y = self.kernels.arithmetic_forward(y, other, self._operator)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._pairs is None:
            raise self._unready()
        gradients = []
        for pair in reversed(self._pairs):
            dy, other = self.kernels.arithmetic_backward(dy, *pair, self._operator)
            gradients.append(other)
        return (dy, *reversed(gradients))


class Add(Broadcast):
    """The sum of two or more inputs, of one shape or broadcast: a size of 1 goes with all sizes of another input.

    (N, C, 1, 1) and (N, C, H, W) for instance. Raises ValueError that names the layer and the shapes where they differ.
    """

    _operator = "+"
    _remembered = ("_pairs", "_terms")
    _terms: Any

    def _forward(self, x: Any, train: bool) -> Any:
        # Of equal shapes, which is what residual networks have, the sum remembers no array.
        same = all(array.shape == x[0].shape for array in x)
        self._terms = len(x) if same else None
        if not same:
            return super()._forward(x, train)
        self._pairs = None
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        return (dy,) * self._terms if self._terms else super()._backward(dy)
