"""The operations of a compiled network, each of which becomes one step of the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.compiled.phase import Axes, around, each_phase, phases
from minidl.compiled.value import Halo, Value
from minidl.kernels import checks

Function = tuple[str, float, float]
"""Kind of an activation or elementwise function, and its parameters."""


@dataclass(eq=False)
class Operation:
    """x -> y. label: the layers that it computes, by their places."""

    y: Value
    x: Value
    labels: list[str] = field(default_factory=list)
    relu: bool = False
    function: Function | None = None
    algorithm: str = ""
    """How it is computed, known when it has been emitted."""
    joined: int = 0
    """How many operations behind it run with it, each of which alone reads what the one before makes."""

    def reads(self) -> list[Value]:
        """The values that it needs."""
        return [self.x]

    def writes(self) -> list[Value]:
        """The values that it makes."""
        return [self.y]

    def learns(self) -> bool:
        """Whether a parameter of it wants a gradient."""
        return False

    def plain(self) -> bool:
        """Whether nothing stands behind the sum yet."""
        return not self.relu and self.function is None

    def takes_functions(self) -> bool:
        """Whether a function of the result may become part of it."""
        return False

    def takes_relu(self) -> bool:
        """Whether a relu of the result may become part of it."""
        return False

    def takes_sums(self) -> bool:
        """Whether a value of the result's shape may be added as part of it, by `add`."""
        return False

    def add(self, other: Value) -> None:
        """Add a value to the result."""
        raise NotImplementedError

    def emit(self, program: Any, maps: Any) -> None:
        """Add the step to the program; maps: value -> Map."""
        raise NotImplementedError


