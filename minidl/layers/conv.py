"""Two-dimensional convolution.

    y[n,o,oh,ow] = b[o] + sum_{c,kh,kw} x[n, g*C/G + c, oh*SH - PH + kh*DH, ow*SW - PW + kw*DW] * w[o,c,kh,kw]

with g = o // (O/G), PH and PW the padding at the top and left, and zeros outside x: a cross-correlation, as everywhere
in deep learning. With G = 1, SH = SW = 1 and DH = DW = 1 the gradients are dx = dy convolved with w rotated by 180
degrees, dw = x correlated with dy, db = sum of dy over batch and space.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.kernels.checks import Sides
from minidl.layers import initializers
from minidl.layers.base import Layer, Reach, Shape
from minidl.layers.initializers import Initializer
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Trained
from minidl.support import random

__all__ = ["Conv2D"]


class Conv2D(Layer):
    """Convolution of (N, in_channels, H, W) into (N, out_channels, OH, OW), OH = (H + top + bottom - DH (KH - 1) - 1)
    // SH + 1.

    kernel_size, stride, padding, dilation: an int or an (h, w) pair. padding: zeros on both sides; or on each,
    ((top, bottom), (left, right)); "same" for an output of the input's size, divided by the stride and rounded up,
    where an odd number of zeros has one more behind than before, with "same_lower" before; "valid" for none. groups:
    channels are split into that many independent convolutions; it must divide both channel counts. bias: whether b is
    added. init: first weights, see `minidl.layers.initializers`; biases start at zero. rng: where they are drawn, a
    Generator or an int seed; None for minidl's default generator. Parameters: weight (out_channels, in_channels /
    groups, KH, KW), bias (out_channels,). Raises TypeError or ValueError that names the layer for arguments and inputs
    outside these rules.
    """

    weight = Trained()
    _remembered = ("_x",)
    _stored = MappingProxyType({"padding": "_padding"})
    _x: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Sides | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Initializer = "he_normal",
        rng: np.random.Generator | int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.in_channels = checks.integer(self.name, "in_channels", in_channels, 1)
        self.out_channels = checks.integer(self.name, "out_channels", out_channels, 1)
        self.kernel_size = checks.pair(self.name, "kernel_size", kernel_size, 1)
        self.stride = checks.pair(self.name, "stride", stride, 1)
        self.dilation = checks.pair(self.name, "dilation", dilation, 1)
        self.padding = checks.window_padding(self.name, padding, self.kernel_size, self.stride, self.dilation)
        self._padding = padding if isinstance(padding, str) and padding != "valid" else self.padding
        self.groups = checks.integer(self.name, "groups", groups, 1)
        checks.channel_groups(self.name, self.groups, self.in_channels, self.out_channels)
        self.init = None if callable(init) else init
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        checks.check_elements(self.name, shape)
        weight = initializers.draw(self.name, init, shape, random.generator(rng), self.groups)
        self.weight = Parameter(weight, "weight")
        self.bias = Parameter(np.zeros(self.out_channels, np.float32), "bias", decay=False) if bias else None

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) == 4 and x_shape[1] != self.in_channels == x_shape[3]:
            raise ValueError(
                f"{self.who}: input must have {self.in_channels} channels, got {x_shape[1]} in shape {tuple(x_shape)};"
                " images (N, H, W, C): x.transpose(0, 3, 1, 2)"
            )
        return checks.conv2d_output(
            self.who, x_shape, self.weight.values.shape, self.stride, self.padding, self.dilation, self.groups
        )

    def _infer(self, x: Any) -> Any:
        bias = None if self.bias is None else self.bias.values
        return self.kernels.conv2d_forward(
            x, self.weight.values, bias, self.stride, self.padding, self.dilation, self.groups
        )

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return Conv2D._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        out = (self.weight.grad, None if self.bias is None else self.bias.grad)
        dx, _, _ = self.kernels.conv2d_backward(
            dy, self._x, self.weight.values, self.stride, self.padding, self.dilation, self.groups, self.need_dx, out
        )
        return dx

    def reach(self, shape: Shape) -> Reach:
        """The kernel with its gaps, and the stride."""
        return checks.extent(self.kernel_size, self.dilation), self.stride

    def multiply_adds(self, shape: Shape) -> int:
        """out_channels * OH * OW * in_channels / groups * KH * KW, padding counted like the rest."""
        _, oh, ow = self.output_shape(shape)
        return self.weight.values.size * oh * ow
