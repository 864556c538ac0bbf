"""Normalisation and dropout."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Array


class Norms(Protocol):
    """The operations of this file."""

    def batchnorm_forward(
        self,
        x: Array,
        gamma: np.ndarray,
        beta: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        momentum: float,
        eps: float,
        train: bool,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> y, mean, inv_std, statistics per channel over N (and H, W): y = (x - mean) * inv_std * gamma + beta.

        train: mean and population variance of the batch; running = momentum * running + (1 - momentum) * batch, in
        place. Else mean and variance are the running ones, left alone. inv_std = 1 / sqrt(var + eps). With N*H*W = 0 in
        train, nothing is updated and the statistics are 0 and 1/sqrt(eps).
        """

    def batchnorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: np.ndarray,
        inv_std: np.ndarray,
        train: bool = True,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta. With xhat = (x - mean) * inv_std and M = N*H*W: dgamma = sum dy*xhat, dbeta = sum dy,
        dx = gamma * inv_std * (dy - dbeta/M - xhat * dgamma/M); without `train` the statistics are constants:
        dx = gamma * inv_std * dy.
        """

    def groupnorm_forward(
        self, x: Array, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
    ) -> tuple[Array, Array, Array]:
        """-> y, mean, inv_std (N, groups): y = (x - mean) * inv_std * gamma + beta.

        x (N, C, H, W) or (N, C), C divisible by groups; gamma, beta (C,). Mean and population variance of each image's
        C/groups neighbouring channels, in training and inference alike; inv_std = 1 / sqrt(var + eps).
        """

    def groupnorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: Array,
        inv_std: Array,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta. With xhat = (x - mean) * inv_std, g = dy * gamma and M the mean over a group:
        dgamma = sum dy*xhat and dbeta = sum dy over N, H, W; dx = inv_std * (g - M(g) - xhat * M(g*xhat)).
        """

    def layernorm_forward(
        self, x: Array, gamma: np.ndarray, beta: np.ndarray, eps: float
    ) -> tuple[Array, Array, Array]:
        """-> y, mean, inv_std (N, R): y = (x - mean) * inv_std * gamma + beta.

        gamma, beta have the shape of x's last dimensions, at most all but N: mean and population variance are taken
        over these, once for each of the R places in the dimensions before them (R = 1 for none).
        """

    def layernorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: Array,
        inv_std: Array,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta as groupnorm_backward; dgamma and dbeta are sums over N and the R places."""

    def local_response_forward(self, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        """y[n,c] = x[n,c] / s[n,c]^beta, s[n,c] = k + alpha/size * the sum of x^2 over channels c - size // 2 up to
        c + (size - 1) // 2, as far as there are such. x (N, C, H, W); k positive, alpha and beta not negative.
        """

    def local_response_backward(self, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        """dx[c] = dy[c] / s[c]^beta - 2 alpha beta/size x[c] * the sum of dy x / s^(beta + 1) over the channels that c
        is summed for: c - (size - 1) // 2 up to c + size // 2.
        """

    def dropout_forward(self, x: Array, rate: float, key: int) -> Array:
        """x / (1 - rate) where the element is kept, else 0 (inverted dropout).

        Kept or not depends on (key, the element's row-major index i in (N, ...)) alone:
        `kernels.counter_random.keep_mask`. key is a uint64.
        """

    def dropout_backward(self, dy: Array, rate: float, key: int) -> Array:
        """The same mask and factor applied to dy."""
