"""Neighbouring layers as one operation, for backends without fused kernels: plain operations one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.contract import Array, Backend, Pair, Pool

Tail = tuple[Array, "Array | None"]
"""What the backward pass of relu and pooling needs: the array before pooling, and the maxima's places."""


class Blocks:
    """The contract's *_block operations, composed out of the plain operations of `plain`, a backend (usually a module).

    The backend offers the bound methods under their own names. `plain` is asked at each call only: it may still be
    loading when it makes its Blocks.
    """

    def __init__(self, plain: Any) -> None:
        self.plain: Backend = plain

    # ---- convolution -------------------------------------------------------------------------------------------------

    def conv_block_forward(
        self,
        x: Array,
        w: np.ndarray,
        b: np.ndarray | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
    ) -> tuple[Array, Any]:
        return self._tail_forward(self.plain.conv2d_forward(x, w, b, stride, padding, dilation, groups), relu, pool)

    def conv_block_backward(
        self,
        dy: Array,
        saved: Any,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        dy = self._tail_backward(dy, saved, relu, pool)
        return self.plain.conv2d_backward(dy, x, w, stride, padding, dilation, groups, need_dx, out)

    # ---- normalisation -----------------------------------------------------------------------------------------------

    def norm_block_forward(
        self,
        x: Array,
        gamma: np.ndarray,
        beta: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        momentum: float,
        eps: float,
        train: bool,
        relu: bool,
        pool: Pool | None,
    ) -> tuple[Array, Any]:
        y, mean, inv_std = self.plain.batchnorm_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train)
        y, tail = self._tail_forward(y, relu, pool)
        return y, (tail, mean, inv_std)

    def norm_block_backward(
        self,
        dy: Array,
        saved: Any,
        x: Array,
        gamma: np.ndarray,
        train: bool,
        relu: bool,
        pool: Pool | None,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        tail, mean, inv_std = saved
        return self.plain.batchnorm_backward(
            self._tail_backward(dy, tail, relu, pool), x, gamma, mean, inv_std, train, out
        )

    # ---- linear ------------------------------------------------------------------------------------------------------

    def linear_block_forward(self, x: Array, w: np.ndarray, b: np.ndarray | None) -> Array:
        return self.plain.relu_forward(self.plain.linear_forward(x, w, b))

    def linear_block_backward(
        self,
        dy: Array,
        y: Array,
        x: Array,
        w: np.ndarray,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        return self.plain.linear_backward(self.plain.relu_backward(dy, y), x, w, need_dx, out)

    # ---- sums --------------------------------------------------------------------------------------------------------

    def add_block_forward(self, a: Array, b: Array) -> Array:
        return self.plain.relu_forward(self.plain.add(a, b))

    # ---- what follows: relu, then pooling ----------------------------------------------------------------------------

    def _tail_forward(self, x: Array, relu: bool, pool: Pool | None) -> tuple[Array, Tail]:
        if relu:
            x = self.plain.relu_forward(x)
        if pool is None:
            return x, (x, None)
        kind, *window = pool
        if kind == "max":
            y, argmax = self.plain.maxpool2d_forward(x, *window)
            return y, (x, argmax)
        return self.plain.avgpool2d_forward(x, *window), (x, None)

    def _tail_backward(self, dy: Array, saved: Tail, relu: bool, pool: Pool | None) -> Array:
        x, argmax = saved
        if pool is not None:
            kind, *window = pool
            if kind == "max":
                dy = self.plain.maxpool2d_backward(dy, argmax, x.shape, *window)
            else:
                dy = self.plain.avgpool2d_backward(dy, x.shape, *window)
        return self.plain.relu_backward(dy, x) if relu else dy
