"""What every layer is: parameters, forward, backward, and the two ends where arrays enter and leave the backend."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from minidl import kernels
from minidl.kernels import checks

Shape = tuple[int, ...]
LayerT = TypeVar("LayerT", bound="Layer")


class Parameter:
    """A trainable array and its gradient.

    name: unique in its model, e.g. "0.weight". data, grad: C-contiguous arrays of one shape and dtype, changed in
    place by optimisers and `backward`. decay: whether weight decay is due when an optimiser is told to spare biases
    and norms. frozen: optimisers leave it as it is; see `Layer.freeze`.
    """

    def __init__(self, data: np.ndarray, name: str, decay: bool = True) -> None:
        self.name = name
        self.data = _aligned(data)
        self.grad = _aligned(np.zeros_like(self.data))
        self.decay = decay
        self.frozen = False

    def __repr__(self) -> str:
        """Name, shape and dtype."""
        return f"Parameter({self.name!r}, shape={self.data.shape}, dtype={self.data.dtype})"


def _aligned(a: np.ndarray) -> np.ndarray:
    """A C-contiguous copy of `a` that starts at a cache line, so that no vector of its rows need straddle two."""
    memory = np.empty(a.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


class Layer:
    """Base of all layers. A subclass writes `_forward`, `_backward` and, where the shape changes, `_check`.

    `_check` refuses input shapes and is asked only when the shape differs from the last one, so that a training step
    repeats no checks. `_forward` and `_backward` work on the backend's arrays: they remember and delegate the
    arithmetic to `self.kernels`. Users call `forward` and `backward`, on numpy arrays.

    name: how the layer calls itself in messages and tables; None for the name of its class.
    The constructor's arguments stay readable as attributes of the same names; they are not to be changed afterwards.
    """

    _remembered: tuple[str, ...] = ()
    """Attributes that `_forward` leaves for `_backward`; None before the first forward and after `release`."""
    _ranks: tuple[int, ...] = (2, 4)
    """Dimensions that an input may have."""
    _buffers: tuple[str, ...] = ()
    """Attributes with arrays that are saved but not trained."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else type(self).__name__
        self.kernels: Any = None
        self.need_dx = True
        """False for a model's first layer: its `_backward` may then return None instead of an input gradient."""
        self._path = ""
        self._x_shape: Shape | None = None
        self._x_dtype: np.dtype | None = None
        self._y_shape: Shape = ()
        for attribute in self._remembered:
            setattr(self, attribute, None)

    # ---- to be written by each layer -------------------------------------------------------------------------------

    def _forward(self, x: Any, train: bool) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _forward")

    def _backward(self, dy: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _backward")

    def _check(self, x_shape: Shape) -> Shape:
        """Output shape, batch included, for an input shape, batch included; ValueError if the layer cannot take it."""
        return x_shape

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications with addition that one image of this input shape costs in the forward pass."""
        return 0

    # ---- shapes, parameters, buffers -------------------------------------------------------------------------------

    @property
    def who(self) -> str:
        """The layer as messages name it: its place in the model, if it has one, and its name."""
        return f"layer {self._path} ({self.name})" if self._path else self.name

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image's output for the shape of one image's input, (C, H, W) or (F,).

        Raises ValueError that names the layer if it cannot take the shape.
        """
        return self._check((1, *shape))[1:]

    def named_children(self) -> dict[str, Layer]:
        """Layers inside this one by the name that they have in parameter names, in order."""
        return {}

    def children(self) -> list[Layer]:
        """Layers inside this one, in order."""
        return list(self.named_children().values())

    def parameters(self) -> list[Parameter]:
        """Trainable parameters in order of construction, those of the layers inside included."""
        found = [value for value in vars(self).values() if isinstance(value, Parameter)]
        for child in self.children():
            found += child.parameters()
        return found

    def freeze(self: LayerT, frozen: bool = True) -> LayerT:
        """Keep optimisers from changing the parameters, here and in the layers inside; False lets them; returns self.

        A training step computes no gradients for the frozen layers that a model begins with. Running statistics of a
        batch normalisation go on.
        """
        for parameter in self.parameters():
            parameter.frozen = bool(frozen)
        return self

    def buffers(self) -> dict[str, np.ndarray]:
        """Arrays that are saved but not trained (running statistics), by name relative to this layer."""
        found = {attribute: getattr(self, attribute) for attribute in self._buffers}
        for key, child in self.named_children().items():
            found.update({f"{key}.{name}": array for name, array in child.buffers().items()})
        return found

    @property
    def dtype(self) -> np.dtype | None:
        """dtype of the parameters, here or in the layers inside; None without parameters."""
        for parameter in self.parameters():
            return parameter.data.dtype
        return None

    def astype(self: LayerT, dtype: Any) -> LayerT:
        """Convert parameters, gradients and buffers to float32 or float64, in place; returns self.

        Raises TypeError for other dtypes.
        """
        dtype = np.dtype(dtype)
        if dtype not in checks.FLOATS:
            raise TypeError(f"{self.who}: dtype must be float32 or float64, got {dtype}")
        for value in vars(self).values():
            if isinstance(value, Parameter):
                value.data = _aligned(value.data.astype(dtype))
                value.grad = _aligned(value.grad.astype(dtype))
        for attribute in self._buffers:
            setattr(self, attribute, getattr(self, attribute).astype(dtype))
        for attribute in self._remembered:
            setattr(self, attribute, None)
        self._x_shape = None
        for child in self.children():
            child.astype(dtype)
        return self

    def _locate(self, path: str) -> None:
        """Take a place in a model: the path goes into messages and into the names of parameters, here and inside."""
        self._path = path
        prefix = f"{path}." if path else ""
        for attribute, value in vars(self).items():
            if isinstance(value, Parameter):
                value.name = prefix + attribute
        for key, child in self.named_children().items():
            child._locate(prefix + key)

    # ---- forward and backward --------------------------------------------------------------------------------------

    def forward(self, x: Any, train: bool = False) -> np.ndarray:
        """Output for a batch.

        x: array (N, C, H, W) or (N, F), of capsules (N, I, D), float; it is converted to the layer's dtype (that of its
        parameters; without parameters x's own). train: whether this is a training step (dropout, batch statistics).
        Remembers what `backward` needs, x and the result among it, without a copy: change them in place only after
        `backward`. Raises ValueError or TypeError that names the layer for a wrong shape or dtype.
        """
        x = checks.float_array(self.who, "input", x, self.dtype)
        if x.shape != self._x_shape or x.dtype != self._x_dtype:
            self._admit(x)
        backend = kernels.current()
        return backend.leave(self.run(backend.enter(x), train))

    def backward(self, dy: Any) -> np.ndarray:
        """Input gradient dx for the output gradient dy of the last forward; overwrites `grad` of every parameter.

        dy: float array of the last output's shape. May be called again for the same forward. Raises RuntimeError
        before the first forward and after `release`, ValueError or TypeError for a wrong dy.
        """
        if self._x_shape is None:
            raise self._unready()
        dy = checks.float_array(self.who, "dy", dy, self._x_dtype)
        checks.same_shape(self.who, "dy", dy.shape, self._y_shape, "the last output's")
        need_dx, self.need_dx = self.need_dx, True
        try:
            dx = self._backward(self.kernels.enter(dy))
        finally:
            self.need_dx = need_dx
        return self.kernels.leave(dx)

    def run(self, x: Any, train: bool) -> Any:
        """`forward` between layers: the backend's array in, the backend's array out."""
        if x.shape != self._x_shape or x.dtype != self._x_dtype:
            self._admit(x)
        self.kernels = kernels.current()
        y = self._forward(x, train)
        self._y_shape = y.shape
        return y

    def infer(self, x: Any) -> Any:
        """`run` with nothing remembered. Called by containers, which have set `kernels` and checked all shapes."""
        y = self.run(x, False)
        self.release()
        return y

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass that computes something else in `_forward` infers by it, too."""
        super().__init_subclass__(**options)
        if "_forward" in vars(cls) and "infer" not in vars(cls):
            cls.infer = Layer.infer  # type: ignore[method-assign]

    def release(self) -> None:
        """Forget what the last forward remembered (memory of batch size); `backward` then needs a new forward."""
        for attribute in self._remembered:
            setattr(self, attribute, None)

    def _admit(self, x: Any) -> None:
        """Check an input of new shape or dtype."""
        dtype = self.dtype
        if dtype is not None and x.dtype != dtype:
            raise TypeError(f"{self.who}: input must have the parameters' dtype {dtype}, got {x.dtype}")
        self._check(x.shape)
        if len(x.shape) not in self._ranks:
            raise ValueError(
                f"{self.who}: input must have 4 dimensions (N, C, H, W) or 2 (N, F), got shape {tuple(x.shape)}"
            )
        self._x_shape, self._x_dtype = tuple(x.shape), x.dtype

    def _unready(self) -> RuntimeError:
        return RuntimeError(f"{self.who}: call forward before backward (nothing is remembered)")

    # ---- for readers -----------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """The constructor's arguments, for `repr` and the summary table."""
        return ""

    def __repr__(self) -> str:
        """The call that makes such a layer."""
        return f"{type(self).__name__}({self.describe()})"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the backend and the remembered batch."""
        return {**vars(self), "kernels": None, "_x_shape": None, **dict.fromkeys(self._remembered)}