@dataclass(eq=False)
class Convolution(Operation):
    """f(conv(x; w scale) + shift + other); scale and shift in float64 are None for 1 and 0.

    layer: has the weight. kernel: the weight's shape as a convolution, (O, C / groups, KH, KW). linear: the kernel is
    as large as x, and the pixels of the sum are the images.
    """

    layer: Any = None
    kernel: tuple[int, ...] = ()
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: Any = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    other: Value | None = None
    linear: bool = False

    def reads(self) -> list[Value]:
        """x, and what is added."""
        return [self.x] if self.other is None else [self.x, self.other]

    def takes_functions(self) -> bool:
        """While it has none."""
        return self.plain()

    def takes_relu(self) -> bool:
        """While it has no function."""
        return self.plain()

    def takes_sums(self) -> bool:
        """One, of images."""
        return self.other is None and self.plain() and not self.linear

    def add(self, other: Value) -> None:
        """Add a value to the sums."""
        self.other = other

    def fold(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """y scale + shift in place of y."""
        self.shift = shift if self.shift is None else self.shift * scale + shift
        self.scale = scale if self.scale is None else self.scale * scale

    def halo(self) -> Halo:
        """The zeros that it reads around x."""
        (top, _), (left, _) = self.margins()
        _, h, w = self.x.shape
        _, oh, ow = self.y.shape
        kh, kw = self.kernel[2:]
        bottom = (oh - 1) * self.stride[0] - top + (kh - 1) * self.dilation[0] + 1 - h
        right = (ow - 1) * self.stride[1] - left + (kw - 1) * self.dilation[1] + 1 - w
        return top, max(bottom, 0), left, max(right, 0)

    def margins(self) -> Any:
        """The padding in front of and behind each axis."""
        _, _, kh, kw = self.kernel
        return checks.margins(self.padding, self.x.shape[1:], (kh, kw), self.stride, self.dilation)

    def taps(self) -> int:
        """Places of the kernel that one element of the result sums."""
        return self.kernel[2] * self.kernel[3]

    def inside(self) -> int:
        """Channels that it sums."""
        return self.kernel[1]

    def depthwise(self) -> bool:
        """Whether each channel has a kernel of its own, and one output."""
        return self.groups > 1 and self.x.shape[0] == self.groups == self.y.shape[0]

    def pointwise(self) -> bool:
        """Whether a pixel is made of the one at the same place."""
        plain = self.taps() == self.groups == 1 and self.stride == (1, 1) and not self.linear
        return plain and not np.any(self.margins())

    def direct(self) -> bool:
        """Whether its sums are taken as they stand, whatever its size: in no other form, of no other layout."""
        return self.groups == 1 and not self.linear and (self.pointwise() or self.stride != (1, 1))

    def packed(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Weight, scale and shift as a program takes them."""
        weight = self.layer.weight.data
        scale, shift = (None if a is None else np.ascontiguousarray(a, weight.dtype) for a in (self.scale, self.shift))
        return weight.reshape(self.kernel), scale, shift

    def takes_few_lanes(self) -> bool:
        """Whether x may stand with no more lanes than it has channels."""
        return self.groups == 1

    def emit(self, program: Any, maps: Any) -> None:
        """A convolution step, or one for depthwise kernels."""
        other = None if self.other is None else maps(self.other)
        where = self.stride, self.padding, self.dilation, self.groups
        ending = other, self.relu, self.function, self.linear
        self.algorithm = program.conv(maps(self.x), maps(self.y), *self.packed(), *where, *ending)


@dataclass(eq=False)
class TransposedConvolution(Convolution):
    """relu(transposed conv(x; w scale) + shift): a convolution of stride 1 for each phase of the result.

    kernel: (channels of x, those of y / groups, KH, KW).
    """

    def takes_functions(self) -> bool:
        """A relu alone: phases do not stand side by side."""
        return False

    def takes_sums(self) -> bool:
        """None."""
        return False

    def taps(self) -> int:
        """Of the phase that has most."""
        (kh, kw), (sh, sw) = self.kernel[2:], self.stride
        return -(-kh // sh) * -(-kw // sw)

    def inside(self) -> int:
        """Channels that it sums."""
        return self.kernel[0] // self.groups

    def axes(self) -> Axes:
        """The phases of rows and of columns."""
        _, h, w = self.y.shape
        (top, _), (left, _) = self.margins()
        axes = zip((h, w), self.kernel[2:], self.stride, (top, left), self.dilation)
        rows, columns = (phases(*axis) for axis in axes)
        return rows, columns

    def halo(self) -> Halo:
        """The zeros that the phases read around x."""
        return around(self.x, *self.axes())

    def emit(self, program: Any, maps: Any) -> None:
        """A step for each phase."""
        x, y, weights = maps(self.x), maps(self.y), self.packed()
        for part, *windows in each_phase(program, y, self.y.halo, self.axes(), self.stride):
            self.algorithm = program.conv_transposed(x, part, *weights, *windows, self.groups, self.relu)


@dataclass(eq=False)
class Affine(Operation):
    """f(x scale + shift), a number of each channel."""

    scale: np.ndarray = field(default_factory=lambda: np.zeros(0))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(0))
    dtype: Any = np.float32

    def takes_functions(self) -> bool:
        """While it has none."""
        return self.plain()

    def takes_relu(self) -> bool:
        """While it has no function."""
        return self.plain()

    def emit(self, program: Any, maps: Any) -> None:
        """An affine step."""
        scale, shift = self.scale.astype(self.dtype), self.shift.astype(self.dtype)
        program.affine(maps(self.x), maps(self.y), scale, shift, self.relu, self.function)


@dataclass(eq=False)
class Pooling(Operation):
    """way: "max", "avg" with the layer's window, or "bins" for means of parts of the image."""

    way: str = ""
    window: tuple[Any, ...] = ()

    def emit(self, program: Any, maps: Any) -> None:
        """A pooling step."""
        x, y = maps(self.x), maps(self.y)
        if self.way == "max":
            program.maxpool(x, y, *self.window)
        elif self.way == "avg":
            program.avgpool(x, y, *self.window)
        else:
            program.adaptive_avgpool(x, y)


@dataclass(eq=False)
class Element(Operation):
    """function(x)."""

    def emit(self, program: Any, maps: Any) -> None:
        """An elementwise step."""
        assert self.function is not None
        program.element(maps(self.x), maps(self.y), *self.function)


@dataclass(eq=False)
class Arithmetic(Operation):
    """x sign other, with relu behind."""

    sign: str = "+"
    other: Value | None = None

    def reads(self) -> list[Value]:
        """Both operands."""
        assert self.other is not None
        return [self.x, self.other]

    def takes_relu(self) -> bool:
        """One."""
        return self.plain()

    def emit(self, program: Any, maps: Any) -> None:
        """An arithmetic step."""
        program.arithmetic(maps(self.x), maps(self.other), maps(self.y), self.sign, self.relu)


@dataclass(eq=False)
class Channels(Operation):
    """y's channels out of those of several sources: parts lists (source, its channels), in order."""

    parts: list[tuple[Value, list[int]]] = field(default_factory=list)

    def reads(self) -> list[Value]:
        """The sources."""
        return [source for source, _ in self.parts]

    def emit(self, program: Any, maps: Any) -> None:
        """A step for each source."""
        to = 0
        for source, channels in self.parts:
            program.channels(maps(source), maps(self.y), channels, to)
            to += len(channels)


@dataclass(eq=False)
class Squash(Operation):
    """The capsules of maps, squashed: (types H W, 1, D) of (types D, H, W)."""

    def emit(self, program: Any, maps: Any) -> None:
        """One step."""
        program.squash(maps(self.x), maps(self.y))


@dataclass(eq=False)
class Routing(Operation):
    """Capsules (J, 1, E) of capsules (I, 1, D), by agreement, with the layer's weight."""

    layer: Any = None
    kept: list[Value] = field(init=False)
    """Votes, sums and couplings, which the way back reads, too."""

    def __post_init__(self) -> None:
        (j, _, e), i, routings = self.y.shape, self.x.shape[0], self.layer.routings
        from minidl._ext.program import routing_rows

        shapes = (i, j, e), (j, routing_rows(i, routings), e), (i, 2 * routings, j)
        self.kept = [Value(shape) for shape in shapes]

    def writes(self) -> list[Value]:
        """y, and what it was made by."""
        return [self.y, *self.kept]

    def given(self, maps: Any) -> tuple[Any, ...]:
        """What a program takes."""
        return *(maps(value) for value in (self.x, self.y, *self.kept)), self.layer.weight.data, self.layer.routings

    def emit(self, program: Any, maps: Any) -> None:
        """One step, whose weights are packed."""
        program.routing(*self.given(maps))


@dataclass(eq=False)
class Lengths(Operation):
    """(J, 1, 1) of capsules (J, 1, E)."""

    def emit(self, program: Any, maps: Any) -> None:
        """One step."""
        program.lengths(maps(self.x), maps(self.y))


@dataclass(eq=False)
class Enter(Operation):
    """y, which is x, too, out of the images that come in.

    dtype: of the images. scale, shift: a number of each channel, or None.
    """

    dtype: Any = np.float32
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None

    def reads(self) -> list[Value]:
        """Nothing."""
        return []

    def emit(self, program: Any, maps: Any) -> None:
        """An entering step."""
        program.enter(maps(self.y), self.dtype, self.scale, self.shift)


@dataclass(eq=False)
class Leave(Operation):
    """The scores that go out, in this shape of an image; y is x."""

    shape: tuple[int, ...] = ()

    def emit(self, program: Any, maps: Any) -> None:
        """A leaving step."""
        program.leave(maps(self.x), self.shape)
