"""Boxes of images, and images of another size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Array, Taps


class Boxes(Protocol):
    """The operations of this file."""

    def boxes_forward(
        self, xs: tuple[Array, ...], shape: tuple[int, ...], boxes: np.ndarray, fill: float = 0.0
    ) -> Array:
        """Strided boxes of the images of xs, side by side: y (N, *shape).

        xs: at least one array of N images, of any shapes. boxes: a table, intp, as `minidl.kernels.boxes` says; each
        value of y is given at most once. What no box gives is `fill`. Numbers come through as they are, a NaN too.
        """

    def boxes_backward(self, dy: Array, x_shape: tuple[int, ...], boxes: np.ndarray, source: int = 0) -> Array:
        """dx of xs[source]: each dy added where it came from; what came from nowhere is lost."""

    def resize_forward(self, x: Array, rows: Taps, columns: Taps) -> Array:
        """x (N, C, H, W) -> (N, C, OH, OW), each row and each column a weighted sum of a few: with rows = r, u and
        columns = c, v

        y[n,c,oh,ow] = sum_{i,j} u[oh,i] v[ow,j] x[n, c, r[oh,i], c[ow,j]]. Indices are in [0, H) and [0, W). A weight
        of 0 counts nothing, whatever stands there.
        """

    def resize_backward(self, dy: Array, x_shape: tuple[int, ...], rows: Taps, columns: Taps) -> Array:
        """dx: u[oh,i] v[ow,j] dy[n,c,oh,ow] added at (r[oh,i], c[ow,j])."""
