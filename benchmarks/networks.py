"""Whole networks to measure, described without any library: every library builds its own model from the same list of
layers.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Conv:
    """A convolution, C to O channels, square kernel."""

    channels: int
    out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True
    groups: int = 1


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over channels."""

    channels: int


@dataclass(frozen=True)
class Linear:
    """Features to out."""

    features: int
    out: int


@dataclass(frozen=True)
class Pool:
    """ "max" or "avg" pooling over size x size windows that do not overlap."""

    kind: str
    size: int = 2


@dataclass(frozen=True)
class Relu:
    """max(x, 0)"""


@dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) to (N, C*H*W)."""


@dataclass(frozen=True)
class GlobalAvgPool:
    """(N, C, H, W) to (N, C), the mean over each map."""


@dataclass(frozen=True)
class Residual:
    """body(x) + shortcut(x), or + x without a shortcut."""

    body: tuple[Spec, ...]
    shortcut: tuple[Spec, ...] = ()


@dataclass(frozen=True)
class Known:
    """A network of `minidl.networks` but for its Dropout, which no two libraries draw alike; libraries translate it.

    name: of its function. options: names and values of its arguments.
    """

    name: str
    options: tuple[tuple[str, object], ...] = ()

    def build(self) -> Any:
        """As one minidl layer."""
        import minidl

        function = getattr(importlib.import_module("minidl.networks"), self.name)
        layers = function(rng=_Zeros(np.random.PCG64(0)), **dict(self.options)).layers
        return minidl.Sequential(*(layer for layer in layers if not isinstance(layer, minidl.Dropout)))


class _Zeros(np.random.Generator):
    """Draws nothing: the common weights come later, and AlexNet's 61 million take seconds."""

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return np.zeros(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return np.zeros(size)


Spec = Conv | BatchNorm | Linear | Pool | Relu | Flatten | GlobalAvgPool | Residual | Known


@dataclass(frozen=True)
class Network:
    """name: for tables. key: for the command line. input: (C, H, W). layers: in order. batch: of one training step."""

    name: str
    key: str
    input: tuple[int, int, int]
    layers: tuple[Spec, ...]
    batch: int
    classes: int = 10

    def parameters(self) -> list[np.ndarray]:
        """Float32 weights, biases, gammas and betas in order of the layers, the same in every process."""
        rng = np.random.default_rng(231)
        arrays = []
        for kind, shape in _shapes(self.layers):
            if kind == "weight":
                arrays.append(rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5))
            else:
                centre = 1.0 if kind == "gamma" else 0.0
                arrays.append(rng.uniform(centre - 0.1, centre + 0.1, shape).astype(np.float32))
        return arrays

    def batch_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """n float32 images in [0, 1) and n intp labels, the same in every process."""
        rng = np.random.default_rng(n)
        return rng.random((n, *self.input), np.float32), rng.integers(0, self.classes, n).astype(np.intp)

    def images_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """n uint8 images and n intp labels: a data set for an epoch, the same in every process."""
        rng = np.random.default_rng(n)
        images = rng.integers(0, 256, (n, *self.input), np.uint8)
        return images, rng.integers(0, self.classes, n).astype(np.intp)

    def flops(self, n: int, train: bool) -> int:
        """Floating point operations of the convolutions and Linear layers for n images: forward, or a whole training
        step (forward, weight gradients, and input gradients of all but the first layer)."""
        each = _counts(self.layers, self.input)
        return n * (3 * sum(each) - each[0] if train else sum(each))


