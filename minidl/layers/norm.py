"""Batch normalisation (Ioffe, Szegedy 2015, arXiv 1502.03167), statistics per channel over N (and H, W).

    y = gamma * xhat + beta,  xhat = (x - mean) * inv_std,  inv_std = 1 / sqrt(var + eps)
    dgamma = sum dy * xhat,   dbeta = sum dy,   dx = gamma * inv_std * (dy - dbeta/M - xhat * dgamma/M),   M = N*H*W

In training mean and var are the batch's (var divided by M), and the running statistics follow:
running = momentum * running + (1 - momentum) * batch. Otherwise mean and var are the running ones, constants of the
backward pass: dx = gamma * inv_std * dy.

Where PyTorch differs: its momentum is 1 - momentum of this one (its default 0.1 is 0.9 here), and it puts the unbiased
variance (divided by M - 1) into the running variance, this one (like ONNX) the population variance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import initializers
from minidl.layers.base import Layer, Shape
from minidl.layers.parameter import Buffer, Parameter
from minidl.layers.setting import Renamed, Trained

__all__ = ["BatchNorm1D", "BatchNorm2D"]


class BatchNorm2D(Layer):
    """Batch normalisation of (N, channels, H, W), one mean and variance a channel.

    eps: added to the variance, positive. momentum: the part of the old running statistics that a training step keeps:
    0 keeps nothing of the old, 1 takes nothing of the new. PyTorch's momentum is 1 minus this, and its running
    variance is unbiased where this one is the population's (see the module). After `freeze(statistics=True)` training
    uses the running statistics, too, and keeps them. Parameters: gamma (ones), beta (zeros),
    both (channels,). Buffers: running_mean (zeros), running_var (ones). Raises TypeError or ValueError that names the
    layer for arguments and inputs outside these rules.
    """

    across: Any = None
    """Who computes a training step with statistics over several processes (`minidl.mpi.norm`); None: nobody."""
    _remembered = ("_x", "_mean", "_inv_std", "_train")
    _buffers = ("running_mean", "running_var")
    gamma = Trained()
    beta = Trained()
    weight, bias = Renamed("gamma"), Renamed("beta")
    running_mean = Buffer()
    running_var = Buffer()
    _x: Any
    _mean: Any
    _inv_std: Any
    _train: Any

    _ndim = 4
    _layout = "(N, C, H, W)"

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.9, *, name: str | None = None) -> None:
        super().__init__(name)
        self.channels = checks.integer(self.name, "channels", channels, 1)
        self.eps = checks.real(self.name, "eps", eps, "positive", lambda e: e > 0)
        self.momentum = checks.real(self.name, "momentum", momentum, "in [0, 1]", lambda m: 0 <= m <= 1)
        self.gamma = Parameter(initializers.constant(self.name, 1, (self.channels,)), "gamma", decay=False)
        self.beta = Parameter(initializers.constant(self.name, 0, (self.channels,)), "beta", decay=False)
        self.running_mean = initializers.constant(self.name, 0, (self.channels,))
        self.running_var = initializers.constant(self.name, 1, (self.channels,))

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != self._ndim:
            raise ValueError(
                f"{self.who}: input must have {self._ndim} dimensions {self._layout}, got shape {tuple(x_shape)}"
            )
        if x_shape[1] != self.channels:
            raise ValueError(f"{self.who}: input must have {self.channels} channels, got {x_shape[1]}")
        return x_shape

    def statistics(self, train: bool) -> tuple[np.ndarray, np.ndarray, float, float]:
        """What a kernel asks for: running mean and variance, which it writes if `train`, momentum and eps."""
        kind = BatchNorm2D
        running = (
            (self.running_mean, self.running_var)
            if train
            else (kind.running_mean.values(self), kind.running_var.values(self))
        )
        return *running, self.momentum, self.eps

    def _norm(self, x: Any, train: bool) -> Any:
        gamma, beta = self.gamma.values, self.beta.values
        return self.kernels.batchnorm_forward(x, gamma, beta, *self.statistics(train), train)

    def _infer(self, x: Any) -> Any:
        return self._norm(x, False)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._x, self._train = x, train and not self.statistics_frozen
        norm = self._norm if self.across is None else self._norm_across
        y, self._mean, self._inv_std = norm(x, self._train)
        return y

    def _norm_across(self, x: Any, train: bool) -> Any:
        return self.across.forward(self, x) if train else self._norm(x, False)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        if self._train and self.across is not None:
            return self.across.backward(self, dy, self._x, self._mean, self._inv_std)
        out = (self.gamma.grad, self.beta.grad)
        dx, _, _ = self.kernels.batchnorm_backward(
            dy, self._x, self.gamma.values, self._mean, self._inv_std, self._train, out
        )
        return dx


class BatchNorm1D(BatchNorm2D):
    """Batch normalisation of (N, channels), one mean and variance a feature. All else as `BatchNorm2D`."""

    _ndim = 2
    _layout = "(N, C)"
