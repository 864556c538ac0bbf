"""Operations as a training step runs them: parameters are read anew, batches normalised by their own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.compiled import lowering
from minidl.compiled.lowering import Lowering, Rule, Unlowered, image
from minidl.compiled.operation import Arithmetic, Convolution, Operation, Routing, TransposedConvolution
from minidl.compiled.phase import each_phase
from minidl.compiled.value import Value, View
from minidl.layers import (
    Add,
    BatchNorm1D,
    BatchNorm2D,
    ConvTranspose2D,
    Div,
    GroupNorm,
    InstanceNorm2D,
    LayerNorm,
    LocalResponseNorm,
    Mul,
    Sub,
)
from minidl.layers import Affine as AffineLayer
from minidl.layers import Dropout as DropoutLayer
from minidl.layers.parameter import Parameter

STATISTICS = 6
"""Numbers that a normalisation within images keeps of each channel of an image."""


@dataclass(eq=False)
class LearningConvolution(Convolution):
    """relu(conv(x; w) + bias + other)."""

    def takes_functions(self) -> bool:
        """A relu alone, whose slope the output tells."""
        return False

    def learns(self) -> bool:
        """Whether weights or bias do."""
        return learns(self.layer)

    def emit(self, program: Any, maps: Any) -> None:
        """A step that packs its weights at each run."""
        other = None if self.other is None else maps(self.other)
        where = self.stride, self.padding, self.dilation, self.groups, self.linear
        self.algorithm = program.conv_forward(maps(self.x), maps(self.y), *weights(self), *where, other, self.relu)


@dataclass(eq=False)
class LearningTransposedConvolution(TransposedConvolution):
    """relu(transposed conv(x; w) + bias)."""

    def learns(self) -> bool:
        """Whether weights or bias do."""
        return learns(self.layer)

    def takes_few_lanes(self) -> bool:
        """Not where x stands for a convolution's dy, for the weights."""
        return False

    def emit(self, program: Any, maps: Any) -> None:
        """A step for each phase, which packs its weights at each run."""
        x, y, given = maps(self.x), maps(self.y), weights(self)
        for part, *windows in each_phase(program, y, self.y.halo, self.axes(), self.stride):
            self.algorithm = program.conv_phase(x, part, *given, *windows, self.groups, relu=self.relu)


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
        return learns(self.layer)

    def parameters(self) -> tuple[Parameter | None, Parameter | None]:
        """gamma and beta; None where the layer has none."""
        return getattr(self.layer, "gamma", None), getattr(self.layer, "beta", None)

    def keeps(self) -> list[Value]:
        """What the way back reads beside x and y."""
        return []

    def emit(self, program: Any, maps: Any) -> None:
        """A normalising step."""
        layer = self.layer
        other = None if self.other is None else maps(self.other)
        arrays = layer.gamma.data, layer.beta.data, layer.running_mean, layer.running_var
        numbers = layer.momentum, layer.eps
        self.handle = program.norm_forward(maps(self.x), maps(self.y), *arrays, *numbers, other, self.relu)


@dataclass(eq=False)
class GroupNormalization(Normalization):
    """relu(groups of each image's channels, normalised, gamma + beta + other)."""

    groups: int = 1
    statistics: Value = field(init=False)

    def __post_init__(self) -> None:
        self.statistics = Value((self.x.shape[0], 1, STATISTICS))

    def writes(self) -> list[Value]:
        """y, and what it was normalised with."""
        return [self.y, self.statistics]

    def keeps(self) -> list[Value]:
        """What it was normalised with."""
        return [self.statistics]

    def emit(self, program: Any, maps: Any) -> None:
        """A normalising step."""
        other = None if self.other is None else maps(self.other)
        arrays = (None if parameter is None else parameter.data for parameter in self.parameters())
        places = maps(self.x), maps(self.y), maps(self.statistics)
        self.handle = program.group_norm_forward(*places, *arrays, self.groups, self.layer.eps, other, self.relu)


@dataclass(eq=False)
class LocalResponse(Operation):
    """x divided by a power of what its neighbours in other channels sum to."""

    settings: tuple[int, float, float, float] = (1, 0.0, 0.0, 1.0)
    """size, alpha, beta, k"""

    def emit(self, program: Any, maps: Any) -> None:
        """One step."""
        program.local_response_forward(maps(self.x), maps(self.y), *self.settings)


