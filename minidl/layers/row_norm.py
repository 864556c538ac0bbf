"""Normalisation within each image: of groups of channels, of single ones, of layers.

Wu, He 2018, arXiv 1803.08494; Ulyanov, Vedaldi, Lempitsky 2016, arXiv 1607.08022; Ba, Kiros, Hinton 2016, arXiv
1607.06450.

    y = gamma * xhat + beta,  xhat = (x - mean) * inv_std,  inv_std = 1 / sqrt(var + eps)
    dx = inv_std * (g - M(g) - xhat * M(g * xhat)),  g = dy * gamma,  M the mean over what mean and var are of
    dgamma = sum dy * xhat,  dbeta = sum dy

The variance is the population's. Training and inference compute the same, and no image depends on another, so that
small batches do no harm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import initializers
from minidl.layers.base import Layer, Shape
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Renamed, Sometimes, Trained

__all__ = ["GroupNorm", "InstanceNorm2D", "LayerNorm"]


class GroupNorm(Layer):
    """Normalisation of (N, channels, H, W) or (N, channels), one mean and variance for each image and group.

    groups: must divide channels; 1 takes a whole image, `channels` each channel for itself (instance normalisation). A
    group is of neighbouring channels. eps: added to the variance, positive. Parameters: gamma (ones), beta (zeros),
    both (channels,). As PyTorch's. Raises TypeError or ValueError that names the layer for arguments and inputs outside
    these rules.
    """

    gamma = Trained()
    beta = Trained()
    weight, bias = Renamed("gamma"), Renamed("beta")
    _remembered = ("_x", "_mean", "_inv_std")
    _x: Any
    _mean: Any
    _inv_std: Any

    def __init__(self, groups: int, channels: int, eps: float = 1e-5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.groups = checks.integer(self.name, "groups", groups, 1)
        self.channels = checks.integer(self.name, "channels", channels, 1)
        if self.channels % self.groups:
            raise ValueError(
                f"{self.name}: channels must be divisible by groups, got {self.channels} and {self.groups}"
            )
        self.eps = checks.real(self.name, "eps", eps, "positive", lambda e: e > 0)
        self.gamma = Parameter(initializers.constant(self.name, 1, (self.channels,)), "gamma", decay=False)
        self.beta = Parameter(initializers.constant(self.name, 0, (self.channels,)), "beta", decay=False)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) not in (2, 4):
            rule = "4 dimensions (N, C, H, W) or 2 (N, C)"
            raise ValueError(f"{self.who}: input must have {rule}, got shape {tuple(x_shape)}")
        if x_shape[1] != self.channels:
            raise ValueError(f"{self.who}: input must have {self.channels} channels, got {x_shape[1]}")
        if min(x_shape[1:]) < 1:
            raise ValueError(f"{self.who}: height and width must be at least 1, got shape {tuple(x_shape)}")
        return x_shape

    def _infer(self, x: Any) -> Any:
        return self.kernels.groupnorm_forward(x, self.gamma.values, self.beta.values, self.groups, self.eps)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        y, self._mean, self._inv_std = self.kernels.groupnorm_forward(
            x, self.gamma.values, self.beta.values, self.groups, self.eps
        )
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        out = (self.gamma.grad, self.beta.grad)
        return self.kernels.groupnorm_backward(dy, self._x, self.gamma.values, self._mean, self._inv_std, out)[0]


class InstanceNorm2D(Layer):
    """Normalisation of (N, channels, H, W), one mean and variance for each image and channel.

    eps: added to the variance, positive. affine: whether there are parameters, gamma (ones) and beta (zeros), both
    (channels,); `GroupNorm(channels, channels)` computes the same. As PyTorch's without running statistics. Raises
    TypeError or ValueError that names the layer for arguments and inputs outside these rules.
    """

    gamma = Sometimes()
    beta = Sometimes()
    weight, bias = Renamed("gamma"), Renamed("beta")
    _remembered = ("_x", "_mean", "_inv_std")
    _x: Any
    _mean: Any
    _inv_std: Any

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = False, *, name: str | None = None) -> None:
        super().__init__(name)
        self.channels = checks.integer(self.name, "channels", channels, 1)
        self.eps = checks.real(self.name, "eps", eps, "positive", lambda e: e > 0)
        self.affine = checks.flag(self.name, "affine", affine)
        if self.affine:
            self.gamma = Parameter(initializers.constant(self.name, 1, (self.channels,)), "gamma", decay=False)
            self.beta = Parameter(initializers.constant(self.name, 0, (self.channels,)), "beta", decay=False)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 4:
            raise ValueError(f"{self.who}: input must have 4 dimensions (N, C, H, W), got shape {tuple(x_shape)}")
        if x_shape[1] != self.channels:
            raise ValueError(f"{self.who}: input must have {self.channels} channels, got {x_shape[1]}")
        if min(x_shape[1:]) < 1:
            raise ValueError(f"{self.who}: height and width must be at least 1, got shape {tuple(x_shape)}")
        return x_shape

    def _scales(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.affine:
            return self.gamma.values, self.beta.values
        return np.ones(self.channels, x.dtype), np.zeros(self.channels, x.dtype)

    def _infer(self, x: Any) -> Any:
        return self.kernels.groupnorm_forward(x, *self._scales(x), self.channels, self.eps)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        y, self._mean, self._inv_std = self.kernels.groupnorm_forward(x, *self._scales(x), self.channels, self.eps)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        gamma, _ = self._scales(self._x)
        out = (self.gamma.grad, self.beta.grad) if self.affine else None
        return self.kernels.groupnorm_backward(dy, self._x, gamma, self._mean, self._inv_std, out)[0]


class LayerNorm(Layer):
    """Normalisation over an image's last dimensions, with a gamma and a beta for each of their values.

    shape: sizes of these dimensions, an int for one: (C, H, W) for whole images of (N, C, H, W), F for (N, F), (H, W)
    for each channel by itself. eps: added to the variance, positive. Parameters: gamma (ones), beta (zeros), both of
    `shape`. As PyTorch's. Raises TypeError or ValueError that names the layer for arguments and inputs outside these
    rules.
    """

    gamma = Trained()
    beta = Trained()
    weight, bias = Renamed("gamma"), Renamed("beta")
    _remembered = ("_x", "_mean", "_inv_std")
    _ranks = (2, 3, 4)
    _x: Any
    _mean: Any
    _inv_std: Any

    def __init__(self, shape: int | Shape, eps: float = 1e-5, *, name: str | None = None) -> None:
        super().__init__(name)
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        self.shape = tuple(checks.integer(self.name, "shape", size, 1) for size in sizes)
        if not self.shape:
            raise ValueError(f"{self.name}: shape must have at least 1 dimension, got {shape!r}")
        checks.check_elements(self.name, self.shape)
        self.eps = checks.real(self.name, "eps", eps, "positive", lambda e: e > 0)
        self.gamma = Parameter(initializers.constant(self.name, 1, self.shape), "gamma", decay=False)
        self.beta = Parameter(initializers.constant(self.name, 0, self.shape), "beta", decay=False)

    def _check(self, x_shape: Shape) -> Shape:
        if tuple(x_shape[1:])[-len(self.shape) :] != self.shape or min(x_shape[1:]) < 1:
            raise ValueError(
                f"{self.who}: the last dimensions of the input must be {self.shape}, got shape {tuple(x_shape)}"
            )
        return x_shape

    def _infer(self, x: Any) -> Any:
        return self.kernels.layernorm_forward(x, self.gamma.values, self.beta.values, self.eps)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        y, self._mean, self._inv_std = self.kernels.layernorm_forward(x, self.gamma.values, self.beta.values, self.eps)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        out = (self.gamma.grad, self.beta.grad)
        return self.kernels.layernorm_backward(dy, self._x, self.gamma.values, self._mean, self._inv_std, out)[0]
