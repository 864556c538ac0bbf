"""Fully connected layer.

    y = x w^T + b        dx = dy w        dw = dy^T x        db = sum_n dy

x is (N, in_features), w (out_features, in_features), b (out_features,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import initializers
from minidl.layers.base import Layer, Shape
from minidl.layers.initializers import Initializer
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Trained
from minidl.support import random

__all__ = ["Linear"]


class Linear(Layer):
    """Affine map of (N, in_features) to (N, out_features).

    bias: whether b is added. init: first weights, see `minidl.layers.initializers`; biases start at zero. rng: where
    they are drawn, a Generator or an int seed; None for minidl's default generator. Parameters: weight (out_features,
    in_features), bias (out_features,). Raises TypeError or ValueError that names the layer for arguments and inputs
    outside these rules.
    """

    weight = Trained()
    _remembered = ("_x",)
    _x: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initializer = "he_normal",
        rng: np.random.Generator | int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.in_features = checks.integer(self.name, "in_features", in_features, 1)
        self.out_features = checks.integer(self.name, "out_features", out_features, 1)
        self.init = None if callable(init) else init
        shape = (self.out_features, self.in_features)
        checks.check_elements(self.name, shape)
        self.weight = Parameter(initializers.draw(self.name, init, shape, random.generator(rng)), "weight")
        self.bias = Parameter(np.zeros(self.out_features, np.float32), "bias", decay=False) if bias else None

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 2:
            hint = "; put a Flatten before" if len(x_shape) == 4 else ""
            raise ValueError(f"{self.who}: input must have 2 dimensions (N, F), got shape {tuple(x_shape)}{hint}")
        if x_shape[1] != self.in_features:
            raise ValueError(f"{self.who}: input must have {self.in_features} features, got {x_shape[1]}")
        return x_shape[0], self.out_features

    def _infer(self, x: Any) -> Any:
        return self.kernels.linear_forward(x, self.weight.values, None if self.bias is None else self.bias.values)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return Linear._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        out = (self.weight.grad, None if self.bias is None else self.bias.grad)
        dx, _, _ = self.kernels.linear_backward(dy, self._x, self.weight.values, self.need_dx, out)
        return dx

    def multiply_adds(self, shape: Shape) -> int:
        """in_features * out_features."""
        self.output_shape(shape)
        return self.weight.values.size
