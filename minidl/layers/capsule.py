"""Capsules: groups of values whose length says whether something is there, and whose direction says how.

    PrimaryCapsules   (N, T*D, H, W) -> (N, T*H*W, D)    y = squash(s) = s |s| / (1 + |s|^2)
    Capsules          (N, I, D) -> (N, J, E)             routing by agreement, see `Capsules`
    CapsuleLength     (N, J, E) -> (N, J)                y = |v|

Sabour, Frosst, Hinton 2017, "Dynamic routing between capsules" (arXiv 1710.09829). Arrays of capsules have three axes:
image, capsule, value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import initializers
from minidl.layers.base import Layer, Shape
from minidl.layers.initializers import Initializer
from minidl.layers.parameter import Parameter
from minidl.layers.setting import Trained
from minidl.support import random

__all__ = ["CapsuleLength", "Capsules", "PrimaryCapsules"]


class PrimaryCapsules(Layer):
    """Maps (N, T*dim, H, W), a convolution's output, as squashed capsules (N, T*H*W, dim).

    dim: values of a capsule. Channels t*dim to (t + 1)*dim - 1 of a pixel are one capsule of type t; the order is type,
    row, column. Rows (N, F) count as maps of one pixel. Raises ValueError that names the layer for inputs whose
    channels dim does not divide.
    """

    _remembered = ("_x",)
    _x: Any

    def __init__(self, dim: int, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = checks.integer(self.name, "dim", dim, 1)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) not in (2, 4):
            raise ValueError(f"{self.who}: input must have 2 or 4 dimensions, got shape {tuple(x_shape)}")
        if x_shape[1] % self.dim or not x_shape[1]:
            raise ValueError(f"{self.who}: input must have channels in groups of {self.dim}, got {x_shape[1]}")
        return x_shape[0], math.prod(x_shape[1:]) // self.dim, self.dim

    def _infer(self, x: Any) -> Any:
        return self.kernels.squash_forward(x, self.dim)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self.kernels.squash_forward(x, self.dim)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        return self.kernels.squash_backward(dy, self._x, self.dim)


class Capsules(Layer):
    """Capsules (N, in_capsules, in_dim) to capsules (N, capsules, dim) by routing by agreement (the paper's digit
    capsules).

    Each capsule i below votes a[i,j] = w[i,j] u[i] for each capsule j above. Couplings c[i] = softmax over j of b[i],
    from b = 0, weigh the votes: v[j] = squash(sum_i c[i,j] a[i,j]); then b[i,j] grows by the agreement a[i,j] . v[j].
    routings: how often v is computed (the paper's 3). The gradient is the whole one, through the couplings of all
    passes. init: first weights, see `minidl.layers.initializers`; None for a normal distribution of standard deviation
    capsules / sqrt(in_capsules * dim), with which inputs of length 1 give sums of length 1 before they are squashed.
    rng: where they are drawn, a Generator or an int seed; None for minidl's default generator. Parameter: weight
    (in_capsules, capsules, dim, in_dim). Raises TypeError or ValueError that names the layer for arguments and inputs
    outside these rules.
    """

    weight = Trained()
    _remembered = ("_u", "_saved")
    _ranks = (3,)
    _u: Any
    _saved: Any

    def __init__(
        self,
        in_capsules: int,
        in_dim: int,
        capsules: int,
        dim: int,
        routings: int = 3,
        *,
        init: Initializer | None = None,
        rng: np.random.Generator | int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.in_capsules = checks.integer(self.name, "in_capsules", in_capsules, 1)
        self.in_dim = checks.integer(self.name, "in_dim", in_dim, 1)
        self.capsules = checks.integer(self.name, "capsules", capsules, 1)
        self.dim = checks.integer(self.name, "dim", dim, 1)
        self.routings = checks.integer(self.name, "routings", routings, 1)
        self.init = None if callable(init) else init
        shape = (self.in_capsules, self.capsules, self.dim, self.in_dim)
        checks.check_elements(self.name, shape)
        init = self.capsules / math.sqrt(self.in_capsules * self.dim) if init is None else init
        self.weight = Parameter(initializers.draw(self.name, init, shape, random.generator(rng)), "weight")

    def _check(self, x_shape: Shape) -> Shape:
        if tuple(x_shape[1:]) != (self.in_capsules, self.in_dim):
            raise ValueError(
                f"{self.who}: input must be (N, {self.in_capsules}, {self.in_dim}), capsules of {self.in_dim} values,"
                f" got shape {tuple(x_shape)}"
            )
        return x_shape[0], self.capsules, self.dim

    def _infer(self, x: Any) -> Any:
        return self.kernels.capsules_forward(x, self.weight.values, self.routings)[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._u = x
        v, self._saved = self.kernels.capsules_forward(x, self.weight.values, self.routings)
        return v

    def _backward(self, dy: Any) -> Any:
        if self._u is None:
            raise self._unready()
        du, _ = self.kernels.capsules_backward(
            dy, self._saved, self._u, self.weight.values, self.routings, self.need_dx, self.weight.grad
        )
        return du

    def multiply_adds(self, shape: Shape) -> int:
        """in_capsules * capsules * dim * in_dim for the votes, and capsules * dim twice a capsule below and pass."""
        self.output_shape(shape)
        return self.weight.values.size + self.in_capsules * self.capsules * self.dim * (2 * self.routings - 1)


class CapsuleLength(Layer):
    """The lengths of capsules, the scores that `MarginLoss` takes: (N, J, E) to (N, J).

    The gradient at a capsule of length 0 is 0.
    """

    _remembered: tuple[str, ...] = ("_v", "_y")
    _ranks = (3,)
    _v: Any
    _y: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 3:
            raise ValueError(f"{self.who}: input must be capsules (N, J, E), got shape {tuple(x_shape)}")
        return tuple(x_shape[:2])

    def _infer(self, x: Any) -> Any:
        return self.kernels.capsule_length_forward(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._v = x
        self._y = y = self.kernels.capsule_length_forward(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._v is None:
            raise self._unready()
        return self.kernels.capsule_length_backward(dy, self._v, self._y)
