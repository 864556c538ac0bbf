"""Activations, element by element.

    Relu      y = max(x, 0)              dx = dy where y > 0, else 0 (so the derivative at 0 is 0); a NaN stays a NaN
    Sigmoid   y = 1 / (1 + exp(-x))      dx = dy * y * (1 - y)
    Tanh      y = tanh(x)                dx = dy * (1 - y^2)

Each backward needs the last result y alone.
"""

from __future__ import annotations

from typing import Any

from minidl.layers.base import Layer


class Relu(Layer):
    """Rectifier max(x, 0), for inputs of any shape (N, ...)."""

    _remembered = ("_y",)
    _y: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self.kernels.relu_forward(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.relu_backward(dy, self._y)


class Sigmoid(Layer):
    """Logistic function 1 / (1 + exp(-x)), without overflow, for inputs of any shape (N, ...)."""

    _remembered = ("_y",)
    _y: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self.kernels.sigmoid_forward(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.sigmoid_backward(dy, self._y)


class Tanh(Layer):
    """Hyperbolic tangent, for inputs of any shape (N, ...)."""

    _remembered = ("_y",)
    _y: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self.kernels.tanh_forward(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.tanh_backward(dy, self._y)
