"""Linear layers, activations, elementwise functions, arithmetic, products of matrices, and axes."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minidl.kernels.contract.types import Array, Operand


class Values(Protocol):
    """The operations of this file."""

    # ---- linear ------------------------------------------------------------------------------------------------------

    def linear_forward(self, x: Array, w: np.ndarray, b: np.ndarray | None) -> Array:
        """y = x w^T + b. x (N, F), w (O, F), b (O,) or None -> (N, O)."""

    def linear_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """dx = dy w (None unless need_dx), dw = dy^T x, db = sum_n dy. `out` as in conv2d_backward."""

    # ---- activations: the backward functions take the forward's result y; that of gelu takes x -----------------------

    def relu_forward(self, x: Array) -> Array:
        """max(x, 0); a NaN stays a NaN."""

    def relu_backward(self, dy: Array, y: Array) -> Array:
        """dy where y > 0, else 0. (x may stand for y: both have the same sign.)"""

    def sigmoid_forward(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), without overflow."""

    def sigmoid_backward(self, dy: Array, y: Array) -> Array:
        """dy * y * (1 - y)"""

    def tanh_forward(self, x: Array) -> Array:
        """tanh(x)"""

    def tanh_backward(self, dy: Array, y: Array) -> Array:
        """dy * (1 - y^2)"""

    def leaky_relu_forward(self, x: Array, slope: float) -> Array:
        """x where x > 0, else slope * x. slope in [0, 1]."""

    def leaky_relu_backward(self, dy: Array, y: Array, slope: float) -> Array:
        """dy where y > 0, else slope * dy."""

    def elu_forward(self, x: Array, alpha: float) -> Array:
        """x where x > 0, else alpha * (exp(x) - 1), without cancellation near 0. alpha positive."""

    def elu_backward(self, dy: Array, y: Array, alpha: float) -> Array:
        """dy where y > 0, else dy * (y + alpha)."""

    def gelu_forward(self, x: Array) -> Array:
        """x * Phi(x), Phi the standard normal distribution: (1 + erf(x / sqrt(2))) / 2. 0 at -inf, its limit."""

    def gelu_backward(self, dy: Array, x: Array) -> Array:
        """dy * (Phi(x) + x * phi(x)), phi(x) = exp(-x^2 / 2) / sqrt(2 pi); dy * 0 at -inf, dy at inf."""

    def softplus_forward(self, x: Array) -> Array:
        """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), without overflow; exp(x) far below 0."""

    def softplus_backward(self, dy: Array, y: Array) -> Array:
        """dy * (1 - exp(-y)), without cancellation near y = 0."""

    # ---- elementwise functions, arithmetic with broadcasting, axes ---------------------------------------------------

    def elementwise_forward(self, x: Array, kind: str, a: float, b: float) -> Array:
        """f(x) of a kind, with parameters a and b, rounded to x's dtype. A NaN stays a NaN, but for pow with a = 0.

            kind          f(x)                                      slope
            clip          min(max(x, a), b), a <= b                 1 where a <= x <= b, edges included
            hard_tanh     the same                                  1 where a < x < b
            hard_sigmoid  min(max(a x + b, 0), 1), a > 0            a where -b/a < x < (1 - b)/a
            hard_swish    x min(max(x + 3, 0), 6) / 6               x / 3 + 1/2 where -3 < x < 3, 1 from 3 on
            silu          x s(x), s(x) = 1 / (1 + exp(-x))          s(x) (1 + x (1 - s(x)))
            selu          b x where x > 0, else a b (exp(x) - 1)    b where x > 0, else a b exp(x)
            mish          x t(x), t(x) = tanh(log(1 + exp(x)))      t(x) + x (1 - t(x)^2) s(x)
            gelu_tanh     x s(2u), u = sqrt(2/pi) (x + k x^3)       s(2u) (1 + 2 x (1 - s(2u)) u'), k = 0.044715
            softsign      x / (1 + |x|)                             1 / (1 + |x|)^2
            exp           exp(x)                                    exp(x)
            log           log(x): -inf at 0, NaN below              1 / x
            sqrt          sqrt(x): NaN below 0                      1 / (2 sqrt(x))
            pow           x^a; NaN below 0 where a is not whole     a x^(a - 1), 0 for a = 0
            erf           2 / sqrt(pi) int_0^x exp(-t^2) dt         2 / sqrt(pi) exp(-x^2)
            abs           |x|                                       sign(x), that of a NaN is a NaN
            neg           -x                                        -1
            reciprocal    1 / x                                     -1 / x^2

        Slopes that are stated for some x are 0 elsewhere, and at NaN. At -inf and inf each is its limit. Nothing
        overflows on the way; results out of range are infinite.
        """

    def elementwise_backward(self, dy: Array, x: Array, kind: str, a: float, b: float) -> Array:
        """dy times the slope at x."""

    def arithmetic_forward(self, a: Operand, b: Operand, operator: str) -> Array:
        """a + b, a - b, a * b, a / b; or "prelu": a where a > 0, else a * b.

        Shapes have as many dimensions, 2 to 4, and equal sizes, but that a size of 1 goes with all sizes of the other
        one. One operand, or both, are Arrays, of equally many images; the other may be an ndarray (1, ...).
        """

    def arithmetic_backward(
        self, dy: Array, a: Operand, b: Operand, operator: str, need: tuple[bool, bool] = (True, True)
    ) -> tuple[Operand | None, Operand | None]:
        """-> da, db, each as its operand, or None where it is not needed: dy, dy; dy, -dy; dy b, dy a; dy / b,
        -dy (a / b) / b; of prelu dy, 0 where a > 0, else dy b, dy a. Summed over what was broadcast, also over images.
        """

    def matmul_forward(self, a: Array, b: Array) -> Array:
        """y[n,s,m,p] = sum_k a[n,s,m,k] * b[n,s,k,p]: the matrices of one image multiplied, no two images mixed.

        a (N, M, K) and b (N, K, P) -> (N, M, P); or with S matrices an image, a (N, S, M, K) and b (N, S, K, P) -> (N,
        S, M, P), where an S of 1 goes with all S of the other one. y is 0 where K is.
        """

    def matmul_backward(
        self, dy: Array, a: Array, b: Array, need: tuple[bool, bool] = (True, True)
    ) -> tuple[Array | None, Array | None]:
        """-> da = dy b^T, db = a^T dy, or None where it is not needed; of an S of 1 summed over those it went with."""

    def reduce_forward(self, x: Array, kind: str, axes: tuple[int, ...]) -> Array:
        """The sum, mean or max over axes, some of 1 to x.ndim - 1 in order, which have the size 1 afterwards.

        An axis of a maximum is not empty; the first NaN wins over everything. The mean over nothing is 0.
        """

    def reduce_backward(
        self,
        dy: Array,
        kind: str,
        axes: tuple[int, ...],
        x_shape: tuple[int, ...],
        x: Array | None = None,
        y: Array | None = None,
    ) -> Array:
        """dx: dy everywhere; divided by their number for a mean; for "max", which takes x and y, at the first largest
        in row-major order, or first NaN, and 0 elsewhere.
        """

    def softmax_forward(self, x: Array, axes: tuple[int, ...], log: bool = False) -> Array:
        """y = exp(x - m) / sum exp(x - m), m the maximum, over axes, neighbours in order; log: its logarithm,
        x - m - log(sum exp(x - m)). None of the axes is empty. NaN where a value is NaN or inf, or all are -inf.
        """

    def softmax_backward(self, dy: Array, y: Array, axes: tuple[int, ...], log: bool = False) -> Array:
        """dx = y (dy - sum dy y); log: dy - exp(y) sum dy."""
