"""The way back of a compiled training step: for each operation forward, one that makes its inputs' gradients.

A value that several operations read collects its gradient: the first one writes it, the others add to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from minidl.compiled.learning import (
    Dropout,
    GroupNormalization,
    LearningConvolution,
    LearningRouting,
    LearningTransposedConvolution,
    LocalResponse,
    Normalization,
)
from minidl.compiled.operation import Arithmetic, Channels, Convolution, Element, Lengths, Operation, Pooling, Squash
from minidl.compiled.phase import Axes, around, each_phase, phases
from minidl.compiled.value import Value
from minidl.layers.parameter import Parameter


class Gradients:
    """The gradients of values, while the backward pass is written down.

    needed: ids of the values whose gradient somebody wants.
    """

    def __init__(self, needed: set[int]) -> None:
        self.needed = needed
        self._known: dict[int, Value] = {}

    def of(self, value: Value) -> Value | None:
        """The gradient as it is so far; None where no operation behind has one."""
        return self._known.get(id(value))

    def target(self, value: Value | None) -> Target | None:
        """Where an operation puts its part; None where nobody wants it."""
        if value is None or id(value) not in self.needed:
            return None
        known = self._known.get(id(value))
        if known is not None:
            return Target(known, True)
        new = self._known[id(value)] = Value(value.shape)
        return Target(new, False)

    def start(self, value: Value) -> Value:
        """A gradient that comes from outside."""
        new = self._known[id(value)] = Value(value.shape)
        return new


@dataclass(frozen=True)
class Target:
    """A gradient that is written, or added to."""

    value: Value
    add: bool


@dataclass(eq=False)
class Backward:
    """dy, the gradient of `forward`'s y, becomes those of its inputs: `targets`, in the order of its `reads`.

    A relu at the end of `forward` is undone in place: nobody else reads dy.
    """

    forward: Any
    dy: Value
    targets: list[Target | None]
    algorithm: str = ""
    labels: list[str] = field(default_factory=list)
    joined: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.labels = self.forward.labels

    @property
    def dx(self) -> Target | None:
        """The first input's."""
        return self.targets[0]

    def keeps(self) -> list[Value]:
        """Values of the forward pass that it reads."""
        return [self.forward.y] if self.forward.relu else []

    def reads(self) -> list[Value]:
        """All values that must be there."""
        return [self.dy, *self.keeps(), *(target.value for target in self.targets if target and target.add)]

    def writes(self) -> list[Value]:
        """The gradients."""
        return [target.value for target in self.targets if target]

    def widen(self) -> None:
        """Give dy the halo that is read around it."""

    def emit(self, program: Any, maps: Any) -> None:
        """Add the steps to the program; maps: value -> Map."""
        if self.forward.relu:
            dy = maps(self.dy)
            program.element_backward("relu", 0.0, 0.0, dy, maps(self.forward.y), dy)
        self.steps(program, maps)

    def steps(self, program: Any, maps: Any) -> None:
        """Those behind the relu."""
        raise NotImplementedError


def written(parameter: Parameter) -> np.ndarray:
    """Where its gradient is written to: elsewhere, if it is frozen and the layer computes it beside others."""
    return np.zeros_like(parameter.grad) if parameter.frozen else parameter.grad


def copied(program: Any, dy: Any, target: Target, maps: Any) -> None:
    """dy as it is, for a part of a sum."""
    program.channels(dy, maps(target.value), list(range(dy.shape[0])), 0, target.add)


class ConvolutionBackward(Backward):
    """Of the weights, the bias, the input and what was added."""

    def keeps(self) -> list[Value]:
        """The input, if the weights learn."""
        forward: LearningConvolution = self.forward
        return [*super().keeps(), *([forward.x] if forward.learns() else [])]

    def axes(self) -> Axes:
        """The phases of rows and of columns."""
        forward: LearningConvolution = self.forward
        (top, _), (left, _) = forward.margins()
        _, h, w = forward.x.shape
        _, _, kh, kw = forward.kernel
        # With one output, no two pixels share a tap.
        down, across = (h, w) if forward.linear else forward.stride
        return phases(h, kh, down, top, forward.dilation[0]), phases(w, kw, across, left, forward.dilation[1])

    def widen(self) -> None:
        """Give dy the halo that the phases read."""
        if self.dx is not None:
            self.dy.widen(around(self.dy, *self.axes()))

    def steps(self, program: Any, maps: Any) -> None:
        """Weights, a convolution for each phase, and the sum."""
        forward: LearningConvolution = self.forward
        layer, dy = forward.layer, maps(self.dy)
        where = forward.stride, forward.padding, forward.dilation, forward.groups
        if forward.learns():
            bias = None if layer.bias is None or layer.bias.frozen else layer.bias.grad
            linear = forward.linear and forward.x.shape[1:] == (1, 1)
            program.conv_dw(maps(forward.x), dy, written(layer.weight).reshape(forward.kernel), bias, *where, linear)
        if self.dx is not None:
            self._input(program, maps, self.dx)
        if len(self.targets) > 1 and self.targets[1]:  # last: may add to what was written as the input's
            copied(program, dy, self.targets[1], maps)

    def _input(self, program: Any, maps: Any, target: Target) -> None:
        """A convolution for each phase."""
        forward: LearningConvolution = self.forward
        dy, dx = maps(self.dy), maps(target.value)
        weight = forward.layer.weight.data.reshape(forward.kernel)
        stride = forward.x.shape[1:] if forward.linear else forward.stride
        how = forward.groups, forward.linear, target.add
        for part, *windows in each_phase(program, dx, target.value.halo, self.axes(), stride, target.add):
            self.algorithm = program.conv_phase(dy, part, weight, None, *windows, *how)