def _parameter_shapes(layers: tuple[Spec, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """("weight", "bias", "gamma" or "beta", shape) of every parameter in order."""
    for layer in layers:
        if isinstance(layer, Conv):
            yield "weight", (layer.out, layer.channels // layer.groups, layer.kernel, layer.kernel)
            if layer.bias:
                yield "bias", (layer.out,)
        elif isinstance(layer, Linear):
            yield "weight", (layer.out, layer.features)
            yield "bias", (layer.out,)
        elif isinstance(layer, BatchNorm):
            yield "gamma", (layer.channels,)
            yield "beta", (layer.channels,)
        elif isinstance(layer, Residual):
            yield from _parameter_shapes(layer.body + layer.shortcut)
        elif isinstance(layer, Known):
            for name, parameter in layer.build().named_parameters().items():
                yield name.rpartition(".")[2], parameter.data.shape


@functools.cache
def _shapes(layers: tuple[Spec, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(_parameter_shapes(layers))


@functools.cache
def _counts(layers: tuple[Spec, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_layer_flops(layers, shape))


def _layer_flops(layers: tuple[Spec, ...], shape: tuple[int, ...]) -> Iterator[int]:
    """Forward operations an image of every convolution and Linear layer in order."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _layer_flops(layer.body, shape)
            yield from _layer_flops(layer.shortcut, shape)
        elif isinstance(layer, Linear):
            yield 2 * layer.features * layer.out
        elif isinstance(layer, Known):
            from minidl.layers import walk

            whole = layer.build()
            first = next(part for part in walk.walk(whole) if hasattr(part, "kernel_size")).multiply_adds(shape)
            yield from (2 * first, 2 * (whole.multiply_adds(shape) - first))
        shape = output_shape(layer, shape)
        if isinstance(layer, Conv):
            yield 2 * int(np.prod(shape)) * layer.channels // layer.groups * layer.kernel**2


def output_shape(layer: Spec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one image after a layer."""
    if isinstance(layer, Conv):
        return layer.out, *((size + 2 * layer.padding - layer.kernel) // layer.stride + 1 for size in shape[1:])
    if isinstance(layer, Pool):
        return shape[0], *(size // layer.size for size in shape[1:])
    if isinstance(layer, Linear):
        return (layer.out,)
    if isinstance(layer, Flatten):
        return (int(np.prod(shape)),)
    if isinstance(layer, GlobalAvgPool):
        return shape[:1]
    if isinstance(layer, Known):
        return tuple(layer.build().output_shape(shape))
    if isinstance(layer, Residual):
        for inner in layer.body:
            shape = output_shape(inner, shape)
    return shape


def chain(depth: int, channels: int = 32) -> tuple[Spec, ...]:
    """A 3x3 convolution to `channels`, `depth` more of them with as many in and out, Relus, a mean and a classifier."""
    layers: list[Spec] = [Conv(3, channels, 3, padding=1), Relu()]
    for _ in range(depth):
        layers += [Conv(channels, channels, 3, padding=1), Relu()]
    return (*layers, GlobalAvgPool(), Linear(channels, 10))


def norm_conv(channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> tuple[Spec, ...]:
    """A convolution that keeps the size, stride aside, and a normalisation."""
    return Conv(channels, out, kernel, stride, kernel // 2, bias=False, groups=groups), BatchNorm(out)


def residual(channels: int, out: int, stride: int, body: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """A residual block; its shortcut has a 1x1 convolution where the shape changes."""
    shortcut = () if stride == 1 and channels == out else norm_conv(channels, out, 1, stride)
    return Residual(body, shortcut), Relu()


def basic(channels: int, out: int, stride: int = 1) -> tuple[Spec, ...]:
    """A residual block of two 3x3 convolutions."""
    return residual(channels, out, stride, (*norm_conv(channels, out, 3, stride), Relu(), *norm_conv(out, out)))


def _vgg(*widths: int) -> tuple[Spec, ...]:
    layers: list[Spec] = []
    for i, (channels, out) in enumerate(zip((3, *widths), widths)):
        layers += [*norm_conv(channels, out), Relu()]
        if i % 2:
            layers.append(Pool("max"))
    return (*layers, Flatten(), Linear(widths[-1] * 16, 10))


def _seed() -> tuple[Spec, ...]:
    convs = Conv(1, 8, 3, padding=1), Relu(), Pool("avg"), Conv(8, 16, 3, padding=1), Relu(), Pool("avg")
    return (*convs, Flatten(), Linear(784, 256), Relu(), Linear(256, 10))


def _lenet() -> tuple[Spec, ...]:
    convs = Conv(1, 6, 5, padding=2), Relu(), Pool("max"), Conv(6, 16, 5), Relu(), Pool("max")
    return (*convs, Flatten(), Linear(400, 120), Relu(), Linear(120, 84), Relu(), Linear(84, 10))


def _three_layer() -> tuple[Spec, ...]:
    return Conv(3, 32, 7, padding=3), Relu(), Pool("max"), Flatten(), Linear(8192, 500), Relu(), Linear(500, 10)


def _resnet() -> tuple[Spec, ...]:
    stem = *norm_conv(3, 16), Relu()
    return (*stem, *basic(16, 16), *basic(16, 32, 2), *basic(32, 64, 2), GlobalAvgPool(), Linear(64, 10))


SEED = Network("seed network", "seed", (1, 28, 28), _seed(), 100)
LENET = Network("LeNet", "lenet", (1, 28, 28), _lenet(), 100)
MLP = Network("MLP 784-512-10", "mlp", (1, 28, 28), (Flatten(), Linear(784, 512), Relu(), Linear(512, 10)), 64)
THREE_LAYER = Network("three-layer ConvNet", "threelayer", (3, 32, 32), _three_layer(), 64)
VGG = Network("VGG-like, BatchNorm", "vgg", (3, 32, 32), _vgg(32, 32, 64, 64, 128, 128), 64)
RESNET = Network("small residual", "resnet", (3, 32, 32), _resnet(), 64)

NETWORKS = (SEED, LENET, MLP, THREE_LAYER, VGG, RESNET)
"""LeNet here has Relu and max pooling. The three-layer ConvNet is CS231n's: 32 7x7 filters, 500 hidden units."""
