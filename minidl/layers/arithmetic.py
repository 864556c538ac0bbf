"""Arithmetic: of inputs, of an input and a constant, and with a scale, a shift or a slope for each channel.

    Mul         y = x1 x2 ... xk                       dx1 = dy x2 ... xk, and so on
    Sub, Div    y = x1 - x2, x1 / x2                   dx = (dy, -dy), (dy / x2, -dy (x1 / x2) / x2)
Arithmetic  y = x + v, x - v, x v, x / v, or v - x, v / x
Affine      y = x scale + shift                    dscale = sum dy x, dshift = sum dy, over N, H, W
PRelu       y = x where x > 0, else slope x        dslope = sum dy x where x <= 0
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from minidl.kernels import checks, functions
from minidl.layers import initializers
from minidl.layers.base import Layer, LayerT, Shape
from minidl.layers.merge import Broadcast
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Setting
from minidl.support.settings import arguments

__all__ = ["Affine", "Arithmetic", "Div", "Mul", "PRelu", "Sub"]

MOST_SHOWN = 8
"""Values of a constant that `repr` writes out."""


class Mul(Broadcast):
    """The product of two or more inputs, of one shape or broadcast: a size of 1 goes with all sizes of another input.

    (N, C, 1, 1) and (N, C, H, W) for instance, the gate of squeeze-and-excite (Hu, Shen, Sun 2018, arXiv 1709.01507).
    Raises ValueError that names the layer and the shapes where they differ.
    """

    _operator = "*"


class Sub(Broadcast):
    """The first of two inputs minus the second. All else as `Mul`."""

    _operator = "-"
    _most = 2


class Div(Broadcast):
    """The first of two inputs divided by the second. All else as `Mul`."""

    _operator = "/"
    _most = 2


class Arithmetic(Layer):
    """The input and a constant, added, subtracted, multiplied or divided, for inputs (N, F), (N, I, D), (N, C, H, W).

    operator: "+", "-", "*" or "/". value: a number, or an array that is broadcast to the input as numpy does it, for
    instance (C, 1, 1) or (1, C, H, W); it is the same for all images. It may also be the larger one in some dimensions.
    reverse: whether the value stands on the left, value - x. Raises TypeError or ValueError for other arguments and
    inputs.
    """

    _remembered = ("_x",)
    _ranks = (2, 3, 4)
    _stored: Mapping[str, str] = MappingProxyType({"value": "_value"})
    _x: Any

    def __init__(self, operator: str, value: Any, reverse: bool = False, *, name: str | None = None) -> None:
        super().__init__(name)
        self.operator = checks.one_of(self.name, "operator", operator, ("+", "-", "*", "/"))
        self.reverse = checks.flag(self.name, "reverse", reverse)
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "fiu" or numbers.ndim > 4 or not numbers.size:
            raise ValueError(f"{self.name}: value must be numbers in at most 4 dimensions, got {value!r:.80}")
        self._numbers = numbers.astype(np.float64, order="C")
        if not np.isfinite(self._numbers).all():
            raise ValueError(f"{self.name}: value must be finite, got {value!r:.80}")
        self._ready: dict[Any, np.ndarray] = {}

    @property
    def value(self) -> np.ndarray:
        """The numbers, float64."""
        return self._numbers

    @value.setter
    def value(self, value: Any) -> None:
        Setting(type(self), arguments(type(self))["value"]).change(self, value)

    @property
    def _value(self) -> Any:
        """The value as `settings` tells it; made when it is asked for, for lists are looked through for layers."""
        return self._numbers.tolist()

    def describe(self) -> str:
        """The settings, without the numbers of a large value."""
        if self._numbers.size <= MOST_SHOWN:
            return super().describe()
        return f"{self.operator!r}, <{self._numbers.shape}>{', reverse=True' if self.reverse else ''}"

    def _shape(self, ndim: int) -> Shape:
        return (1,) * (ndim - self._numbers.ndim) + self._numbers.shape

    def _check(self, x_shape: Shape) -> Shape:
        shape = self._shape(len(x_shape))
        if len(shape) > len(x_shape) or shape[0] != 1:
            raise ValueError(
                f"{self.who}: value must be the same for all images of an input of shape {tuple(x_shape)}, got one of"
                f" shape {self._numbers.shape}"
            )
        return (x_shape[0], *functions.broadcast(self.who, tuple(x_shape[1:]), shape[1:]))

    def _operands(self, x: Any) -> tuple[Any, Any]:
        key = x.ndim, np.dtype(x.dtype)
        if key not in self._ready:
            self._ready[key] = self._numbers.astype(x.dtype).reshape(self._shape(x.ndim))
        return (self._ready[key], x) if self.reverse else (x, self._ready[key])

    def _infer(self, x: Any) -> Any:
        return self.kernels.arithmetic_forward(*self._operands(x), self.operator)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        need = not self.reverse, self.reverse
        found = self.kernels.arithmetic_backward(dy, *self._operands(self._x), self.operator, need)
        return found[self.reverse]


class Affine(Layer):
    """x * scale + shift, one scale and shift a channel, for inputs (N, channels, H, W) or (N, channels).

    Batch normalisation without the normalisation, or what ConvNeXt calls layer scale. scale, shift: whether there is
    one. Parameters: scale (ones), shift (zeros), both (channels,). Raises TypeError or ValueError that names the layer
    for arguments and inputs outside these rules.
    """

    _remembered = ("_x",)
    scales = True
    _x: Any

    def __init__(self, channels: int, scale: bool = True, shift: bool = True, *, name: str | None = None) -> None:
        super().__init__(name)
        self.channels = checks.integer(self.name, "channels", channels, 1)
        self._one = initializers.constant(self.name, 1, (self.channels,))
        self._zero = initializers.constant(self.name, 0, (self.channels,))
        self.scale = Parameter(self._one, "scale", decay=False) if scale else None
        self.shift = Parameter(self._zero, "shift", decay=False) if shift else None

    def astype(self: LayerT, dtype: Any) -> LayerT:
        """As `Layer.astype`."""
        layer: Any = super().astype(dtype)
        layer._one, layer._zero = layer._one.astype(dtype), layer._zero.astype(dtype)
        return layer

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) not in (2, 4) or x_shape[1] != self.channels:
            rule = f"shape (N, {self.channels}, H, W) or (N, {self.channels})"
            raise ValueError(f"{self.who}: input must have {rule}, got {tuple(x_shape)}")
        return x_shape

    def _infer(self, x: Any) -> Any:
        # Normalisation by a mean of 0 and a variance of 1.
        one, zero = self._constants(x)
        scale, shift = (
            (one if self.scale is None else self.scale.values),
            (zero if self.shift is None else self.shift.values),
        )
        return self.kernels.batchnorm_forward(x, scale, shift, zero, one, 1.0, 0.0, False)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        one, zero = self._constants(dy)
        scale = one if self.scale is None else self.scale.values
        out = tuple(np.empty_like(one) if part is None else part.grad for part in (self.scale, self.shift))
        return self.kernels.batchnorm_backward(dy, self._x, scale, zero, one, False, out)[0]

    def _constants(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.scale is None and self.shift is None and self._one.dtype != x.dtype:
            return self._one.astype(x.dtype), self._zero.astype(x.dtype)
        return self._one, self._zero


class PRelu(Layer):
    """x where x > 0, else slope * x, with a slope that is learned, for inputs (N, channels, H, W) or (N, channels).

    He, Zhang, Ren, Sun 2015, arXiv 1502.01852. channels: 1 for one slope for all channels. slope: the first value.
    Parameter: slope (channels,), spared by weight decay where that is asked for. The derivative by x at 0 is the slope.
    Raises TypeError or ValueError that names the layer for arguments and inputs outside these rules.
    """

    _remembered = ("_x",)
    _stored: Mapping[str, str] = MappingProxyType({"slope": "first_slope"})
    _x: Any

    def __init__(self, channels: int = 1, slope: float = 0.25, *, name: str | None = None) -> None:
        super().__init__(name)
        self.channels = checks.integer(self.name, "channels", channels, 1)
        self.first_slope = checks.real(self.name, "slope", slope, "finite", lambda number: True)
        self.slope = Parameter(initializers.constant(self.name, slope, (self.channels,)), "slope", decay=False)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) not in (2, 4) or self.channels not in (1, x_shape[1]):
            rule = f"shape (N, {self.channels}, H, W) or (N, {self.channels})"
            raise ValueError(f"{self.who}: input must have {rule}, got {tuple(x_shape)}")
        return x_shape

    def _slopes(self, x: Any) -> np.ndarray:
        return self.slope.values.reshape(1, -1, *(1,) * (x.ndim - 2))

    def _infer(self, x: Any) -> Any:
        return self.kernels.arithmetic_forward(x, self._slopes(x), "prelu")

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        dx, dslope = self.kernels.arithmetic_backward(dy, self._x, self._slopes(dy), "prelu")
        self.slope.grad[...] = dslope.ravel()
        return dx

    def kinks(self) -> list[np.ndarray]:
        """Which elements are positive."""
        return [] if self._x is None else [self.kernels.leave(self._x) > 0]
