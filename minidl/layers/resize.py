"""Maps of another size.

    Upsample   (N, C, H, W) -> (N, C, OH, OW)   each pixel the nearest one, or a mean of the four around its position

The gradient of an output is spread over the pixels that it came from, by the same weights. Bilinear interpolation and
the coordinates: ONNX's operator Resize; see `minidl.functional.upsample_forward`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.contract import Taps
from minidl.kernels.resizing import Resizing
from minidl.layers.base import Layer, Reach, Shape

__all__ = ["Upsample"]


class Upsample(Layer):
    """Maps of another size, larger or smaller: (N, C, H, W) to (N, C, OH, OW).

    scale: how many times as large, a number or an (h, w) pair, OH = floor(scale H); or size: OH OW, an int or a pair.
    By scale, OH and nearest places are those of ONNX Runtime, which computes them in float32; by size they are exact.
    mode: "nearest", "bilinear" or "bicubic". coordinates: where output pixels lie in the input, "asymmetric",
    "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric" or "align_corners"; None for "asymmetric" if nearest,
    else "half_pixel", as in PyTorch. rounding: what the nearest place is, "floor", "ceil", "round_prefer_floor" or
    "round_prefer_ceil".

    antialias: whether pixels of a smaller image are means over all that it stands for, of mode bilinear or bicubic.
    cubic: coefficient of the cubic kernel. exclude_outside: whether pixels outside count nothing in a cubic mean or one
    of antialias, instead of those at the edge; PyTorch's antialias does so, with cubic=-0.5. Raises TypeError or
    ValueError that names the layer for other arguments, for inputs of another rank and where nothing is left.
    """

    _remembered = ("_in",)
    _in: Any
    scale: Any
    _planned: tuple[Any, tuple[Taps, Taps] | None] = None, None
    """Height, width and dtype of the last input, and its taps."""

    def __init__(
        self,
        scale: float | tuple[float, float] | None = None,
        size: int | tuple[int, int] | None = None,
        mode: str = "nearest",
        coordinates: str | None = None,
        rounding: str = "floor",
        antialias: bool = False,
        cubic: float = -0.75,
        exclude_outside: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        settings = mode, coordinates, rounding, antialias, cubic, exclude_outside
        self._resizing = Resizing(self.name, scale, size, *settings)
        factors, self.size = self._resizing.scale, self._resizing.size
        self.scale = factors[0] if factors is not None and factors[0] == factors[1] else factors
        self.mode, self.coordinates, self.rounding = mode, coordinates, rounding
        self.antialias, self.cubic, self.exclude_outside = antialias, cubic, exclude_outside

    def _check(self, x_shape: Shape) -> Shape:
        return self._resizing.output(self.who, x_shape)

    def _taps(self, shape: Shape, dtype: np.dtype) -> tuple[Taps, Taps]:
        known, taps = self._planned  # read once: another thread may write
        if taps is None or known != (*shape[2:], dtype):
            taps = self._resizing.taps(shape, dtype)
            self._planned = (*shape[2:], dtype), taps
        return taps

    def _infer(self, x: Any) -> Any:
        return self.kernels.resize_forward(x, *self._taps(x.shape, x.dtype))

    def _forward(self, x: Any, train: bool) -> Any:
        self._in = x.shape
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._in is None:
            raise self._unready()
        return self.kernels.resize_backward(dy, self._in, *self._taps(self._in, dy.dtype))

    def reach(self, shape: Shape) -> Reach:
        """The rows and columns that a pixel is made of; neighbours' are nearer where the image is larger."""
        _, height, width = self.output_shape(shape)
        return self._resizing.counts((1, *shape)), (shape[1] / height, shape[2] / width)

    def multiply_adds(self, shape: Shape) -> int:
        """One for each pixel that an output is made of, none for a nearest one."""
        rows, columns = self._resizing.counts((1, *shape))
        return 0 if self.mode == "nearest" else rows * columns * math.prod(self.output_shape(shape))