@dataclass(eq=False)
class LearningRouting(Routing):
    """Capsules of capsules, with weights that are packed at each run."""

    handle: int = -1
    """Of the step in the program."""

    def learns(self) -> bool:
        """Whether the weight does."""
        return learns(self.layer)

    def emit(self, program: Any, maps: Any) -> None:
        """One step."""
        self.handle = program.routing_forward(*self.given(maps))


@dataclass(eq=False)
class Dropout(Operation):
    """x where a mask keeps it, which is drawn before each run."""

    layer: Any = None
    handle: int = -1
    """Of the step in the program, which keeps the mask's key for the way back."""

    def draw(self, program: Any) -> None:
        """The next mask."""
        program.draw(self.handle, self.layer._draw(math.prod(self.x.shape)))

    def emit(self, program: Any, maps: Any) -> None:
        """One step."""
        self.handle = program.dropout_forward(maps(self.x), maps(self.y), self.layer.rate)


def learns(layer: Any) -> bool:
    """Whether a parameter of it wants a gradient."""
    return any(not parameter.frozen for parameter in layer._each_parameter())


def weights(operation: Convolution) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight and bias, where they stand."""
    layer = operation.layer
    return layer.weight.data.reshape(operation.kernel), None if layer.bias is None else layer.bias.data


class LearningLowering(Lowering):
    """Operations of a training step."""

    convolution = LearningConvolution
    transposed = LearningTransposedConvolution
    routing = LearningRouting

    def rule(self, layer: Any) -> Rule | None:
        """How a layer is lowered."""
        return RULES.get(type(layer))


def _norm(lowering: Lowering, layer: Any, view: View) -> View:
    if layer.statistics_frozen or layer.across is not None:
        raise Unlowered("statistics that are not the batch's own")
    for name in ("gamma", "beta", "running_mean", "running_var"):
        lowering.take(layer, name)
    return lowering.add(Normalization, view.shape, image(view), layer=layer)


def _group_norm(lowering: Lowering, layer: GroupNorm, view: View) -> View:
    return _norm_of_groups(lowering, layer, view, layer.groups)


def _instance_norm(lowering: Lowering, layer: InstanceNorm2D, view: View) -> View:
    return _norm_of_groups(lowering, layer, view, layer.channels)


def _layer_norm(lowering: Lowering, layer: LayerNorm, view: View) -> View:
    if image(view).shape[1:] != (1, 1) or math.prod(layer.shape) != math.prod(view.shape):
        raise Unlowered("a gamma for each pixel")
    return _norm_of_groups(lowering, layer, view, 1)


def _norm_of_groups(lowering: Lowering, layer: Any, view: View, groups: int) -> View:
    for name in ("gamma", "beta"):
        if hasattr(layer, name):
            lowering.take(layer, name)
    return lowering.add(GroupNormalization, view.shape, image(view), layer=layer, groups=groups)


def _local_response(lowering: Lowering, layer: LocalResponseNorm, view: View) -> View:
    settings = layer.size, layer.alpha, layer.beta, layer.k
    return lowering.add(LocalResponse, view.shape, image(view), settings=settings)


def _conv_transpose(lowering: Lowering, layer: ConvTranspose2D, view: View) -> View:
    if any(more >= stride for more, stride in zip(layer.output_padding, layer.stride)):
        raise Unlowered("a convolution back that makes more pixels")
    return PREDICTING[ConvTranspose2D](lowering, layer, view)


def _dropout(lowering: Lowering, layer: DropoutLayer, view: View) -> View:
    if not layer.rate:
        return view
    found = lowering.add(Dropout, view.value.shape, view.value, layer=layer)
    return View(found.value, view.shape)


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


PREDICTING = lowering.RULES
RULES: dict[type, Rule] = {
    **PREDICTING,
    ConvTranspose2D: _conv_transpose,
    BatchNorm1D: _norm,
    BatchNorm2D: _norm,
    GroupNorm: _group_norm,
    InstanceNorm2D: _instance_norm,
    LayerNorm: _layer_norm,
    LocalResponseNorm: _local_response,
    DropoutLayer: _dropout,
    Add: _sum,
    Mul: _product,
}
for _kind in (AffineLayer, Div, Sub):
    del RULES[_kind]
"""How each layer is lowered; those without a way back run between programs."""
