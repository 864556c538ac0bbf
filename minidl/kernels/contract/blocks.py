"""Blocks: neighbours merged, with results equal to the plain operations one after the other."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minidl.kernels.contract.types import Array, Padding, Pair, Pool


class Blocks(Protocol):
    """The operations of this file."""

    def conv_block_forward(
        self,
        x: Array,
        w: np.ndarray,
        b: np.ndarray | None,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
    ) -> tuple[Array, Any]:
        """conv2d, then relu if asked, then pooling if asked -> y, saved (opaque, for the backward function)."""

    def conv_block_backward(
        self,
        dy: Array,
        saved: Any,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as conv2d_backward."""

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
        """batchnorm, then relu if asked, then pooling if asked -> y, saved."""

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
        """-> dx, dgamma, dbeta as batchnorm_backward."""

    def add_block_forward(self, a: Array, b: Array) -> Array:
        """relu(a + b), equal shapes, -> y; the gradient of both is `relu_backward(dy, y)`."""

    def linear_block_forward(self, x: Array, w: np.ndarray, b: np.ndarray | None) -> Array:
        """relu(linear) -> y; y is all that the backward function needs."""

    def linear_block_backward(
        self,
        dy: Array,
        y: Array,
        x: Array,
        w: np.ndarray,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as linear_backward."""
