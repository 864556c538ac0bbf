"""Activations, element by element.

    Relu      y = max(x, 0)              dx = dy where y > 0, else 0 (so the derivative at 0 is 0); a NaN stays a NaN
    Sigmoid   y = 1 / (1 + exp(-x))      dx = dy * y * (1 - y)
    Tanh      y = tanh(x)                dx = dy * (1 - y^2)
    LeakyRelu y = x, slope * x at x <= 0            dx = dy, slope * dy at y <= 0
    Elu       y = x, alpha (exp(x) - 1) at x <= 0   dx = dy, dy * (y + alpha) at y <= 0
    Gelu      y = x * Phi(x)             dx = dy * (Phi(x) + x * phi(x)), Phi and phi the normal distribution's
    Softplus  y = log(1 + exp(x))        dx = dy * (1 - exp(-y))

Each backward needs the last result y alone, that of Gelu the last input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers.base import Layer

__all__ = ["Elu", "Gelu", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Tanh"]


class _Activation(Layer):
    """Base of those whose backward function takes the result y; as it stands, of those without settings."""

    _operations: tuple[str, str]
    """The backend's forward and backward function."""
    _remembered = ("_y",)
    _ranks = (2, 3, 4)
    _y: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _infer(self, x: Any) -> Any:
        return getattr(self.kernels, self._operations[0])(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = getattr(self.kernels, self._operations[0])(x)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return getattr(self.kernels, self._operations[1])(dy, self._y)


class _Kinked(_Activation):
    """Base of those with a kink at 0, where y is 0, too."""

    def kinks(self) -> list[np.ndarray]:
        """Which elements are positive."""
        return [] if self._y is None else [self.kernels.leave(self._y) > 0]


class Relu(_Kinked):
    """Rectifier max(x, 0), for inputs of any shape (N, ...)."""

    _operations = ("relu_forward", "relu_backward")


class Sigmoid(_Activation):
    """Logistic function 1 / (1 + exp(-x)), without overflow, for inputs of any shape (N, ...)."""

    _operations = ("sigmoid_forward", "sigmoid_backward")


class Tanh(_Activation):
    """Hyperbolic tangent, for inputs of any shape (N, ...)."""

    _operations = ("tanh_forward", "tanh_backward")


class LeakyRelu(_Kinked):
    """x where x > 0, else slope * x, for inputs of any shape (N, ...).

    Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve neural network acoustic models". slope: in [0, 1].
    The derivative at 0 is the slope. Raises TypeError or ValueError for other slopes.
    """

    def __init__(self, slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.slope = checks.real(self.name, "slope", slope, "in [0, 1]", lambda s: 0 <= s <= 1)

    def _infer(self, x: Any) -> Any:
        return self.kernels.leaky_relu_forward(x, self.slope)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self.kernels.leaky_relu_forward(x, self.slope)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.leaky_relu_backward(dy, self._y, self.slope)


class Elu(_Kinked):
    """x where x > 0, else alpha * (exp(x) - 1), for inputs of any shape (N, ...).

    Clevert, Unterthiner, Hochreiter 2016, arXiv 1511.07289. alpha: positive; -alpha bounds the results. The derivative
    at 0 is alpha. Raises TypeError or ValueError for other alphas.
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.alpha = checks.real(self.name, "alpha", alpha, "positive", lambda a: a > 0)

    def _infer(self, x: Any) -> Any:
        return self.kernels.elu_forward(x, self.alpha)

    def _forward(self, x: Any, train: bool) -> Any:
        self._y = y = self.kernels.elu_forward(x, self.alpha)
        return y

    def _backward(self, dy: Any) -> Any:
        if self._y is None:
            raise self._unready()
        return self.kernels.elu_backward(dy, self._y, self.alpha)


class Gelu(Layer):
    """Gaussian error linear unit x * Phi(x), for inputs of any shape (N, ...).

    Hendrycks, Gimpel 2016, arXiv 1606.08415. Phi(x) = (1 + erf(x / sqrt(2))) / 2, to the last digits of the dtype: the
    exact form, which takes one exponential here, as the approximation by tanh would. 0 at -inf (PyTorch: NaN).
    approximate: "none", or "tanh" for that approximation, x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, which some
    networks were trained with. Raises ValueError for others.
    """

    _remembered = ("_x",)
    _ranks = (2, 3, 4)
    _x: Any

    def __init__(self, approximate: str = "none", *, name: str | None = None) -> None:
        super().__init__(name)
        self.approximate = checks.one_of(self.name, "approximate", approximate, ("none", "tanh"))

    def _infer(self, x: Any) -> Any:
        if self.approximate == "tanh":
            return self.kernels.elementwise_forward(x, "gelu_tanh", 0.0, 0.0)
        return self.kernels.gelu_forward(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        if self.approximate == "tanh":
            return self.kernels.elementwise_backward(dy, self._x, "gelu_tanh", 0.0, 0.0)
        return self.kernels.gelu_backward(dy, self._x)


class Softplus(_Activation):
    """Smooth rectifier log(1 + exp(x)), without overflow, for inputs of any shape (N, ...).

    Dugas et al. 2001, "Incorporating second-order functional knowledge"; beside the rectifier: Glorot, Bordes, Bengio
    2011. Its derivative is the sigmoid of x, taken from y: 1 - exp(-y) has all its digits where y is almost 0, too.
    """

    _operations = ("softplus_forward", "softplus_backward")
