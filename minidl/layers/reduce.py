"""Over axes of an image: sum, mean, maximum, and softmax.

Sum, Mean   dx = dy everywhere, divided by their number for the mean
Max         dx = dy at the first largest in row-major order, as MaxPool2D's; a NaN comes through
Softmax     y = exp(x) / sum exp(x)              dx = y (dy - sum dy y)
LogSoftmax  y = x - log(sum exp(x))              dx = dy - exp(y) sum dy
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks, functions
from minidl.layers.base import Layer, Shape

__all__ = ["LogSoftmax", "Max", "Mean", "Softmax", "Sum"]


class _Axes(Layer):
    """Base of what works over axes, of inputs (N, F), (N, I, D) or (N, C, H, W)."""

    _ranks = (2, 3, 4)
    _neighbours = False
    _may_be_empty = False

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return functions.axes_of(self.who, self._which_axes(), ndim, self._neighbours)

    def _which_axes(self) -> Any:
        raise NotImplementedError

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) not in self._ranks:
            raise ValueError(f"{self.who}: input must have 2 to 4 dimensions, got shape {tuple(x_shape)}")
        axes = self._axes(len(x_shape))
        if not self._may_be_empty and any(x_shape[axis] < 1 for axis in axes):
            raise ValueError(f"{self.who}: none of the axes {axes} may be empty, got shape {tuple(x_shape)}")
        return x_shape


class Softmax(_Axes):
    """exp(x) / sum exp(x), without overflow, for inputs (N, F), (N, I, D) or (N, C, H, W).

    axis: over which, from 1 on, or from -1 down; more of them, neighbours, as (2, 3) for all pixels of a map. For a
    classifier's last layer there is SoftmaxCrossEntropyLoss, which takes scores. Raises TypeError or ValueError for
    other axes and inputs.
    """

    _remembered = ("_y",)
    _neighbours = True
    _log = False
    _y: Any

    def __init__(self, axis: int | tuple[int, ...] = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = tuple(axis) if isinstance(axis, (tuple, list)) else axis
        functions.axes_of(self.name, self.axis, 4)

    def _which_axes(self) -> Any:
        return self.axis

    def _infer(self, x: Any) -> Any:
        return self.kernels.softmax_forward(x, self._axes(x.ndim), self._log)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self._infer(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.softmax_backward(dy, self._y, self._axes(dy.ndim), self._log)


class LogSoftmax(Softmax):
    """x - log(sum exp(x)), the logarithm of `Softmax`, without overflow. All else as there."""

    _log = True


class _Reduction(_Axes):
    """Base of sum, mean and maximum."""

    _remembered: tuple[str, ...] = ("_shape",)
    _kind = ""
    _shape: Any

    def __init__(self, axes: int | tuple[int, ...], keepdims: bool = False, *, name: str | None = None) -> None:
        super().__init__(name)
        self.axes = tuple(axes) if isinstance(axes, (tuple, list)) else axes
        self.keepdims = checks.flag(self.name, "keepdims", keepdims)
        functions.axes_of(self.name, self.axes, 4)

    def _which_axes(self) -> Any:
        return self.axes

    def _check(self, x_shape: Shape) -> Shape:
        super()._check(x_shape)
        axes = self._axes(len(x_shape))
        if self.keepdims:
            return tuple(1 if axis in axes else size for axis, size in enumerate(x_shape))
        if len(axes) == len(x_shape) - 1:
            raise ValueError(f"{self.who}: keepdims must be True where no axis but N is left, got axes {self.axes!r}")
        return tuple(size for axis, size in enumerate(x_shape) if axis not in axes)

    def _infer(self, x: Any) -> Any:
        return self._finished(self.kernels.reduce_forward(x, self._kind, self._axes(x.ndim)), tuple(x.shape))

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = tuple(x.shape)
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.reduce_backward(self._whole(dy), self._kind, self._axes(len(self._shape)), self._shape)

    def _finished(self, y: Any, x_shape: Shape) -> Any:
        return y if self.keepdims else self.kernels.reshape(y, self._check(x_shape)[1:])

    def _whole(self, dy: Any) -> Any:
        """dy with the axes that are 1 now."""
        if self.keepdims:
            return dy
        axes = self._axes(len(self._shape))
        return self.kernels.reshape(dy, tuple(1 if i in axes else size for i, size in enumerate(self._shape))[1:])


class Sum(_Reduction):
    """The sum over axes, for inputs (N, F), (N, I, D) or (N, C, H, W).

    axes: an int or some, from 1 on, or from -1 down. keepdims: whether they stay, with the size 1; else at least one
    other axis but N must be left. Raises TypeError or ValueError for other axes and inputs.
    """

    _kind = "sum"
    _may_be_empty = True


class Mean(_Reduction):
    """The mean over axes. All else as `Sum`. Mean((2, 3)) is `GlobalAvgPool2D`."""

    _kind = "mean"


class Max(_Reduction):
    """The largest value over axes. All else as `Sum`.

    The gradient goes to the first largest in row-major order, as in `MaxPool2D`. A NaN comes through.
    """

    _remembered = ("_shape", "_x", "_y")
    _kind = "max"
    _x: Any
    _y: Any

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape, self._x = tuple(x.shape), x
        self._y = self.kernels.reduce_forward(x, self._kind, self._axes(x.ndim))
        return self._finished(self._y, self._shape)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        axes = self._axes(len(self._shape))
        return self.kernels.reduce_backward(self._whole(dy), self._kind, axes, self._shape, self._x, self._y)

    def kinks(self) -> list[np.ndarray]:
        """Where each largest value stands."""
        if self._x is None:
            return []
        return [self.kernels.leave(self._x) == self.kernels.leave(self._y)]
