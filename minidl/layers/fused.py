"""Neighbours that run as one backend operation; `merged` finds them.

    Conv2D [+ Relu] [+ pooling]        conv_block
    BatchNorm [+ Relu] [+ pooling]     norm_block
    Linear + Relu                      linear_block
    Add of two inputs + Relu           add_block

A block stands in a `Plan` in place of its layers. It reads and writes their Parameters and remembers for
itself, so the layers stay what the user sees, and one layer object may stand in several places of one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.contract import Pool
from minidl.layers.activation import Relu
from minidl.layers.base import Layer, Shape
from minidl.layers.conv import Conv2D
from minidl.layers.linear import Linear
from minidl.layers.merge import Add
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
        bias = None if c.bias is None else c.bias.values
        return self.kernels.conv_block_forward(
            x, c.weight.values, bias, c.stride, c.padding, c.dilation, c.groups, self._relu, self._pool
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
            c.weight.values,
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
        statistics = n.statistics(train)
        return self.kernels.norm_block_forward(
            x, n.gamma.values, n.beta.values, *statistics, train, self._relu, self._pool
        )

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
            dy, self._saved, self._x, n.gamma.values, self._train, self._relu, self._pool, out
        )
        return dx


class FoldedBlock(Block):
    """Convolution, then normalisation with its tail, in a prediction: the norm is part of the weights.

    gamma (conv(x) + b - mean) inv_std + beta is a convolution, too, with w gamma inv_std for its weights. They are made
    anew each time, so that they are always those of the parameters; where that is more work than the pass over the
    output that it saves, the two run one after the other.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._conv: Any = layers[0]
        self._norm: Any = layers[1]
        self._pool = _pool(layers[-1])
        self._known: tuple[Shape, bool] = (), False
        """Shape of the last input, and whether folding pays for it."""
        self._after: Any = NormBlock(layers[1:]) if len(layers) > 2 else layers[1]

    def _infer(self, x: Any) -> Any:
        c, n = self._conv, self._norm
        w = c.weight.values
        shape, pays = self._known  # read once: another thread may write
        if shape != x.shape:
            _, _, oh, ow = c._check(x.shape)
            pays = w.size < x.shape[0] * oh * ow * c.out_channels
            self._known = x.shape, pays
        if not pays:
            c.kernels = self._after.kernels = self.kernels
            return self._after._infer(c._infer(x))
        mean, var, _, eps = n.statistics(False)
        scale = n.gamma.values / np.sqrt(var + eps)
        shift = n.beta.values - (mean if c.bias is None else mean - c.bias.values) * scale
        w = w * scale[:, None, None, None]
        return self.kernels.conv_block_forward(
            x, w, shift, c.stride, c.padding, c.dilation, c.groups, self._relu, self._pool
        )[0]


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
        return self.kernels.linear_block_forward(x, f.weight.values, None if f.bias is None else f.bias.values)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        self._y = y = self._infer(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        f = self._linear
        out = (f.weight.grad, None if f.bias is None else f.bias.grad)
        dx, _, _ = self.kernels.linear_block_backward(dy, self._y, self._x, f.weight.values, self.need_dx, out)
        return dx


class AddBlock(Block):
    """The sum of two inputs, then Relu; of inputs that are broadcast as two operations."""

    merges = True
    _remembered = ("_y", "_x")
    _y: Any
    _x: Any

    def _infer(self, x: Any) -> Any:
        if x[0].shape != x[1].shape:
            return self.kernels.relu_forward(self.kernels.arithmetic_forward(*x, "+"))
        return self.kernels.add_block_forward(*x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = None if x[0].shape == x[1].shape else tuple(x)
        self._y = y = self._infer(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        d = self.kernels.relu_backward(dy, self._y)
        return (d,) * 2 if self._x is None else self.kernels.arithmetic_backward(d, *self._x, "+")


def _pool(layer: Layer) -> Pool | None:
    """The pooling of a block that ends with `layer`, as the contract writes it."""
    if isinstance(layer, (MaxPool2D, AvgPool2D)):
        kind = "max" if isinstance(layer, MaxPool2D) else "avg"
        return kind, *layer.window
    return None


_HEADS = {Add: AddBlock, Conv2D: ConvBlock, BatchNorm2D: NormBlock, BatchNorm1D: NormBlock, Linear: LinearBlock}
_IMAGES, _ROWS = ((Relu,), (MaxPool2D, AvgPool2D)), ((Relu,),)
_TAILS = {Add: _ROWS, Conv2D: _IMAGES, BatchNorm2D: _IMAGES, BatchNorm1D: _ROWS, Linear: _ROWS}
"""What may follow in a block, in this order, each or not."""


def merged(steps: Sequence[Any], kept: Sequence[int], make: Any) -> list[Any]:
    """The steps of a plan in order, chains of them merged into blocks where a *_block operation computes the same.

    kept: values that somebody needs besides the steps. make: (node, read, write) -> step. A chain ends at a value that
    is kept or has several readers. Only minidl's own classes merge: a subclass may compute something else.
    """

    def block(chain: list[Any]) -> Block | None:
        head = type(chain[0].node)
        return _HEADS[head]([step.node for step in chain]) if len(chain) > 1 else None

    def tails(step: Any) -> Any:
        head = type(step.node)
        if (head is Add and len(step.read) != 2) or getattr(step.node, "across", None) is not None:
            return ()
        return _TAILS.get(head, ())

    return _chained(steps, kept, make, tails, block)


def folded(steps: Sequence[Any], kept: Sequence[int], make: Any) -> list[Any]:
    """The steps for a prediction: those of `merged`, each normalisation behind a convolution in one block with it."""

    def block(chain: list[Any]) -> Block | None:
        if len(chain) < 2:
            return None
        after = chain[1].node
        return FoldedBlock([chain[0].node, *(after.layers if isinstance(after, NormBlock) else [after])])

    def tails(step: Any) -> Any:
        return ((BatchNorm2D, NormBlock),) if type(step.node) is Conv2D else ()

    return _chained(steps, kept, make, tails, block)


def _chained(steps: Sequence[Any], kept: Sequence[int], make: Any, tails: Any, block: Any) -> list[Any]:
    """The steps, chains replaced by the `block` of each. tails: the kinds that may follow a step, each or not."""
    readers: dict[int, list[Any]] = {value: [None] for value in kept}
    for step in steps:
        for value in (step.read,) if isinstance(step.read, int) else step.read:
            readers.setdefault(value, []).append(step)
    found: list[Any] = []
    taken: set[int] = set()
    for step in steps:
        if id(step) in taken:
            continue
        chain = [step]
        for kinds in tails(step):
            after = readers.get(chain[-1].write, ())
            if len(after) == 1 and after[0] is not None and type(after[0].node) in kinds:
                chain.append(after[0])
        taken.update(map(id, chain))
        node = block(chain)
        found.append(step if node is None else make(node, step.read, chain[-1].write))
    return found
