"""Pooling: each window of a channel becomes one number.

    MaxPool2D         y[n,c,oh,ow] = max  of x[n, c, oh*SH - PH + kh, ow*SW - PW + kw] over kh, kw
    AvgPool2D         y[n,c,oh,ow] = mean of the same KH*KW numbers, zero padding counted
    GlobalAvgPool2D   y[n,c]       = mean of x[n,c] over H and W

The gradient of a maximum goes to the first maximum in row-major order (padding never wins); that of a mean is spread
evenly. Overlapping windows add.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers.base import Layer, Shape

__all__ = ["AvgPool2D", "GlobalAvgPool2D", "MaxPool2D"]


class _Pool2D(Layer):
    """The window that both poolings share."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.kernel_size = checks.pair(self.name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else checks.pair(self.name, "stride", stride, 1)
        self.padding = checks.pair(self.name, "padding", padding, 0)
        checks.pool2d_padding(self.name, self.kernel_size, self.padding)

    def settings(self) -> dict[str, Any]:
        """As `Layer.settings`; stride None where it is kernel_size."""
        found = super().settings()
        return found | {"stride": None} if self.stride == self.kernel_size else found

    def reach(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The window and the stride."""
        return self.kernel_size, self.stride

    def _check(self, x_shape: Shape) -> Shape:
        return checks.pool2d_output(self.who, x_shape, self.kernel_size, self.stride, self.padding)


class MaxPool2D(_Pool2D):
    """Largest number of each window, (N, C, H, W) to (N, C, OH, OW), OH = (H + 2 PH - KH) // SH + 1.

    kernel_size, stride, padding: an int or an (h, w) pair. stride None: kernel_size. padding is at most half the
    kernel. A NaN in a window is its maximum. Raises TypeError or ValueError that names the layer for arguments and
    inputs outside these rules.
    """

    _remembered = ("_argmax", "_shape")
    _argmax: Any
    _shape: Any

    def _infer(self, x: Any) -> Any:
        return self.kernels.maxpool2d_forward(x, self.kernel_size, self.stride, self.padding)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        y, self._argmax = self.kernels.maxpool2d_forward(x, self.kernel_size, self.stride, self.padding)
        self._shape = x.shape
        return y

    def _backward(self, dy: Any) -> Any:
        if self._argmax is None:
            raise self._unready()
        return self.kernels.maxpool2d_backward(
            dy, self._argmax, self._shape, self.kernel_size, self.stride, self.padding
        )

    def kinks(self) -> list[np.ndarray]:
        """The place of each maximum."""
        return [] if self._argmax is None else [self.kernels.leave(self._argmax)]


class AvgPool2D(_Pool2D):
    """Mean of each window, (N, C, H, W) to (N, C, OH, OW), OH = (H + 2 PH - KH) // SH + 1.

    kernel_size, stride, padding: an int or an (h, w) pair. stride None: kernel_size. padding is at most half the
    kernel; its zeros count in the mean. Raises TypeError or ValueError that names the layer for arguments and inputs
    outside these rules.
    """

    _remembered = ("_shape",)
    _shape: Any

    def _infer(self, x: Any) -> Any:
        return self.kernels.avgpool2d_forward(x, self.kernel_size, self.stride, self.padding)

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = x.shape
        return self.kernels.avgpool2d_forward(x, self.kernel_size, self.stride, self.padding)

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.avgpool2d_backward(dy, self._shape, self.kernel_size, self.stride, self.padding)


class GlobalAvgPool2D(Layer):
    """Mean of each channel, (N, C, H, W) to (N, C). ValueError for inputs without 4 dimensions or without pixels."""

    _remembered = ("_shape",)
    _shape: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 4:
            raise ValueError(f"{self.who}: input must have 4 dimensions (N, C, H, W), got shape {tuple(x_shape)}")
        if not x_shape[2] * x_shape[3]:
            raise ValueError(f"{self.who}: height and width must be at least 1, got shape {tuple(x_shape)}")
        return x_shape[0], x_shape[1]

    def _infer(self, x: Any) -> Any:
        return self.kernels.global_avgpool_forward(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = x.shape
        return self.kernels.global_avgpool_forward(x)

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.global_avgpool_backward(dy, self._shape)