class TransposedConvolutionBackward(Backward):
    """Of the weights, the bias and the input: those of the convolution that makes x of y."""

    def keeps(self) -> list[Value]:
        """The input, if the weights learn."""
        forward: LearningTransposedConvolution = self.forward
        return [*super().keeps(), *([forward.x] if forward.learns() else [])]

    def widen(self) -> None:
        """Give dy the halo that the convolution reads."""
        forward: LearningTransposedConvolution = self.forward
        back = Convolution(forward.x, self.dy, kernel=forward.kernel, stride=forward.stride)
        back.padding, back.dilation = forward.padding, forward.dilation
        self.dy.widen(back.halo())

    def steps(self, program: Any, maps: Any) -> None:
        """Weights, bias and input."""
        forward: LearningTransposedConvolution = self.forward
        layer, dy = forward.layer, maps(self.dy)
        where = forward.stride, forward.padding, forward.dilation, forward.groups
        if forward.learns():
            program.conv_dw(dy, maps(forward.x), written(layer.weight), None, *where)
            if layer.bias is not None and not layer.bias.frozen:
                program.conv_db(dy, layer.bias.grad)
        if self.dx is not None:
            dx = maps(self.dx.value)
            ending = False, dx if self.dx.add else None
            self.algorithm = program.conv_forward(dy, dx, layer.weight.data, None, *where, *ending)


class NormalizationBackward(Backward):
    """Of gamma, beta, the input and what was added; the relu is part of it."""

    def keeps(self) -> list[Value]:
        """The input, what it was normalised with, and the output behind a relu."""
        return [*super().keeps(), self.forward.x, *self.forward.keeps()]

    def emit(self, program: Any, maps: Any) -> None:
        """One step, and one more where the sum is of the input itself."""
        forward: Normalization = self.forward
        other = self.targets[1] if len(self.targets) > 1 else None
        own = other if other and self.dx and other.value is self.dx.value else None  # the input was added, too
        other = None if own else other
        dy, y = maps(self.dy), maps(forward.y)
        gamma, beta = (None if p is None or p.frozen else p.grad for p in forward.parameters())
        program.norm_backward(
            forward.handle,
            dy,
            y,
            maps(self.dx.value) if self.dx else None,
            gamma,
            beta,
            maps(other.value) if other else None,
            bool(self.dx and self.dx.add),
            bool(other and other.add),
        )
        if own and forward.relu:
            program.element_backward("relu", 0.0, 0.0, dy, y, maps(own.value), own.add)
        elif own:
            copied(program, dy, own, maps)


class PoolingBackward(Backward):
    """Of what was pooled."""

    def keeps(self) -> list[Value]:
        """For a maximum, input and output."""
        return [self.forward.x, self.forward.y] if self.forward.way == "max" else []

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        forward: Pooling = self.forward
        assert self.dx is not None
        dy, dx, add = maps(self.dy), maps(self.dx.value), self.dx.add
        if forward.way == "max":
            kernel, stride, padding, *rest = forward.window
            dilation = rest[0] if rest else (1, 1)
            ceil_mode = rest[1] if len(rest) > 1 else False
            x, y = maps(forward.x), maps(forward.y)
            program.maxpool_backward(x, y, dy, dx, kernel, stride, padding, dilation, ceil_mode, add)
        elif forward.way == "avg":
            kernel, stride, padding, *rest = forward.window
            program.avgpool_backward(dy, dx, kernel, stride, padding, *(rest or (False, True)), add)
        else:
            program.adaptive_avgpool_backward(dy, dx, add)


class ElementBackward(Backward):
    """Of an elementwise function's argument."""

    def _known(self) -> Value:
        from minidl._ext.training_program import reads_x

        forward: Element = self.forward
        assert forward.function is not None
        return forward.x if reads_x(forward.function[0]) else forward.y

    def keeps(self) -> list[Value]:
        """x or y, as the function wants it."""
        return [self._known()]

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        assert self.dx is not None
        kind, a, b = self.forward.function
        program.element_backward(kind, a, b, maps(self.dy), maps(self._known()), maps(self.dx.value), self.dx.add)


