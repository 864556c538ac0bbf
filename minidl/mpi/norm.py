"""Batch normalisation with the statistics of a batch that several ranks have parts of, forward and backward.

    M = sum_r M_r,   mean = sum_r M_r mean_r / M,   var = sum_r M_r (var_r + (mean_r - mean)^2) / M
    dgamma = sum_r dgamma_r,   dbeta = sum_r dbeta_r,   dx = gamma * inv_std * (dy - dbeta/M - xhat * dgamma/M)

The same as of the whole batch in one process (see `minidl.layers.norm`), but for the order of the sums. Two sums over
the ranks a layer and step, each of about two numbers a channel, for which all ranks wait.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.layers.container import Container
from minidl.layers.norm import BatchNorm2D
from minidl.layers.walk import walk
from minidl.model import Model

LANES = 16
"""A multiple of all numbers of lanes: a batch of so many images has none that are empty."""


class Across:
    """What a batch normalisation computes a training step with, as its `across`. comm: the ranks."""

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi, self._comm = mpi, comm
        self._count = 0.0  # M of the last forward

    def __deepcopy__(self, memo: Any) -> Across:
        """Copies of layers keep their ranks."""
        return self

    def forward(self, layer: BatchNorm2D, x: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        """y, mean and inv_std for the backend's array x; the running statistics follow those of all ranks."""
        run, gamma, beta = layer.kernels.batchnorm_forward, layer.gamma.data, layer.beta.data
        mean, var = np.zeros_like(gamma), np.zeros_like(gamma)
        # A momentum of 0 leaves the batch's own statistics.
        run(x, gamma, beta, mean, var, 0.0, layer.eps, True)
        count = float(np.prod([size for axis, size in enumerate(x.shape) if axis != 1], dtype=np.int64))
        # Sums of squares about a number that all ranks know, near the mean, so that they do not cancel.
        shift = layer.running_mean.astype(np.float64)
        far = mean.astype(np.float64) - shift
        sums = np.concatenate([[count], count * far, count * (var.astype(np.float64) + far * far)])
        self._comm.Allreduce(self._mpi.IN_PLACE, sums)
        self._count = float(sums[0])
        if not self._count:
            return run(x, gamma, beta, mean, var, layer.momentum, layer.eps, False)
        far, squares = np.split(sums[1:] / self._count, 2)
        mean[...] = shift + far
        var[...] = np.maximum(squares - far * far, 0)
        for running, batch in ((layer.running_mean, mean), (layer.running_var, var)):
            running *= layer.momentum
            running += (1 - layer.momentum) * batch
        return run(x, gamma, beta, mean, var, layer.momentum, layer.eps, False)

    def backward(self, layer: BatchNorm2D, dy: Any, x: Any, mean: np.ndarray, inv_std: np.ndarray) -> Any:
        """dx; the parameters' gradients are those of this rank's rows, as all layers' are."""
        kernels, gamma = layer.kernels, layer.gamma.data
        out = (layer.gamma.grad, layer.beta.grad)
        direct = kernels.batchnorm_backward(dy, x, gamma, mean, inv_std, False, out)[0]
        sums = np.concatenate([array.astype(np.float64) for array in out])
        self._comm.Allreduce(self._mpi.IN_PLACE, sums)
        if not self._count:
            return direct
        dgamma, dbeta = np.split(sums / self._count, 2)
        # The way over the statistics is a line a channel: a normalisation by this mean and a variance of 1.
        factor = gamma.astype(np.float64) * inv_std
        slope, offset = (-factor * inv_std * dgamma).astype(gamma.dtype), (-factor * dbeta).astype(gamma.dtype)
        rest = kernels.batchnorm_forward(x, slope, offset, mean, np.ones_like(mean), 1.0, 0.0, False)[0]
        if x.shape[0] % LANES:  # gradients are zero in lanes without an image, as `enter` leaves them
            images = np.ones((x.shape[0],) + (1,) * (len(x.shape) - 1), gamma.dtype)
            rest = kernels.arithmetic_forward(rest, kernels.enter(images), "*")
        return kernels.add(direct, rest)


def put(model: Model, across: Any) -> None:
    """Give every batch normalisation of the model one who computes its training steps; None: take it away.

    across: a function without arguments that makes one.
    """
    layers = walk(model)
    for layer in layers:
        if isinstance(layer, BatchNorm2D):
            layer.across = None if across is None else across()
    for layer in layers:  # what runs as one operation is another now
        if isinstance(layer, Container):
            layer._plans = {}
