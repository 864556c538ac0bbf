"""Pooling: each window of a channel becomes one number.

    MaxPool2D           y[n,c,oh,ow] = max  of x[n, c, oh*SH - PH + kh*DH, ow*SW - PW + kw*DW] over kh, kw
    AvgPool2D           y[n,c,oh,ow] = mean of the same KH*KW numbers (DH = DW = 1), zero padding counted or not
    AdaptiveAvgPool2D   y[n,c,oh,ow] = mean of x[n,c] over rows oh*H // OH up to ceil((oh+1)*H / OH), columns likewise
    GlobalAvgPool2D     y[n,c]       = mean of x[n,c] over H and W
    GlobalMaxPool2D     y[n,c]       = max  of x[n,c] over H and W

The gradient of a maximum goes to the first maximum in row-major order (padding never wins); that of a mean is spread
evenly. Overlapping windows add.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.kernels.checks import Sides
from minidl.layers.base import Layer, Reach, Shape

__all__ = ["AdaptiveAvgPool2D", "AvgPool2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "MaxPool2D"]


class _Pool2D(Layer):
    """The window that both poolings share."""

    _stored = MappingProxyType({"padding": "_padding"})
    window: tuple[Any, ...]
    """What the backend's functions take: kernel_size, stride, padding, and the other settings if one is unusual."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None,
        padding: Any,
        dilation: Any,
        ceil_mode: bool,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.dilation = checks.pair(self.name, "dilation", dilation, 1)
        self.kernel_size, self.stride, self.padding = checks.pool_window(
            self.name, kernel_size, stride, padding, self.dilation
        )
        self._padding = padding if isinstance(padding, str) and padding != "valid" else self.padding
        self.ceil_mode = checks.flag(self.name, "ceil_mode", ceil_mode)
        self.window = self.kernel_size, self.stride, self.padding

    def settings(self) -> dict[str, Any]:
        """As `Layer.settings`; stride None where it is kernel_size."""
        found = super().settings()
        return found | {"stride": None} if self.stride == self.kernel_size else found

    def reach(self, shape: Shape) -> Reach:
        """The window with its gaps, and the stride."""
        return checks.extent(self.kernel_size, self.dilation), self.stride

    def _check(self, x_shape: Shape) -> Shape:
        return checks.pool2d_output(
            self.who, x_shape, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class MaxPool2D(_Pool2D):
    """Largest number of each window, (N, C, H, W) to (N, C, OH, OW), OH = (H + top + bottom - DH (KH - 1) - 1) // SH +
    1.

    kernel_size, stride, padding, dilation: an int or an (h, w) pair. stride None: kernel_size. padding: as in `Conv2D`,
    smaller than the kernel, so that each window holds a pixel. ceil_mode: OH is rounded up, as far as the last window
    starts inside the image or the padding before it (as PyTorch's). A NaN in a window is its maximum. Raises TypeError
    or ValueError that names the layer for arguments and inputs outside these rules.
    """

    _remembered = ("_argmax", "_shape")
    _argmax: Any
    _shape: Any

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] | Sides | str = 0,
        dilation: int | tuple[int, int] = 1,
        ceil_mode: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, name)
        if self.ceil_mode or self.dilation != (1, 1):
            self.window += self.dilation, self.ceil_mode

    def _infer(self, x: Any) -> Any:
        return self.kernels.maxpool2d_forward(x, *self.window)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        y, self._argmax = self.kernels.maxpool2d_forward(x, *self.window)
        self._shape = x.shape
        return y

    def _backward(self, dy: Any) -> Any:
        if self._argmax is None:
            raise self._unready()
        return self.kernels.maxpool2d_backward(dy, self._argmax, self._shape, *self.window)

    def kinks(self) -> list[np.ndarray]:
        """The place of each maximum."""
        return [] if self._argmax is None else [self.kernels.leave(self._argmax)]


