"""What every layer is: parameters, forward, backward, and the two ends where arrays enter and leave the backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import geometry

Shape = tuple[int, ...]


class Parameter:
    """A trainable array and its gradient.

    name: unique in its model, e.g. "0.weight". data, grad: C-contiguous arrays of one shape and dtype, changed in place by
    optimisers and `backward`. decay: whether weight decay is due when an optimiser is told to spare biases and norms.
    """

    def __init__(self, data: np.ndarray, name: str, decay: bool = True) -> None:
        self.name = name
        self.data = np.ascontiguousarray(data)
        self.grad = np.zeros_like(self.data)
        self.decay = decay

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.data.shape}, dtype={self.data.dtype})"


class Layer:
    """Base of all layers. A subclass writes `_forward` and `_backward` on backend arrays; users call `forward` and `backward`.

    `_forward` checks shapes, remembers what `_backward` needs and delegates the arithmetic to `self.kernels`.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else type(self).__name__
        self.kernels: Any = None
        self.need_dx = True
        """False for a model's first layer: its `_backward` may then return None instead of an input gradient."""

    # ---- to be written by each layer -----------------------------------------------------------------------------------

    def _forward(self, x: Any, train: bool) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _forward")

    def _backward(self, dy: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _backward")

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image's output for the shape of one image's input, (C, H, W) or (F,); checks it."""
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications with addition that one image of this input shape costs in the forward pass."""
        return 0

    # ---- the same for all ------------------------------------------------------------------------------------------------

    def parameters(self) -> list[Parameter]:
        """Trainable parameters in order of construction."""
        return [value for value in vars(self).values() if isinstance(value, Parameter)]

    def buffers(self) -> dict[str, np.ndarray]:
        """Arrays that are saved but not trained, by name (running statistics)."""
        return {}

    def children(self) -> list[Layer]:
        """Layers inside this one, in order."""
        return []

    def forward(self, x: Any, train: bool = False) -> np.ndarray:
        """Output for a batch.

        x: array (N, C, H, W) or (N, F), float; it is converted to the layer's dtype (that of its parameters; without
        parameters x's own). train: whether this is a training step (dropout, batch statistics). Remembers what `backward` needs.
        Raises ValueError or TypeError that names the layer for a wrong shape or dtype.
        """
        backend = self.kernels = kernels.current()
        entered = backend.enter(geometry.float_array(self.name, "input", x, self.dtype))
        return backend.leave(self.run(entered, train))

    def backward(self, dy: Any) -> np.ndarray | None:
        """Input gradient dx for the output gradient dy of the last `forward`; overwrites `grad` of every parameter."""
        if self.kernels is None:
            raise RuntimeError(f"{self.name}: call forward before backward")
        dy = geometry.float_array(self.name, "dy", dy, self._y_dtype)
        geometry.same_shape(self.name, "dy", dy.shape, self._y_shape, "the last output's")
        dx = self._backward(self.kernels.enter(dy))
        return None if dx is None else self.kernels.leave(dx)

    def run(self, x: Any, train: bool) -> Any:
        """`forward` between layers: backend array in, backend array out."""
        self.kernels = kernels.current()
        y = self._forward(x, train)
        self._y_shape, self._y_dtype = y.shape, y.dtype
        return y

    def release(self) -> None:
        """Forget what the last forward remembered (memory of batch size)."""
        for name in self._remembered:
            self.__dict__.pop(name, None)
        for child in self.children():
            child.release()

    _remembered: tuple[str, ...] = ("_x", "_y")

    @property
    def dtype(self) -> np.dtype | None:
        """dtype of the parameters, here or in the layers inside; None without parameters."""
        for parameter in self.parameters():
            return parameter.data.dtype
        return None

    def astype(self, dtype: Any) -> Layer:
        """Convert parameters, gradients and buffers to float32 or float64, in place; returns self."""
        dtype = np.dtype(dtype)
        if dtype not in geometry.FLOATS:
            raise TypeError(f"{self.name}: dtype must be float32 or float64, got {dtype}")
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = parameter.grad.astype(dtype)
        self._convert_buffers(dtype)
        for child in self.children():
            child.astype(dtype)
        return self

    def _convert_buffers(self, dtype: np.dtype) -> None:
        """Hook for layers with buffers."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """The constructor's arguments, for `repr` and the summary table."""
        return ""
