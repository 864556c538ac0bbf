"""Neighbours that run as one backend operation; `plan` finds them.

    Conv2D [+ Relu] [+ pooling]        conv_block
    BatchNorm [+ Relu] [+ pooling]     norm_block
    Linear + Relu                      linear_block

A block stands in a `Sequential`'s plan in place of its layers. It reads and writes their Parameters and remembers for
itself, so the layers stay what the user sees, and one layer object may stand in several places of one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.kernels.contract import Pool
from minidl.layers.activation import Relu
from minidl.layers.base import Layer, Shape
from minidl.layers.conv import Conv2D
from minidl.layers.linear import Linear
from minidl.layers.norm import BatchNorm1D, BatchNorm2D
from minidl.layers.pooling import AvgPool2D, MaxPool2D


class Block(Layer):
    """Merged layers: `layers` lists them in order. The first one has the parameters."""

    _unnamed = ("layers",)

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__("+".join(layer.name for layer in layers))
        self.layers = list(layers)
        self._relu = any(type(layer) is Relu for layer in layers)

    @property
    def who(self) -> str:
        """The block as messages name it: the place of its first layer, and the names of all."""
        path = self.layers[0]._path
        return f"layer {path} ({self.name})" if path else self.name

    def release(self) -> None:
        """Forget what the last forward remembered here; the container asks the layers themselves."""
        for attribute in self._remembered:
            setattr(self, attribute, None)

    def _check(self, x_shape: Shape) -> Shape:
        for layer in self.layers:
            x_shape = layer._check(x_shape)
        return x_shape


class ConvBlock(Block):
    """Convolution, then Relu and pooling where they follow."""

    _remembered = ("_x", "_saved")
    _x: Any
    _saved: Any

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._conv: Any = layers[0]
        self._pool = _pool(layers[-1])

    def _block(self, x: Any) -> tuple[Any, Any]:
        c = self._conv
        bias = None if c.bias is None else c.bias.data
        return self.kernels.conv_block_forward(
            x, c.weight.data, bias, c.stride, c.padding, c.dilation, c.groups, self._relu, self._pool
        )

    def _infer(self, x: Any) -> Any:
        return self._block(x)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        y, self._saved = self._block(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        c = self._conv
        out = (c.weight.grad, None if c.bias is None else c.bias.grad)
        dx, _, _ = self.kernels.conv_block_backward(
            dy,
            self._saved,
            self._x,
            c.weight.data,
            c.stride,
            c.padding,
            c.dilation,
            c.groups,
            self._relu,
            self._pool,
            self.need_dx,
            out,
        )
        return dx


class NormBlock(Block):
    """Batch normalisation, then Relu and pooling where they follow."""

    _remembered = ("_x", "_saved", "_train")
    _x: Any
    _saved: Any
    _train: Any

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._norm: Any = layers[0]
        self._pool = _pool(layers[-1])

    def _block(self, x: Any, train: bool) -> tuple[Any, Any]:
        n = self._norm
        statistics = n.running_mean, n.running_var, n.momentum, n.eps
        return self.kernels.norm_block_forward(x, n.gamma.data, n.beta.data, *statistics, train, self._relu, self._pool)

    def _infer(self, x: Any) -> Any:
        return self._block(x, False)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x, self._train = x, train and not self._norm.statistics_frozen
        y, self._saved = self._block(x, self._train)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        n = self._norm
        out = (n.gamma.grad, n.beta.grad)
        dx, _, _ = self.kernels.norm_block_backward(
            dy, self._saved, self._x, n.gamma.data, self._train, self._relu, self._pool, out
        )
        return dx


class LinearBlock(Block):
    """Linear, then Relu."""

    _remembered = ("_x", "_y")
    _x: Any
    _y: Any

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._linear: Any = layers[0]

    def _infer(self, x: Any) -> Any:
        f = self._linear
        return self.kernels.linear_block_forward(x, f.weight.data, None if f.bias is None else f.bias.data)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        self._y = y = self._infer(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        f = self._linear
        out = (f.weight.grad, None if f.bias is None else f.bias.grad)
        dx, _, _ = self.kernels.linear_block_backward(dy, self._y, self._x, f.weight.data, self.need_dx, out)
        return dx


def _pool(layer: Layer) -> Pool | None:
    """The pooling of a block that ends with `layer`, as the contract writes it."""
    if isinstance(layer, (MaxPool2D, AvgPool2D)):
        kind = "max" if isinstance(layer, MaxPool2D) else "avg"
        return kind, *layer.window
    return None


_HEADS = {Conv2D: ConvBlock, BatchNorm2D: NormBlock, BatchNorm1D: NormBlock, Linear: LinearBlock}


def plan(layers: Sequence[Layer]) -> list[Layer]:
    """The layers in order, neighbours merged into blocks where a *_block operation of the contract computes the same.

    Only minidl's own classes merge: a subclass may compute something else.
    """
    nodes: list[Layer] = []
    i = 0
    while i < len(layers):
        head = type(layers[i])
        end = i + 1
        if head in _HEADS:
            if end < len(layers) and type(layers[end]) is Relu:
                end += 1
            images = head is Conv2D or head is BatchNorm2D
            if images and end < len(layers) and type(layers[end]) in (MaxPool2D, AvgPool2D):
                end += 1
        nodes.append(_HEADS[head](layers[i:end]) if end > i + 1 else layers[i])
        i = end
    return nodes
