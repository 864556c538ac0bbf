"""Local response normalisation: each value is divided by a power of what its neighbours in other channels sum to.

    y[n,c] = x[n,c] / s[n,c]^beta,  s[n,c] = k + alpha/size * sum of x[n,i]^2 over channels i around c
    dx[c] = dy[c] / s[c]^beta - 2 alpha beta/size x[c] * sum of dy[i] x[i] / s[i]^(beta + 1) over i whose sums hold c

Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 3.3.
"""

from __future__ import annotations

from typing import Any

from minidl.kernels import checks
from minidl.layers.base import Layer, Shape

__all__ = ["LocalResponseNorm"]


class LocalResponseNorm(Layer):
    """Normalisation of (N, C, H, W) by the squares of `size` neighbouring channels, c - size // 2 up to
    c + (size - 1) // 2.

    alpha, beta: at least 0; k: positive. As PyTorch's, and for odd sizes ONNX's LRN, whose alpha is divided by the size
    likewise. Raises TypeError or ValueError that names the layer for arguments and inputs outside these rules.
    """

    _remembered = ("_x",)
    _x: Any

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.size = checks.integer(self.name, "size", size, 1)
        self.alpha = checks.real(self.name, "alpha", alpha, "at least 0", lambda a: a >= 0)
        self.beta = checks.real(self.name, "beta", beta, "at least 0", lambda b: b >= 0)
        self.k = checks.real(self.name, "k", k, "positive", lambda k: k > 0)

    def _check(self, x_shape: Shape) -> Shape:
        if len(x_shape) != 4 or min(x_shape[1:]) < 1:
            rule = "4 dimensions (N, C, H, W), only N of them 0"
            raise ValueError(f"{self.who}: input must have {rule}, got shape {tuple(x_shape)}")
        return x_shape

    def _infer(self, x: Any) -> Any:
        return self.kernels.local_response_forward(x, self.size, self.alpha, self.beta, self.k)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return LocalResponseNorm._infer(self, x)  # not a subclass's, which may come back here

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        return self.kernels.local_response_backward(dy, self._x, self.size, self.alpha, self.beta, self.k)