class ArithmeticBackward(Backward):
    """Of both parts of a sum, or of a product."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.forward.sign == "*":  # computed together, wanted or not
            pairs = zip(self.targets, self.forward.reads(), strict=True)
            self.targets = [target or Target(Value(value.shape), False) for target, value in pairs]

    def keeps(self) -> list[Value]:
        """Both, of a product."""
        return [*super().keeps(), *(self.forward.reads() if self.forward.sign == "*" else [])]

    def steps(self, program: Any, maps: Any) -> None:
        """A copy for each part of a sum, one step for a product's."""
        if self.forward.sign == "+":
            for target in self.targets:
                if target:
                    copied(program, maps(self.dy), target, maps)
            return
        a, b = self.targets
        assert a is not None
        assert b is not None
        known = maps(self.forward.x), maps(self.forward.other)
        program.mul_backward(*known, maps(self.dy), maps(a.value), maps(b.value), a.add, b.add)


class ChannelsBackward(Backward):
    """Of the sources of channels."""

    def steps(self, program: Any, maps: Any) -> None:
        """The channels of each source back to their places."""
        forward: Channels = self.forward
        start = 0
        for target, (source, channels) in zip(self.targets, forward.parts, strict=True):
            if target:
                whole = len(channels) == source.shape[0]
                if not whole and not target.add:
                    program.clear(maps(target.value))
                low = min(channels)
                places = [0] * len(channels)
                for i, channel in enumerate(channels):
                    places[channel - low] = start + i
                program.channels(maps(self.dy), maps(target.value), places, low, target.add or not whole)
            start += len(channels)


class LocalResponseBackward(Backward):
    """Of what was normalised."""

    def keeps(self) -> list[Value]:
        """The input."""
        return [self.forward.x]

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        forward: LocalResponse = self.forward
        assert self.dx is not None
        where = maps(forward.x), maps(self.dy), maps(self.dx.value)
        program.local_response_backward(*where, *forward.settings, self.dx.add)


class SquashBackward(Backward):
    """Of maps that were squashed as capsules."""

    def keeps(self) -> list[Value]:
        """The input."""
        return [self.forward.x]

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        assert self.dx is not None
        program.squash_backward(maps(self.forward.x), maps(self.dy), maps(self.dx.value), self.dx.add)


class RoutingBackward(Backward):
    """Of the weight and of the capsules below."""

    def keeps(self) -> list[Value]:
        """The input, and what the result was made by."""
        forward: LearningRouting = self.forward
        return [forward.x, *forward.kept]

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        forward: LearningRouting = self.forward
        dx = maps(self.dx.value) if self.dx else None
        dw = forward.layer.weight.grad if forward.learns() else None
        program.routing_backward(forward.handle, maps(self.dy), dx, dw, bool(self.dx and self.dx.add))


class LengthsBackward(Backward):
    """Of capsules."""

    def keeps(self) -> list[Value]:
        """The capsules and their lengths."""
        return [self.forward.x, self.forward.y]

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        assert self.dx is not None
        where = maps(self.forward.x), maps(self.forward.y), maps(self.dy), maps(self.dx.value)
        program.lengths_backward(*where, self.dx.add)


class DropoutBackward(Backward):
    """Of what the mask has kept."""

    def steps(self, program: Any, maps: Any) -> None:
        """One step."""
        forward: Dropout = self.forward
        assert self.dx is not None
        program.dropout_backward(forward.handle, maps(self.dy), maps(self.dx.value), self.dx.add)


WAYS: dict[type, type[Backward]] = {
    LearningConvolution: ConvolutionBackward,
    LearningTransposedConvolution: TransposedConvolutionBackward,
    Normalization: NormalizationBackward,
    GroupNormalization: NormalizationBackward,
    LocalResponse: LocalResponseBackward,
    Squash: SquashBackward,
    LearningRouting: RoutingBackward,
    Lengths: LengthsBackward,
    Dropout: DropoutBackward,
    Pooling: PoolingBackward,
    Element: ElementBackward,
    Arithmetic: ArithmeticBackward,
    Channels: ChannelsBackward,
}
"""How each operation goes back."""


def backward(operations: list[Operation], gradients: Gradients) -> list[Backward]:
    """The way back through `operations`, as far as somebody wants gradients."""
    found: list[Backward] = []
    for operation in reversed(operations):
        dy = gradients.of(operation.y)
        if dy is None:
            continue
        targets = [gradients.target(value) for value in operation.reads()]
        if any(targets) or operation.learns():
            found.append(WAYS[type(operation)](operation, dy, targets))
    return found
