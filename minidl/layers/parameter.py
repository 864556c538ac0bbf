"""The trainable array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks

__all__ = ["Parameter"]


touched = [object()]
"""Another object after each time that an array of a parameter or buffer was handed out: whoever has made something of
them looks here for changes. (Of a number, two threads could add the same one.)"""


class _Gradient:
    """An array like the parameter's, checked when it is assigned; read, it is a plain attribute."""

    if TYPE_CHECKING:

        def __get__(self, parameter: Any, owner: type | None = None) -> np.ndarray: ...

    def __set__(self, parameter: Parameter, grad: Any) -> None:
        vars(parameter)["grad"] = like(parameter.who, "grad", grad, parameter._data)


class Flag:
    """A bool, checked when it is assigned; read, it is a plain attribute."""

    if TYPE_CHECKING:

        def __get__(self, owner: Any, kind: type | None = None) -> bool: ...

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, owner: Any, value: bool) -> None:
        vars(owner)[self._name] = checks.flag(owner.who, self._name, value)


class Parameter:
    """A trainable array and its gradient.

    name: its place in the layer or model that was last built around it, asked for its `parameters()` or given an input
    of a new shape, e.g. "0.weight"; for messages. Two models may share a parameter, so what is kept by name takes the
    names from `Layer.named_parameters`. data, grad: C-contiguous arrays of one shape and dtype, changed in place by
    optimisers and `backward`; what is assigned to them is converted to that dtype. decay: whether weight decay is due
    when an optimiser is told to spare biases and norms. frozen: optimisers leave it as it is; see `Layer.freeze`.
    Raises TypeError or ValueError that names the parameter for what is assigned and is no such array, or no bool.
    """

    grad = _Gradient()
    decay = Flag()
    frozen = Flag()

    def __init__(self, data: np.ndarray, name: str, decay: bool = True) -> None:
        self.name = name
        array = np.asarray(data)
        if array.dtype.newbyteorder("=") not in checks.FLOATS:
            raise TypeError(f"{self.who}: data must be an array of float32 or float64, got dtype {array.dtype}")
        self._data = aligned(array.astype(array.dtype.newbyteorder("="), copy=False))
        self.grad = aligned(np.zeros(self._data.shape, self._data.dtype))
        self.decay = decay
        self.frozen = False

    @property
    def data(self) -> np.ndarray:
        """The array."""
        data = self._data  # held before that is told: who looks in between sees that it is held
        touched[0] = object()
        return data

    @data.setter
    def data(self, data: np.ndarray) -> None:
        self._data = like(self.who, "data", data, self._data)
        touched[0] = object()

    @property
    def values(self) -> np.ndarray:
        """The array, for who only reads it and does not keep it: what was compiled of it is not looked at again."""
        return self._data

    @property
    def who(self) -> str:
        """The parameter as messages name it."""
        return f"parameter {self.name}"

    def astype(self, dtype: np.dtype) -> None:
        """Convert both arrays, in place."""
        self._data, vars(self)["grad"] = converted(self._data, dtype), converted(self.grad, dtype)
        touched[0] = object()

    def __repr__(self) -> str:
        """Name, shape and dtype."""
        return f"Parameter({self.name!r}, shape={self.data.shape}, dtype={self.data.dtype})"


class Buffer:
    """An attribute of layers that holds an array, saved but not trained; `touched` tells when it was asked for.

    Who reaches the array past the attribute, by `vars` or its address, is not told of. What is assigned later must have
    the shape of the first array, and is converted to its dtype.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        try:
            array = vars(layer)[self._name]
        except KeyError:
            raise AttributeError(f"{type(layer).__name__!r} object has no attribute {self._name!r}") from None
        touched[0] = object()
        return array

    def __set__(self, layer: Any, array: np.ndarray) -> None:
        present = vars(layer).get(self._name)
        vars(layer)[self._name] = array if present is None else like(layer.who, self._name, array, present)
        touched[0] = object()

    def values(self, layer: Any) -> np.ndarray:
        """The array, for who only reads it and does not keep it, as `Parameter.values`."""
        return vars(layer)[self._name]


class Parameters(list[Parameter]):
    """A list of parameters that remembers the names that they have in the layer that gave it."""

    def __init__(self, named: Mapping[str, Parameter]) -> None:
        super().__init__(named.values())
        self._names = {id(parameter): name for name, parameter in named.items()}

    def name(self, parameter: Parameter) -> str:
        """Its name in that layer; its own for a parameter that came into the list later."""
        return self._names.get(id(parameter), parameter.name)


def by_name(who: str, parameters: Sequence[Parameter] | Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters by name: a mapping's names, those of the layer whose `parameters()` they are, or their own.

    Raises ValueError that names `who` where two have one name, or one has two.
    """
    if isinstance(parameters, Mapping):
        pairs = list(parameters.items())
    else:
        own = parameters.name if isinstance(parameters, Parameters) else lambda parameter: parameter.name
        pairs = [(own(parameter), parameter) for parameter in parameters]
    names = [name for name, _ in pairs]
    places: dict[int, str] = {}
    for name, parameter in pairs:
        if names.count(name) > 1:
            raise ValueError(
                f"{who}: {names.count(name)} parameters have the name {name!r};"
                " names must be unique: put the layers into one Sequential or Model"
            )
        first = places.setdefault(id(parameter), name)
        if first != name:
            raise ValueError(f"{who}: a parameter must have one name, got {first!r} and {name!r}")
    return dict(pairs)


@contextmanager
def unwritten(parameters: Sequence[Parameter]) -> Iterator[None]:
    """Let gradients be written to other arrays inside of a `with`."""
    kept = [(parameter, parameter.grad) for parameter in parameters]
    for parameter, grad in kept:
        vars(parameter)["grad"] = np.zeros_like(grad)
    try:
        yield
    finally:
        for parameter, grad in kept:
            vars(parameter)["grad"] = grad


def like(who: str, name: str, value: Any, present: np.ndarray) -> np.ndarray:
    """`value` as an array of the shape and dtype of the one that is there: itself if it is one that can be changed."""
    try:
        array = np.asarray(value)
    except (RecursionError, TypeError, ValueError):  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        given = f"dtype {array.dtype}" if isinstance(value, np.ndarray) else checks.shown(value)
        raise TypeError(f"{who}: {name} must be numbers of shape {present.shape}, got {given:.200}")
    checks.same_shape(who, name, array.shape, present.shape, "as before")
    return np.require(array, present.dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def converted(a: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`a` itself if it is as `aligned` makes it and of this dtype, else such a copy."""
    if a.dtype == dtype and a.flags.c_contiguous and a.ctypes.data % 64 == 0:
        return a
    return aligned(a.astype(dtype))


def aligned(a: np.ndarray) -> np.ndarray:
    """A C-contiguous copy of `a` that starts at a cache line, so that no vector of its rows need straddle two."""
    memory = np.empty(a.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy
