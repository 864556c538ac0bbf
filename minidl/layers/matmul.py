"""Products of matrices that both come from the images.

MatMul   y = a b        da = dy b^T        db = a^T dy
"""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels import functions
from minidl.layers.merge import Merge
from minidl.support.several import Shape, parted

__all__ = ["MatMul"]


class MatMul(Merge):
    """The first of two inputs times the second, matrices of the same image: (N, M, K) and (N, K, P) to (N, M, P).

    Or with S matrices an image, (N, S, M, K) and (N, S, K, P) to (N, S, M, P), where an S of 1 goes with all of the
    other input's: the heads of an attention (Vaswani et al. 2017, arXiv 1706.03762). `Transpose` turns a factor, and
    `Softmax(-1)` makes shares of scores. Raises ValueError that names the layer and the shapes where they do not fit.
    """

    _remembered = ("_factors",)
    _ranks = (3, 4)
    _most = 2
    _factors: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _merged(self, shapes: list[Shape]) -> Shape:
        return functions.product(self.who, *(tuple(shape) for shape in shapes))

    def _infer(self, x: Any) -> Any:
        return self.kernels.matmul_forward(*x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._factors = tuple(x)
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._factors is None:
            raise self._unready()
        return self.kernels.matmul_backward(dy, *self._factors)

    def multiply_adds(self, shape: Shape) -> int:
        """K for each number of the product."""
        a, b = parted((1, *shape))
        return a[-1] * math.prod(self._merged([a, b]))
