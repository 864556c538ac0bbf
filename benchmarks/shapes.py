"""Single operations to measure, by name: the CS231n comparison, the example networks' layers, and layers of larger
networks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Operation:
    """One operation with its sizes, and the arrays to run it on.

    name: what tables call it. kind: conv2d, linear, maxpool2d, avgpool2d, batchnorm or relu. x: the input's shape,
    (N, C, H, W) or (N, F). out: output channels or features. kernel, stride, padding: as in the layers, square. groups:
    of a convolution. first: a network's first layer, so nobody needs its dx. lasting: arrays stay in the library's own
    layout between operations, as inside a network; otherwise the call takes and gives plain NCHW arrays and pays for
    every conversion.
    """

    name: str
    kind: str
    x: tuple[int, ...]
    out: int = 0
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    first: bool = False
    lasting: bool = True

    @property
    def y(self) -> tuple[int, ...]:
        """The output's shape."""
        if self.kind == "linear":
            return self.x[0], self.out
        if self.kind in ("batchnorm", "relu"):
            return self.x
        n, c, h, w = self.x
        oh, ow = ((size + 2 * self.padding - self.kernel) // self.stride + 1 for size in (h, w))
        return n, self.out if self.kind == "conv2d" else c, oh, ow

    @property
    def w(self) -> tuple[int, ...] | None:
        """The weights' shape; None for an operation without weights."""
        if self.kind == "conv2d":
            return self.out, self.x[1] // self.groups, self.kernel, self.kernel
        return (self.out, self.x[1]) if self.kind == "linear" else None

    def flops(self, measure: str) -> int | None:
        """Floating point operations of "forward" or "backward" by the direct count; None where only memory is moved."""
        if self.w is None:
            return None
        forward = 2 * int(np.prod(self.y)) * int(np.prod(self.w[1:]))
        return forward if measure == "forward" or self.first else 2 * forward

    def arrays(self) -> Arrays:
        """Float32 arrays x, dy and, where the operation has them, w, b or gamma, beta; the same in every process."""
        rng = np.random.default_rng(zlib.crc32(repr(self).encode()))
        arrays = {"x": rng.standard_normal(self.x, np.float32), "dy": rng.standard_normal(self.y, np.float32)}
        if self.w is not None:
            fan_in = int(np.prod(self.w[1:]))
            arrays["w"] = rng.standard_normal(self.w, np.float32) * np.float32(fan_in**-0.5)
            arrays["b"] = rng.standard_normal(self.out, np.float32)
        if self.kind == "batchnorm":
            arrays["gamma"] = rng.uniform(0.5, 1.5, self.x[1]).astype(np.float32)
            arrays["beta"] = rng.standard_normal(self.x[1], np.float32)
        return arrays


def conv(
    n: int,
    c: int,
    size: int,
    out: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    first: bool = False,
    padding: int | None = None,
) -> Operation:
    """A convolution on a square input in a lasting layout, "same" padding unless told, named after its sizes."""
    name = (
        f"{n},{c},{size},{out},{kernel}" + (f" s{stride}" if stride > 1 else "") + (f" g{groups}" if groups > 1 else "")
    )
    padding = kernel // 2 if padding is None else padding
    return Operation(name, "conv2d", (n, c, size, size), out, kernel, stride, padding, groups, first)


CS231N = Operation("CS231n 100,3,31,25,3 s2", "conv2d", (100, 3, 31, 31), 25, 3, 2, 1, lasting=False)
"""The comparison of CS231n's assignment 2, fast layers against naive ones."""

KERNELS = (
    CS231N,
    Operation("CS231n max pool 100,3,32 k2 s2", "maxpool2d", (100, 3, 32, 32), kernel=2, stride=2, lasting=False),
    Operation("seed conv1 100,1,28,8,3", "conv2d", (100, 1, 28, 28), 8, 3, padding=1, lasting=False),
    Operation("seed avg pool 100,8,28 k2 s2", "avgpool2d", (100, 8, 28, 28), kernel=2, stride=2, lasting=False),
    Operation("seed conv2 100,8,14,16,3", "conv2d", (100, 8, 14, 14), 16, 3, padding=1, lasting=False),
    Operation("seed linear1 100,784,256", "linear", (100, 784), 256, lasting=False),
    Operation("seed linear2 100,256,10", "linear", (100, 256), 10, lasting=False),
    Operation("seed relu 100,8,28", "relu", (100, 8, 28, 28), lasting=False),
    Operation("batchnorm 100,16,14", "batchnorm", (100, 16, 14, 14), lasting=False),
)
"""Small operations on plain NCHW arrays, small enough for the naive backend."""

LAYERS = (
    conv(100, 1, 28, 8, 3, first=True),
    conv(100, 8, 14, 16, 3),
    conv(100, 3, 32, 32, 3, first=True),
    conv(64, 32, 32, 32, 3),
    conv(64, 64, 32, 64, 3),
    conv(64, 128, 16, 128, 3),
    conv(64, 256, 8, 256, 3),
    conv(32, 64, 56, 64, 3),
    conv(64, 64, 32, 128, 3, stride=2),
    conv(64, 128, 16, 128, 1),
    conv(64, 64, 32, 256, 1),
    conv(64, 32, 16, 64, 5),
    conv(100, 6, 14, 16, 5, padding=0),
    conv(64, 3, 32, 32, 7, first=True),
    conv(32, 16, 56, 32, 7, stride=2),
    conv(64, 64, 32, 64, 3, groups=64),
    conv(1, 3, 112, 32, 7, stride=2, first=True),
    conv(1, 3, 112, 64, 11, stride=4, first=True),
    conv(1, 16, 112, 16, 3),
    conv(1, 32, 56, 32, 3),
    conv(1, 64, 56, 128, 3, stride=2),
    conv(1, 128, 28, 128, 3),
    conv(1, 256, 14, 512, 1),
    conv(1, 512, 7, 512, 3),
    conv(1, 512, 4, 512, 3),
    conv(1, 64, 28, 64, 5),
    conv(1, 144, 56, 144, 3, groups=144),
    conv(1, 512, 7, 512, 3, groups=512),
    conv(1, 256, 14, 256, 3, groups=32),
    conv(2, 64, 28, 64, 7),
    conv(2, 48, 27, 128, 5, groups=2),
    conv(2, 16, 112, 32, 3, stride=2),
    conv(4, 192, 13, 384, 3),
    conv(4, 128, 28, 128, 3, groups=32),
    conv(4, 24, 56, 144, 1),
    conv(4, 32, 112, 32, 3, stride=2, groups=32),
    conv(8, 3, 112, 96, 11, stride=4, first=True),
    conv(8, 256, 14, 256, 3),
    conv(8, 64, 56, 256, 1),
    conv(8, 16, 56, 16, 9),
    conv(8, 96, 28, 96, 7, groups=96),
    conv(16, 128, 28, 256, 1, stride=2),
    conv(16, 256, 7, 256, 3, groups=4),
    conv(16, 32, 32, 64, 3, stride=4),
    conv(16, 12, 24, 20, 11),
    conv(32, 96, 14, 192, 3, groups=2),
    conv(32, 512, 4, 512, 3),
    conv(32, 256, 14, 64, 1),
    conv(32, 192, 14, 192, 5, groups=192),
    conv(64, 1, 28, 32, 3),
    conv(64, 2, 28, 4, 3),
    conv(64, 64, 14, 64, 3, groups=4),
    conv(64, 512, 4, 512, 1),
    conv(128, 16, 28, 16, 3),
    conv(128, 8, 14, 8, 1),
    conv(128, 32, 8, 64, 3, stride=2),
    conv(128, 128, 4, 256, 3),
    conv(128, 64, 16, 64, 3, groups=32),
    conv(128, 64, 16, 64, 11, stride=4),
)
"""Convolutions as layers in a network: 1 to 128 images, 1 to 512 channels, 4 to 112 pixels, 1x1 to 11x11, strides of
1, 2 and 4, groups, depthwise ones. The first ones are layers of small networks, the others by number of images."""

ELEMENTWISE = (
    Operation("batchnorm 64,32,32", "batchnorm", (64, 32, 32, 32)),
    Operation("relu 64,32,32", "relu", (64, 32, 32, 32)),
    Operation("max pool 64,32,32 k2 s2", "maxpool2d", (64, 32, 32, 32), kernel=2, stride=2),
    Operation("avg pool 64,32,32 k2 s2", "avgpool2d", (64, 32, 32, 32), kernel=2, stride=2),
    Operation("linear 64,2048,500", "linear", (64, 2048), 500),
    Operation("linear 128,784,512", "linear", (128, 784), 512),
)
"""What stands between the convolutions, in a lasting layout too."""

CHANNELS = tuple(conv(64, c, 16, c, 3) for c in (1, 2, 4, 8, 16, 32, 64, 128, 256))
"""One convolution at growing width, for the picture of speed against channels."""

QUICK_LAYERS = (LAYERS[0], LAYERS[1], conv(16, 32, 16, 32, 3))
QUICK_CHANNELS = tuple(conv(16, c, 16, c, 3) for c in (1, 4, 16, 64))