class AvgPool2D(_Pool2D):
    """Mean of each window, (N, C, H, W) to (N, C, OH, OW), OH = (H + top + bottom - KH) // SH + 1.

    kernel_size, stride, padding, ceil_mode: as in `MaxPool2D`. count_include_pad: whether the zeros of the padding
    count in the mean; what ceil_mode adds never does. Raises TypeError or ValueError that names the layer for arguments
    and inputs outside these rules.
    """

    _remembered = ("_shape",)
    _shape: Any

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] | Sides | str = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode, name)
        self.count_include_pad = checks.flag(self.name, "count_include_pad", count_include_pad)
        if self.ceil_mode or not self.count_include_pad:
            self.window += self.ceil_mode, self.count_include_pad

    def _infer(self, x: Any) -> Any:
        return self.kernels.avgpool2d_forward(x, *self.window)

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = x.shape
        return AvgPool2D._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.avgpool2d_backward(dy, self._shape, *self.window)


class AdaptiveAvgPool2D(Layer):
    """Means of the windows that part each map, (N, C, H, W) to (N, C, OH, OW) for any H and W.

    output_size: (OH, OW), an int or a pair. Window oh has the rows from oh*H // OH up to (oh+1)*H / OH, rounded up, so
    that neighbours may share one (as PyTorch's). Raises TypeError or ValueError that names the layer for arguments and
    inputs outside these rules.
    """

    _remembered = ("_shape",)
    _shape: Any

    def __init__(self, output_size: int | tuple[int, int], *, name: str | None = None) -> None:
        super().__init__(name)
        self.output_size = checks.pair(self.name, "output_size", output_size, 1)

    def _check(self, x_shape: Shape) -> Shape:
        shape = *_maps(self.who, x_shape), *self.output_size
        checks.check_elements(self.who, shape)
        return shape

    def reach(self, shape: Shape) -> Reach:
        """The mean window, and the mean way from one to the next."""
        step = shape[1] / self.output_size[0], shape[2] / self.output_size[1]
        return step, step

    def _infer(self, x: Any) -> Any:
        return self.kernels.adaptive_avgpool_forward(x, self.output_size)

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = x.shape
        return AdaptiveAvgPool2D._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.adaptive_avgpool_backward(dy, self._shape)


class GlobalMaxPool2D(Layer):
    """Maximum of each channel, (N, C, H, W) to (N, C). ValueError for inputs without 4 dimensions or without pixels."""

    _remembered = ("_argmax", "_shape")
    _argmax: Any
    _shape: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _check(self, x_shape: Shape) -> Shape:
        return _maps(self.who, x_shape)

    def _infer(self, x: Any) -> Any:
        return self.kernels.global_maxpool_forward(x)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        y, self._argmax = self.kernels.global_maxpool_forward(x)
        self._shape = x.shape
        return y

    def _backward(self, dy: Any) -> Any:
        if self._argmax is None:
            raise self._unready()
        return self.kernels.global_maxpool_backward(dy, self._argmax, self._shape)

    def kinks(self) -> list[np.ndarray]:
        """The place of each maximum."""
        return [] if self._argmax is None else [self.kernels.leave(self._argmax)]


class GlobalAvgPool2D(Layer):
    """Mean of each channel, (N, C, H, W) to (N, C). ValueError for inputs without 4 dimensions or without pixels."""

    _remembered = ("_shape",)
    _shape: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _check(self, x_shape: Shape) -> Shape:
        return _maps(self.who, x_shape)

    def _infer(self, x: Any) -> Any:
        return self.kernels.global_avgpool_forward(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._shape = x.shape
        return self.kernels.global_avgpool_forward(x)

    def _backward(self, dy: Any) -> Any:
        if self._shape is None:
            raise self._unready()
        return self.kernels.global_avgpool_backward(dy, self._shape)


def _maps(who: str, x_shape: Shape) -> tuple[int, int]:
    """(N, C) of maps that have pixels."""
    if len(x_shape) != 4:
        raise ValueError(f"{who}: input must have 4 dimensions (N, C, H, W), got shape {tuple(x_shape)}")
    if not x_shape[2] * x_shape[3]:
        raise ValueError(f"{who}: height and width must be at least 1, got shape {tuple(x_shape)}")
    return x_shape[0], x_shape[1]
