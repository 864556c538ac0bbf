"""Elementwise functions out of the backends' table; the backward pass takes the last input x.

Relu6        y = min(max(x, 0), 6)                    dx = dy where 0 < x < 6
Clip         y = min(max(x, low), high)               dx = dy where low <= x <= high
Silu         y = x s(x), s(x) = 1 / (1 + exp(-x))     dx = dy s(x) (1 + x (1 - s(x)))
HardSigmoid  y = min(max(alpha x + beta, 0), 1)       dx = dy alpha where that is between 0 and 1
HardSwish    y = x min(max(x + 3, 0), 6) / 6          dx = dy (x / 3 + 1/2) where -3 < x < 3, dy from 3 on
Selu         y = gamma x, gamma alpha (exp(x) - 1)    dx = dy gamma, dy gamma alpha exp(x) at x <= 0
Mish         y = x tanh(log(1 + exp(x)))
Elementwise  any of the table: softsign, exp, log, sqrt, pow, erf, abs, neg, reciprocal and those above
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import functions
from minidl.layers.base import Layer

__all__ = ["Clip", "Elementwise", "HardSigmoid", "HardSwish", "Mish", "Relu6", "Selu", "Silu"]


class _Function(Layer):
    """A kind of the table, and its two parameters."""

    _remembered = ("_x",)
    _ranks = (2, 3, 4)
    _x: Any

    def __init__(self, kind: str, *parameters: float | None, name: str | None = None) -> None:
        super().__init__(name)
        self._kind = functions.kind_of(self.name, kind)
        self._parameters = functions.parameters(self.name, kind, *parameters)

    def _infer(self, x: Any) -> Any:
        return self.kernels.elementwise_forward(x, self._kind, *self._parameters)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self.kernels.elementwise_forward(x, self._kind, *self._parameters)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        return self.kernels.elementwise_backward(dy, self._x, self._kind, *self._parameters)

    def kinks(self) -> list[np.ndarray]:
        """Which elements are above each edge."""
        if self._x is None:
            return []
        x = self.kernels.leave(self._x)
        return [x > edge for edge in functions.edges(self._kind, *self._parameters)]


class Elementwise(_Function):
    """A function of each element by its name, for inputs of any shape (N, ...).

    kind: one of `minidl.kernels.functions.KINDS`; a, b: its parameters where it has any ("pow": the exponent), None for
    their defaults. The formulas, slopes and edges stand in docs/operations.md. Raises TypeError or ValueError for other
    kinds and parameters.
    """

    def __init__(self, kind: str, a: float | None = None, b: float | None = None, *, name: str | None = None) -> None:
        super().__init__(kind, a, b, name=name)
        self.kind, self.a, self.b = kind, a, b


class Relu6(_Function):
    """min(max(x, 0), 6), for inputs of any shape (N, ...). The derivative is 0 at 0 and at 6, as PyTorch's.

    Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("hard_tanh", 0.0, 6.0, name=name)


class Clip(_Function):
    """min(max(x, low), high), for inputs of any shape (N, ...). The derivative is 1 at both limits, as PyTorch's clamp.

    low, high: numbers, low at most high; None for no limit. Raises TypeError or ValueError for others.
    """

    def __init__(self, low: float | None = None, high: float | None = None, *, name: str | None = None) -> None:
        super().__init__("clip", low, high, name=name)
        self.low, self.high = low, high


class Silu(_Function):
    """x / (1 + exp(-x)), also called swish, for inputs of any shape (N, ...). 0 at -inf (PyTorch: NaN).

    Elfwing, Uchibe, Doya 2018, arXiv 1702.03118; Ramachandran, Zoph, Le 2017, arXiv 1710.05941.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("silu", name=name)


class HardSigmoid(_Function):
    """min(max(alpha x + beta, 0), 1), for inputs of any shape (N, ...). The derivative is 0 at both edges.

    alpha: positive. The defaults are those of MobileNetV3 and PyTorch; ONNX's are 0.2 and 0.5. Raises TypeError or
    ValueError for other alphas.
    """

    def __init__(self, alpha: float = 1 / 6, beta: float = 0.5, *, name: str | None = None) -> None:
        super().__init__("hard_sigmoid", alpha, beta, name=name)
        self.alpha, self.beta = alpha, beta


class HardSwish(_Function):
    """x min(max(x + 3, 0), 6) / 6, for inputs of any shape (N, ...). The derivative is 0 at -3 and 1 at 3.

    Howard et al. 2019, arXiv 1905.02244.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("hard_swish", name=name)


class Selu(_Function):
    """gamma x where x > 0, else gamma alpha (exp(x) - 1), for inputs of any shape (N, ...).

    Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv 1706.02515: with their alpha and gamma, the defaults, layers
    keep mean 0 and variance 1. The derivative at 0 is gamma alpha.
    """

    def __init__(
        self,
        alpha: float = 1.6732632423543772,
        gamma: float = 1.0507009873554805,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__("selu", alpha, gamma, name=name)
        self.alpha, self.gamma = alpha, gamma


class Mish(_Function):
    """x tanh(log(1 + exp(x))), for inputs of any shape (N, ...). Misra 2019, arXiv 1908.08681."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("mish", name=name)
