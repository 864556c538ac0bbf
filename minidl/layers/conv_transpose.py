"""Two-dimensional transposed convolution: each input pixel is spread over the output through the kernel.

    y[n, g*O/G + o, ih*SH - PH + kh*DH, iw*SW - PW + kw*DW] = b + sum of all x[n,c,ih,iw] * w[c,o,kh,kw] there

with g = c // (C/G): with the same weight, the input gradient of `Conv2D`, and so its own is a convolution. A stride S
enlarges the image S times. (Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin and Visin 2016, arXiv 1603.07285.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import checks, transposed
from minidl.kernels.checks import Sides
from minidl.layers import initializers
from minidl.layers.base import Layer, Reach, Shape
from minidl.layers.initializers import Initializer
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Trained
from minidl.support import random

__all__ = ["ConvTranspose2D"]


class ConvTranspose2D(Layer):
    """Transposed convolution of (N, in_channels, H, W) into (N, out_channels, OH, OW),
    OH = (H - 1) SH - top - bottom + DH (KH - 1) + 1 + output_padding.

    kernel_size, stride, padding, output_padding, dilation: an int or an (h, w) pair. padding: rows and columns that are
    cut off from the output, on both sides, or on each, ((top, bottom), (left, right)). output_padding: so many are
    added at the bottom and at the right, fewer than the stride or the dilation; among the sizes that a convolution with
    this stride makes equal it chooses one. groups: channels are split into that many independent ones; it must divide
    both channel counts. bias, init, rng: as in `Conv2D`; fan_in counts the products that an output sums in the mean,
    C/G KH KW / (SH SW). Parameters: weight (in_channels, out_channels / groups, KH, KW), bias (out_channels,). As
    PyTorch's. Raises TypeError or ValueError that names the layer for arguments and inputs outside these rules.
    """

    weight = Trained()
    _remembered = ("_x",)
    _x: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Sides = 0,
        output_padding: int | tuple[int, int] = 0,
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
        self._window = transposed.window(self.name, stride, padding, output_padding, dilation, groups)
        self.stride, self.padding, self.output_padding, self.dilation, self.groups = self._window
        checks.channel_groups(self.name, self.groups, self.in_channels, self.out_channels)
        self.init = None if callable(init) else init
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        checks.check_elements(self.name, shape)
        self.weight = Parameter(self._draw(init, shape, random.generator(rng)), "weight")
        self.bias = Parameter(np.zeros(self.out_channels, np.float32), "bias", decay=False) if bias else None

    def _draw(self, init: Initializer, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """A named rule draws the weight of the convolution that has the same fans, without the products left out."""
        if not isinstance(init, str):
            return initializers.draw(self.name, init, shape, rng)
        groups, (C, OG, KH, KW) = self.groups, shape
        drawn = initializers.draw(self.name, init, (OG * groups, C // groups, KH, KW), rng, groups)
        drawn = drawn.reshape(groups, OG, C // groups, KH, KW).swapaxes(1, 2).reshape(shape)
        if init.endswith(("_normal", "_uniform")):
            (SH, SW) = self.stride
            drawn = drawn * np.float32(math.sqrt(min(SH, KH) * min(SW, KW)))
        return np.ascontiguousarray(drawn)

    def _check(self, x_shape: Shape) -> Shape:
        return transposed.output(self.who, x_shape, self.weight.values.shape, *self._window)

    def _infer(self, x: Any) -> Any:
        bias = None if self.bias is None else self.bias.values
        return self.kernels.conv_transpose2d_forward(x, self.weight.values, bias, *self._window)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return ConvTranspose2D._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        out = (self.weight.grad, None if self.bias is None else self.bias.grad)
        dx, _, _ = self.kernels.conv_transpose2d_backward(
            dy, self._x, self.weight.values, *self._window, self.need_dx, out
        )
        return dx

    def reach(self, shape: Shape) -> Reach:
        """As many elements of the input as the kernel joins at one place; the stride goes the other way."""
        sizes = [k / s for k, s in zip(checks.extent(self.kernel_size, self.dilation), self.stride)]
        return (math.ceil(sizes[0]), math.ceil(sizes[1])), (1 / self.stride[0], 1 / self.stride[1])

    def multiply_adds(self, shape: Shape) -> int:
        """H * W * in_channels * out_channels / groups * KH * KW, what is cut off counted like the rest."""
        self.output_shape(shape)
        return self.weight.values.size * shape[1] * shape[2]
