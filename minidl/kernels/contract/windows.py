"""Convolution, its transpose and its matrix form, and pooling."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Array, Padding, Pair


class Windows(Protocol):
    """The operations of this file."""

    # ---- convolution -------------------------------------------------------------------------------------------------

    def conv2d_forward(
        self, x: Array, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Array:
        """y[n,o,oh,ow] = b[o] + sum_{c,kh,kw} x[n, g*C/G + c, oh*SH - PH + kh*DH, ow*SW - PW + kw*DW] * w[o,c,kh,kw].

        x (N, C, H, W), w (O, C/G, KH, KW), b (O,) or None, g = o // (O/G); zeros outside x;
        OH = (H + top + bottom - DH (KH-1) - 1) // SH + 1. A cross-correlation, as everywhere in deep learning.
        """

    def conv2d_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx (None unless need_dx), dw, db. `out` = (dw, db) to be overwritten; a None there is not computed."""

    def conv_transpose2d_forward(
        self,
        x: Array,
        w: np.ndarray,
        b: np.ndarray | None,
        stride: Pair,
        padding: Padding,
        output_padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        """y[n, g*O/G + o, ih*SH - PH + kh*DH, iw*SW - PW + kw*DW] = b + the sum of all x[n,c,ih,iw] * w[c,o,kh,kw]
        there.

        x (N, C, H, W), w (C, O/G, KH, KW), b (O,) or None, g = c // (C/G); padding not in words; what falls outside of
        y is lost. OH = (H - 1) SH - top - bottom + DH (KH-1) + 1 + output_padding, which is smaller than SH or DH. The
        transpose of conv2d_forward: with the same w, its input gradient.
        """

    def conv_transpose2d_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        output_padding: Pair,
        dilation: Pair,
        groups: int,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as conv2d_backward; dx is the convolution of dy with w."""

    # ---- pooling -----------------------------------------------------------------------------------------------------

    def maxpool2d_forward(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array]:
        """-> y, argmax. argmax[n,c,oh,ow] = ih*W + iw of the maximum, int32.

        The window's places are oh*SH - PH + kh*DH, ow*SW - PW + kw*DW; OH as in conv2d_forward, or, with ceil_mode,
        that quotient rounded up, as far as the last window starts before row H. The first maximum in row-major order
        wins; padding never wins; the first NaN of a window wins over everything.
        """

    def maxpool2d_backward(
        self,
        dy: Array,
        argmax: Array,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> Array:
        """dx: each dy added at its argmax; overlapping windows add."""

    def avgpool2d_forward(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Sum over KH x KW windows, divided by the number of places that count: those in the padded image, padding as
        zeros (in all windows KH*KW, but for the last of ceil_mode); without count_include_pad those in the image.
        """

    def avgpool2d_backward(
        self,
        dy: Array,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """dx: dy, divided as in the forward function, added over each window."""

    def adaptive_avgpool_forward(self, x: Array, output_size: Pair) -> Array:
        """(N, C, H, W) -> (N, C, OH, OW): means over rows oh*H // OH up to ceil((oh+1)*H / OH), columns likewise."""

    def adaptive_avgpool_backward(self, dy: Array, x_shape: tuple[int, ...]) -> Array:
        """dx: dy, divided by its window's size, added over each window."""

    def global_maxpool_forward(self, x: Array) -> tuple[Array, Array]:
        """(N, C, H, W) -> y, argmax, both (N, C): the maximum over H and W and its place, as maxpool2d_forward's."""

    def global_maxpool_backward(self, dy: Array, argmax: Array, x_shape: tuple[int, ...]) -> Array:
        """dx: dy at its argmax, 0 elsewhere."""

    def global_avgpool_forward(self, x: Array) -> Array:
        """(N, C, H, W) -> (N, C), mean over H and W."""

    def global_avgpool_backward(self, dy: Array, x_shape: tuple[int, ...]) -> Array:
        """dx = dy / (H*W) everywhere."""

    # ---- matrix form of a convolution (always plain NCHW ndarrays) ---------------------------------------------------

    def im2col(self, x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
        """(N, C, H, W) -> (C*KH*KW, N*OH*OW): column n*OH*OW + oh*OW + ow holds the window of output (n, oh, ow)."""

    def col2im(
        self,
        cols: np.ndarray,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> np.ndarray:
        """The adjoint of im2col: every entry of cols added to the place that it came from."""
