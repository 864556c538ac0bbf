"""Capsules: (N, I, D) is I vectors of D values for each image."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minidl.kernels.contract.types import Array


class Capsules(Protocol):
    """The operations of this file."""

    def squash_forward(self, x: Array, dim: int) -> Array:
        """Capsules of `dim` values out of maps, squashed: (N, T*dim, H, W) -> (N, T*H*W, dim).

        y[n, (t*H + h)*W + w] = squash(s), s[d] = x[n, t*dim + d, h, w], squash(s) = s |s| / (1 + |s|^2). An x (N, F)
        counts as maps of one pixel.
        """

    def squash_backward(self, dy: Array, x: Array, dim: int) -> Array:
        """ds = dy |s| / (1 + |s|^2) + s (s . dy) (1 - |s|^2) / (|s| (1 + |s|^2)^2), 0 where s = 0; dx of x's shape."""

    def capsules_forward(self, u: Array, w: np.ndarray, routings: int) -> tuple[Array, Any]:
        """Routing by agreement -> v, saved (opaque, for the backward function).

        u (N, I, D), w (I, J, E, D) -> v (N, J, E). Votes a[i,j] = w[i,j] u[i]; logits b[i,j] = 0; then `routings` times
        c[i] = softmax over j of b[i], s[j] = sum_i c[i,j] a[i,j], v[j] = squash(s[j]), and, but for the last time,
        b[i,j] += a[i,j] . v[j].
        """

    def capsules_backward(
        self,
        dv: Array,
        saved: Any,
        u: Array,
        w: np.ndarray,
        routings: int,
        need_dx: bool = True,
        out: np.ndarray | None = None,
    ) -> tuple[Array | None, np.ndarray]:
        """-> du (None unless need_dx), dw (`out`, if given): the whole gradient, through all passes' couplings."""

    def capsule_length_forward(self, v: Array) -> Array:
        """(N, J, E) -> (N, J): y = |v|, the square root of the sum of squares."""

    def capsule_length_backward(self, dy: Array, v: Array, y: Array) -> Array:
        """dv = dy v / y, 0 where y = 0."""

    def capsule_mask(self, v: Array, labels: np.ndarray) -> Array:
        """Zero in all capsules of v (N, J, E) but labels[n], (N,) intp in [0, J). Its own backward function."""
