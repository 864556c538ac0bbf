"""The table of awkward shapes: what every backend must compute like the reference.

Batches of 0, 1, LANES - 1, LANES and LANES + 1 images for 4, 8 and 16 lanes; H != W, KH != KW, strides that do not
divide, dilation, groups, depthwise, overlap, padding larger than needed, maps of 1x1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels import contract
from minidl.kernels.contract import Padding

Pair = tuple[int, int]

BATCHES = (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17)
FLOATS = (np.float32, np.float64)


class Conv(NamedTuple):
    name: str
    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    @property
    def window(self) -> tuple[Pair, Padding, Pair, int]:
        return self.stride, self.padding, self.dilation, self.groups


class Transposed(NamedTuple):
    """A transposed convolution: w (C, O/G, KH, KW)."""

    name: str
    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    @property
    def window(self) -> tuple[Pair, Padding, Pair, Pair, int]:
        return self.stride, self.padding, self.output_padding, self.dilation, self.groups

    @property
    def out_channels(self) -> int:
        return self.w[1] * self.groups


class Pool(NamedTuple):
    name: str
    x: tuple[int, int, int, int]
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True

    @property
    def max(self) -> tuple[Any, ...]:
        """What max pooling takes."""
        return self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode

    @property
    def mean(self) -> tuple[Any, ...]:
        """What average pooling takes, which has no dilation."""
        return self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad


class Linear(NamedTuple):
    name: str
    n: int
    f: int
    o: int
    bias: bool = True


class Activation(NamedTuple):
    """An activation with its settings: all that the tests of activations need to know of it."""

    operation: str
    formula: Callable[..., float]
    settings: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return " ".join(map(str, (self.operation, *self.settings)))

    def forward(self, functions: Any, x: Any) -> Any:
        """y of `functions`, a backend or minidl.functional."""
        return getattr(functions, f"{self.operation}_forward")(x, *self.settings)

    def backward(self, functions: Any, dy: Any, x: Any, y: Any) -> Any:
        """dx, from x or y as the contract has it."""
        backward = f"{self.operation}_backward"
        of = x if "x" in signature(getattr(contract.Backend, backward)).parameters else y
        return getattr(functions, backward)(dy, of, *self.settings)


def label(case: Conv | Transposed | Pool | Linear | Activation) -> str:
    return case.name


CONVS = (
    *(Conv(f"n{n}", (n, 2, 5, 4), (3, 2, 3, 3), padding=(1, 1)) for n in BATCHES),
    Conv("seed-first", (2, 1, 9, 8), (8, 1, 3, 3), padding=(1, 1)),
    Conv("many-channels", (3, 13, 5, 6), (17, 13, 3, 3), padding=(1, 1)),
    Conv("no-bias", (3, 4, 6, 5), (5, 4, 3, 3), padding=(1, 1), bias=False),
    Conv("no-padding", (5, 3, 7, 6), (4, 3, 3, 3)),
    Conv("1x1", (5, 6, 4, 3), (7, 6, 1, 1)),
    Conv("1x1-strided", (3, 5, 7, 8), (6, 5, 1, 1), stride=(2, 2)),
    Conv("1x1-padded", (2, 3, 4, 5), (4, 3, 1, 1), padding=(1, 2)),
    Conv("5x5", (3, 2, 9, 8), (3, 2, 5, 5), padding=(2, 2)),
    Conv("5x5-many-channels", (3, 6, 9, 8), (7, 6, 5, 5), padding=(2, 2)),
    Conv("padded-far", (2, 6, 5, 4), (7, 6, 3, 5), stride=(1, 2), padding=(5, 7)),
    Conv("7x7-strided", (2, 3, 15, 14), (4, 3, 7, 7), stride=(2, 2), padding=(3, 3)),
    Conv("wide-image", (2, 2, 3, 37), (3, 2, 3, 3), padding=(1, 1)),
    Conv("tall-image", (2, 2, 37, 3), (3, 2, 3, 3), padding=(1, 1)),
    Conv("row-kernel", (3, 2, 6, 9), (3, 2, 1, 5), padding=(0, 2)),
    Conv("column-kernel", (3, 2, 9, 6), (3, 2, 4, 1), padding=(1, 0)),
    Conv("even-kernel", (3, 2, 7, 6), (3, 2, 2, 4), padding=(1, 2)),
    Conv("stride-leaves-rest", (3, 3, 8, 9), (4, 3, 3, 3), stride=(3, 2), padding=(0, 1)),
    Conv("stride-over-kernel", (3, 2, 11, 10), (3, 2, 2, 2), stride=(4, 3)),
    Conv("dilated", (3, 2, 10, 9), (3, 2, 3, 3), padding=(2, 2), dilation=(2, 2)),
    Conv("dilated-strided", (2, 2, 13, 12), (3, 2, 3, 2), stride=(2, 3), padding=(1, 3), dilation=(3, 2)),
    Conv("groups", (3, 6, 6, 5), (9, 2, 3, 3), padding=(1, 1), groups=3),
    Conv("groups-strided-dilated", (2, 4, 9, 8), (6, 2, 3, 2), (2, 1), (2, 1), (2, 3), 2),
    Conv("depthwise", (5, 7, 6, 5), (7, 1, 3, 3), padding=(1, 1), groups=7),
    Conv("depthwise-wide", (17, 3, 7, 29), (3, 1, 3, 3), padding=(1, 1), groups=3),
    Conv("depthwise-5x5-strided", (2, 4, 13, 11), (4, 1, 5, 5), stride=(2, 1), padding=(2, 2), groups=4),
    Conv("depthwise-dilated", (2, 3, 9, 10), (3, 1, 3, 3), padding=(2, 3), dilation=(1, 2), groups=3),
    Conv("depthwise-padded-far", (2, 3, 4, 5), (3, 1, 3, 2), padding=(5, 4), groups=3),
    Conv("depthwise-multiplied", (2, 3, 7, 6), (6, 1, 3, 3), stride=(2, 2), padding=(1, 1), groups=3),
    Conv("padding-larger-than-kernel", (3, 2, 4, 3), (3, 2, 3, 2), padding=(5, 4)),
    Conv("padding-strided", (3, 2, 5, 4), (3, 2, 3, 3), stride=(3, 4), padding=(4, 5)),
    Conv("1x1-map", (9, 5, 1, 1), (4, 5, 1, 1)),
    Conv("1x1-map-3x3", (3, 4, 1, 1), (5, 4, 3, 3), padding=(1, 1)),
    Conv("whole-image", (5, 3, 4, 6), (6, 3, 4, 6)),
    Conv("one-pixel-output", (3, 2, 5, 5), (3, 2, 3, 3), stride=(9, 9)),
    Conv("one-channel-out", (3, 5, 6, 7), (1, 5, 3, 3), padding=(1, 1)),
    Conv("1-d", (4, 3, 1, 12), (5, 3, 1, 3), padding=(0, 1)),
    Conv("four-sides", (5, 2, 7, 8), (3, 2, 3, 3), padding=((0, 1), (2, 0))),
    Conv("four-sides-far", (3, 4, 5, 4), (5, 4, 3, 3), padding=((5, 0), (1, 6))),
    Conv("four-sides-strided", (3, 5, 8, 7), (4, 5, 3, 3), stride=(2, 2), padding=((0, 1), (0, 1))),
    Conv("four-sides-behind", (2, 3, 4, 5), (4, 3, 2, 3), stride=(2, 3), padding=((0, 4), (1, 7))),
    Conv("four-sides-dilated", (2, 4, 7, 9), (6, 2, 3, 3), (2, 1), ((3, 1), (0, 4)), (2, 2), 2),
    Conv("four-sides-depthwise", (5, 7, 6, 5), (7, 1, 3, 3), padding=((0, 2), (1, 3)), groups=7),
    Conv("four-sides-depthwise-strided", (2, 4, 12, 11), (4, 1, 5, 5), (2, 2), ((1, 2), (2, 1)), groups=4),
    Conv("four-sides-5x5", (3, 6, 9, 8), (7, 6, 5, 5), padding=((1, 3), (4, 0))),
    Conv("four-sides-row", (3, 17, 6, 9), (18, 17, 1, 3), padding=((0, 0), (2, 1))),
    Conv("four-sides-whole-image", (5, 3, 4, 6), (6, 3, 4, 6), stride=(9, 9), padding=((0, 2), (0, 3))),
    Conv("same-even-kernel", (3, 2, 7, 6), (3, 2, 2, 4), padding=((0, 1), (1, 2))),
    Conv("same-strided", (3, 3, 8, 9), (4, 3, 3, 3), stride=(2, 2), padding="same"),
    Conv("same-lower-strided", (3, 3, 8, 9), (4, 3, 3, 2), stride=(2, 3), padding="same_lower"),
    Conv("same-stride-over-kernel", (3, 3, 8, 9), (4, 3, 1, 2), stride=(3, 5), padding="same"),
)

TRANSPOSED = (
    *(Transposed(f"n{n}", (n, 2, 3, 4), (2, 3, 2, 2), stride=(2, 2)) for n in BATCHES),
    Transposed("3x3", (5, 4, 5, 6), (4, 7, 3, 3), padding=(1, 1)),
    Transposed("many-channels", (17, 24, 6, 5), (24, 20, 3, 3), padding=(1, 1)),
    Transposed("no-bias", (3, 4, 5, 4), (4, 5, 3, 3), bias=False),
    Transposed("overlap", (3, 5, 4, 5), (5, 4, 4, 4), stride=(2, 2), padding=(1, 1)),
    Transposed("output-padding", (3, 3, 4, 5), (3, 4, 3, 3), (2, 2), (1, 1), (1, 1)),
    Transposed("output-padding-of-one-axis", (3, 3, 4, 3), (3, 2, 3, 2), (3, 2), (0, 1), (2, 0)),
    Transposed("output-padding-below-dilation", (3, 2, 4, 5), (2, 3, 3, 2), (1, 2), (1, 0), (1, 2), (2, 3)),
    Transposed("stride-over-kernel", (3, 2, 4, 3), (2, 3, 2, 1), (4, 3)),
    Transposed("stride-over-kernel-padded", (3, 2, 4, 3), (2, 3, 2, 1), (4, 3), (1, 0), (3, 2)),
    Transposed("dilated", (3, 3, 5, 4), (3, 4, 3, 2), (2, 1), (1, 2), dilation=(2, 3)),
    Transposed("four-sides", (5, 4, 4, 5), (4, 6, 3, 3), (2, 2), ((0, 2), (1, 0))),
    Transposed("four-sides-stride-1", (5, 4, 4, 5), (4, 6, 3, 3), padding=((2, 0), (1, 3))),
    Transposed("padding-over-kernel", (3, 2, 7, 6), (2, 3, 2, 3), (2, 3), (3, 4)),
    Transposed("groups", (3, 6, 4, 3), (6, 2, 3, 3), (2, 2), (1, 1), groups=3),
    Transposed("depthwise", (5, 7, 4, 5), (7, 1, 4, 4), (2, 2), (1, 1), groups=7),
    Transposed("depthwise-stride-1", (5, 7, 4, 5), (7, 1, 3, 3), padding=(1, 1), groups=7),
    Transposed("1x1", (5, 6, 4, 3), (6, 7, 1, 1)),
    Transposed("1x1-strided", (5, 3, 4, 3), (3, 4, 1, 1), (2, 3), output_padding=(1, 2)),
    Transposed("1x1-map", (9, 5, 1, 1), (5, 6, 4, 3)),
    Transposed("1x1-map-far-stride", (9, 5, 1, 1), (5, 6, 2, 3), (7, 5), output_padding=(6, 3)),
    Transposed("one-channel-out", (3, 5, 4, 5), (5, 1, 3, 3), (2, 1), (1, 1)),
)

POOLS = (
    *(Pool(f"n{n}", (n, 3, 6, 4), (2, 2), (2, 2)) for n in BATCHES),
    Pool("odd-size", (5, 2, 7, 9), (2, 2), (2, 2)),
    Pool("overlap", (3, 2, 9, 8), (3, 3), (2, 2)),
    Pool("overlap-padded", (3, 2, 8, 7), (3, 3), (2, 2), (1, 1)),
    Pool("overlap-stride-1", (2, 3, 5, 6), (3, 2), (1, 1)),
    Pool("h-not-w", (3, 2, 8, 9), (2, 3), (3, 1), (1, 0)),
    Pool("stride-over-kernel", (3, 2, 9, 11), (2, 2), (4, 5)),
    Pool("half-padding", (3, 2, 5, 4), (4, 2), (1, 3), (2, 1)),
    Pool("whole-map", (9, 4, 7, 7), (7, 7), (7, 7)),
    Pool("1x1", (3, 4, 3, 5), (1, 1), (1, 1)),
    Pool("1x1-map", (17, 5, 1, 1), (1, 1), (1, 1)),
    Pool("1x1-map-padded", (3, 2, 1, 1), (2, 2), (1, 1), (1, 1)),
    Pool("3x3-seed", (2, 1, 12, 12), (3, 3), (3, 3)),
    Pool("four-sides", (5, 3, 7, 6), (3, 3), (2, 2), ((0, 1), (2, 0))),
    Pool("2x2-behind", (3, 2, 5, 7), (2, 2), (2, 2), ((0, 1), (0, 1))),
    Pool("2x2-ceil", (17, 3, 5, 7), (2, 2), (2, 2), ceil_mode=True),
    Pool("2x2-ceil-even", (3, 3, 6, 8), (2, 2), (2, 2), ceil_mode=True, count_include_pad=False),
    Pool("ceil-padded", (5, 2, 7, 8), (3, 3), (2, 2), (1, 1), ceil_mode=True),
    Pool("ceil-image-only", (5, 2, 7, 8), (3, 3), (2, 3), (1, 1), ceil_mode=True, count_include_pad=False),
    Pool("ceil-drops-a-window", (3, 2, 4, 5), (1, 2), (3, 4), (0, 1), ceil_mode=True),
    Pool("ceil-four-sides", (3, 2, 6, 5), (3, 4), (2, 3), ((1, 0), (0, 3)), ceil_mode=True),
    Pool("image-only", (3, 2, 6, 5), (3, 2), (1, 2), (1, 1), count_include_pad=False),
    Pool("dilated", (3, 2, 9, 8), (3, 2), (1, 2), (1, 0), dilation=(2, 3)),
    Pool("dilated-padded", (9, 2, 5, 4), (2, 3), (2, 1), (1, 2), dilation=(3, 2), ceil_mode=True),
    Pool("dilated-past-the-image", (3, 2, 3, 2), (3, 3), (1, 1), (2, 2), dilation=(2, 2)),
    Pool("same-strided", (3, 2, 6, 7), (3, 2), (2, 3), "same"),
    Pool("same-lower-strided", (3, 2, 6, 7), (2, 4), (2, 3), "same_lower", count_include_pad=False),
)

LINEARS = (
    *(Linear(f"n{n}", n, 6, 5) for n in BATCHES),
    Linear("no-bias", 5, 7, 3, bias=False),
    Linear("one-feature", 3, 1, 4),
    Linear("one-output", 9, 11, 1),
    Linear("one-of-each", 1, 1, 1),
    Linear("long", 3, 257, 33),
    Linear("wide", 17, 19, 65),
)

ACTIVATIONS = (
    Activation("relu", lambda x: max(x, 0.0)),
    Activation("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
    Activation("tanh", math.tanh),
    Activation("leaky_relu", lambda x, slope: x if x > 0 else slope * x, (0.01,)),
    Activation("leaky_relu", lambda x, slope: x if x > 0 else slope * x, (1.0,)),
    Activation("leaky_relu", lambda x, slope: x if x > 0 else slope * x, (0.25,)),
    Activation("elu", lambda x, alpha: x if x > 0 else alpha * math.expm1(x), (1.0,)),
    Activation("elu", lambda x, alpha: x if x > 0 else alpha * math.expm1(x), (0.3,)),
    Activation("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    Activation("softplus", lambda x: math.log1p(math.exp(x)) if x < 30 else x),
)
"""One row each; the first of an operation has the settings that `minidl.functional` takes by default."""

SELU = 1.6732632423543772, 1.0507009873554805
ELEMENTWISE = (
    ("clip", -1.5, 2.0),
    ("clip", -math.inf, math.inf),
    ("hard_tanh", 0.0, 6.0),
    ("hard_sigmoid", 1 / 6, 0.5),
    ("hard_sigmoid", 0.2, 0.4),
    ("selu", *SELU),
    *((kind, 0.0, 0.0) for kind in ("hard_swish", "silu", "mish", "gelu_tanh", "softsign", "exp", "log", "sqrt")),
    *((kind, 0.0, 0.0) for kind in ("erf", "abs", "neg", "reciprocal")),
    *(("pow", exponent, 0.0) for exponent in (2.0, 0.5, -0.5, 3.0, -3.0, -1.5, 1.0, 0.0, 2.3, 17.0)),
)
"""(kind, a, b): every kind of `elementwise_forward`."""

SHAPES = (
    *((n, 3, 2, 5) for n in BATCHES),
    *((n, 7) for n in BATCHES),
    (3, 1, 1, 1),
    (2, 33, 3, 1),
)
"""For the operations without windows."""


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: type, whole: bool = False) -> np.ndarray:
    """Normal numbers; or, whole, small integers, whose sums are exact in float32 and which are full of ties."""
    values = rng.integers(-3, 4, shape) if whole else rng.standard_normal(shape)
    return values.astype(dtype)
