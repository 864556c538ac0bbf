"""Initial weights: the published variance rules, by name.

For a weight of shape (O, I) or (O, C/G, KH, KW), fan_in is the number of inputs that one output sums, C/G*KH*KW, and
fan_out the number of outputs that one input reaches (stride aside), O/G*KH*KW.

| name | distribution | source |
|---|---|---|
| he_normal | normal, variance 2 / fan_in | He et al. 2015, "Delving deep into rectifiers", eq. 10 |
| he_uniform | uniform in +-sqrt(6 / fan_in): the same variance | as above |
| glorot_normal | normal, variance 2 / (fan_in + fan_out) | Glorot, Bengio 2010, "Understanding ...", eq. 12 |
| glorot_uniform | uniform in +-sqrt(6 / (fan_in + fan_out)) | as above, eq. 16 |
| lecun_normal | normal, variance 1 / fan_in | LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp", eq. 16 |
| lecun_uniform | uniform in +-sqrt(3 / fan_in): the same variance | as above |
| orthogonal | rows (or columns, if there are fewer) of length 1 at right angles | Saxe et al. 2014, arXiv 1312.6120 |
| zeros | all zero | |

The normal distributions are not truncated. Residual branches start as nothing, and their block as the identity, with
`Residual(..., identity=True)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np

from minidl.kernels import checks

Shape = tuple[int, ...]
Initializer: TypeAlias = "str | float | Callable[[Shape, np.random.Generator], np.ndarray]"
"""A name of the table, the standard deviation of a normal distribution, or a function (shape, rng) -> array."""


def fans(shape: Shape, groups: int = 1) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (O, I) or (O, C/G, KH, KW)."""
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] // groups * field


def he_normal(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Normal with variance 2 / fan_in, for layers before a Relu. float64, as all of these functions."""
    return rng.normal(0.0, math.sqrt(2.0 / fans(shape, groups)[0]), shape)


def he_uniform(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Uniform with variance 2 / fan_in."""
    bound = math.sqrt(6.0 / fans(shape, groups)[0])
    return rng.uniform(-bound, bound, shape)


def glorot_normal(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Normal with variance 2 / (fan_in + fan_out), for layers before a tanh or sigmoid."""
    return rng.normal(0.0, math.sqrt(2.0 / sum(fans(shape, groups))), shape)


def glorot_uniform(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Uniform with variance 2 / (fan_in + fan_out)."""
    bound = math.sqrt(6.0 / sum(fans(shape, groups)))
    return rng.uniform(-bound, bound, shape)


def lecun_normal(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Normal with variance 1 / fan_in."""
    return rng.normal(0.0, math.sqrt(1.0 / fans(shape, groups)[0]), shape)


def lecun_uniform(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """Uniform with variance 1 / fan_in."""
    bound = math.sqrt(3.0 / fans(shape, groups)[0])
    return rng.uniform(-bound, bound, shape)


def orthogonal(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """A random orthogonal matrix, or the first rows or columns of one, for each group.

    The matrix is (O / groups, fan_in). All such matrices are equally likely: Q of the QR decomposition of a normal
    matrix, with the signs that make R's diagonal positive (Mezzadri 2007, arXiv math-ph/0609050). The last bits are
    those of numpy's LAPACK. Before a Relu, sqrt(2) times it keeps the size of activations: give
    `lambda shape, rng: math.sqrt(2) * orthogonal(shape, rng)`.
    """
    rows, columns = shape[0] // groups, fans(shape, groups)[0]
    normal = rng.standard_normal((groups, max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None]
    return (q if rows >= columns else q.swapaxes(1, 2)).reshape(shape)


def zeros(shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """All zero: for a last layer whose first loss shall be exactly log(classes)."""
    return np.zeros(shape)


_NAMED = {
    function.__name__: function
    for function in (
        *(he_normal, he_uniform, glorot_normal, glorot_uniform, lecun_normal, lecun_uniform),
        *(orthogonal, zeros),
    )
}


class Held:
    """Weights that are there, as a function (shape, rng) -> array: `draw` gives the array itself, without a copy."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __call__(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """The array."""
        return self.array


def draw(who: str, init: Initializer, shape: Shape, rng: np.random.Generator, groups: int = 1) -> np.ndarray:
    """The initial weight, float32, of a layer called `who`.

    Raises ValueError for an unknown name, a negative standard deviation or a function that gives another shape,
    TypeError for another kind of `init` or result.
    """
    _count(who, shape)
    if isinstance(init, str):
        if init not in _NAMED:
            raise ValueError(f"{who}: init must be one of {', '.join(_NAMED)}, a number or a function, got {init!r}")
        return _NAMED[init](shape, rng, groups).astype(np.float32)
    if callable(init):
        values = np.asarray(init(shape, rng))
        checks.same_shape(who, "the array made by init", values.shape, shape, "the weight's")
        array = checks.float_array(who, "the array made by init", values, np.float32)
        return array if isinstance(init, Held) else np.array(array)
    deviation = checks.real(who, "init", init, "a standard deviation of at least 0", lambda s: s >= 0)
    return rng.normal(0.0, deviation, shape).astype(np.float32)


def constant(who: str, value: float, shape: Shape) -> np.ndarray:
    """An array of one number, float32."""
    _count(who, shape)
    return np.full(shape, value, np.float32)


_left: ContextVar[tuple[list[int], str] | None] = ContextVar("_left", default=None)


@contextmanager
def limit(elements: int, what: str = "the file's tensors") -> Iterator[None]:
    """Let `draw` and `constant` make so many elements together inside the block, and raise ValueError beyond.

    what: that has so many, for the message.
    """
    token = _left.set(([elements], what))
    try:
        yield
    finally:
        _left.reset(token)


def _count(who: str, shape: Shape) -> None:
    found = _left.get()
    if found is not None:
        left, what = found
        left[0] -= math.prod(shape)
        if left[0] < 0:
            raise ValueError(f"{who}: a weight of shape {shape} is larger than {what}")
