"""Operations as a training step runs them: parameters are read anew, batches normalised by their own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minidl.compiled import lowering
from minidl.compiled.lowering import Lowering, Rule, Unlowered, image
from minidl.compiled.operation import Arithmetic, Convolution, Operation
from minidl.compiled.value import Value, View
from minidl.layers import Add, BatchNorm1D, BatchNorm2D, ConvTranspose2D, Div, Dropout, Mul, Sub
from minidl.layers import Affine as AffineLayer


@dataclass(eq=False)
class LearningConvolution(Convolution):
    """relu(conv(x; w) + bias + other)."""

    def takes_functions(self) -> bool:
        """A relu alone, whose slope the output tells."""
        return False

    def learns(self) -> bool:
        """Whether weights or bias do."""
        return any(not parameter.frozen for parameter in self.layer._each_parameter())

    def emit(self, program: Any, maps: Any) -> None:
        """A step that packs its weights at each run."""
        layer = self.layer
        other = None if self.other is None else maps(self.other)
        bias = None if layer.bias is None else layer.bias.data
        where = self.stride, self.padding, self.dilation, self.groups, self.linear
        weight = layer.weight.data.reshape(self.kernel)
        self.algorithm = program.conv_forward(maps(self.x), maps(self.y), weight, bias, *where, other, self.relu)


@dataclass(eq=False)
class Normalization(Operation):
    """relu(the batch, normalised, gamma + beta + other); moves the layer's running statistics."""

    layer: Any = None
    other: Value | None = None
    handle: int = -1
    """Of the step in the program, which keeps the statistics for the way back."""

    def reads(self) -> list[Value]:
        """x, and what is added."""
        return [self.x] if self.other is None else [self.x, self.other]

    def takes_sums(self) -> bool:
        """One."""
        return self.other is None and self.plain()

    def takes_relu(self) -> bool:
        """One."""
        return self.plain()

    def add(self, other: Value) -> None:
        """Add a value to what was normalised."""
        self.other = other

    def learns(self) -> bool:
        """Whether gamma or beta do."""
        return any(not parameter.frozen for parameter in self.layer._each_parameter())

    def emit(self, program: Any, maps: Any) -> None:
        """A normalising step."""
        layer = self.layer
        other = None if self.other is None else maps(self.other)
        arrays = layer.gamma.data, layer.beta.data, layer.running_mean, layer.running_var
        numbers = layer.momentum, layer.eps
        self.handle = program.norm_forward(maps(self.x), maps(self.y), *arrays, *numbers, other, self.relu)


class LearningLowering(Lowering):
    """Operations of a training step."""

    convolution = LearningConvolution

    def rule(self, layer: Any) -> Rule | None:
        """How a layer is lowered."""
        return RULES.get(type(layer))


def _norm(lowering: Lowering, layer: Any, view: View) -> View:
    if layer.statistics_frozen or layer.across is not None:
        raise Unlowered("statistics that are not the batch's own")
    for name in ("gamma", "beta", "running_mean", "running_var"):
        lowering.take(layer, name)
    return lowering.add(Normalization, view.shape, image(view), layer=layer)


def _dropout(lowering: Lowering, layer: Dropout, view: View) -> View:
    if layer.rate:
        raise Unlowered("a mask that is drawn")
    return view


def _sum(lowering: Lowering, layer: Any, *views: View) -> View:
    result = views[0]
    for other in views[1:]:
        if result.shape != other.shape:
            raise Unlowered("operands of different shapes")
        result = lowering.add(Arithmetic, result.shape, image(result), other=image(other), sign="+")
    return result


def _product(lowering: Lowering, layer: Any, *views: View) -> View:
    result = views[0]
    for other in views[1:]:
        large, small = sorted((image(result), image(other)), key=lambda value: -value.shape[1] * value.shape[2])
        one = (large.shape[0], 1, 1)
        if large is small:
            raise Unlowered("a square")
        if small.shape not in (large.shape, one) or len(result.shape) != len(other.shape):
            raise Unlowered("operands of different shapes")
        shape = result.shape if image(result) is large else other.shape
        result = lowering.add(Arithmetic, shape, large, other=small, sign="*")
    return result


RULES: dict[type, Rule] = {
    **lowering.RULES,
    BatchNorm1D: _norm,
    BatchNorm2D: _norm,
    Dropout: _dropout,
    Add: _sum,
    Mul: _product,
}
for _kind in (AffineLayer, ConvTranspose2D, Div, Sub):
    del RULES[_kind]
"""How each layer is lowered; those without a way back run between programs."""
