"""The elementwise functions that `elementwise_forward` of the contract computes, with their parameters a and b."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl.kernels import checks

OPERATORS = ("+", "-", "*", "/", "prelu")
"""What `arithmetic_forward` computes of a and b; prelu: a where a > 0, else a b."""
REDUCTIONS = ("sum", "mean", "max")
"""What `reduce_forward` takes of some axes."""


class Function:
    """What is to be known of a kind. names, defaults: of its parameters, at most a and b; None: to be given.

    holds, rule: what is asked of all parameters, and in words. edges: where the function or its slope jumps.
    """

    def __init__(
        self,
        *defaults: float | None,
        names: tuple[str, ...] = (),
        rule: str = "",
        holds: Callable[..., bool] = lambda *parameters: True,
        edges: Callable[..., tuple[float, ...]] = lambda *parameters: (),
    ) -> None:
        self.names, self.defaults, self.rule, self.holds, self.edges = names, defaults, rule, holds, edges


def _limits(low: float | None, high: float | None) -> Function:
    return Function(
        low,
        high,
        names=("low", "high"),
        rule="low at most high",
        holds=lambda low, high: low <= high,
        edges=lambda low, high: (low, high),
    )


KINDS = {
    "clip": _limits(-math.inf, math.inf),
    "hard_tanh": _limits(-1.0, 1.0),
    "hard_sigmoid": Function(
        1 / 6,
        0.5,
        names=("alpha", "beta"),
        rule="alpha positive",
        holds=lambda alpha, beta: alpha > 0,
        edges=lambda alpha, beta: (-beta / alpha, (1 - beta) / alpha),
    ),
    "hard_swish": Function(edges=lambda: (-3.0, 3.0)),
    "silu": Function(),
    "selu": Function(
        1.6732632423543772,
        1.0507009873554805,
        names=("alpha", "gamma"),
        edges=lambda alpha, gamma: (0.0,),
    ),
    "mish": Function(),
    "gelu_tanh": Function(),
    "softsign": Function(),
    "exp": Function(),
    "log": Function(),
    "sqrt": Function(),
    "pow": Function(None, names=("exponent",)),
    "erf": Function(),
    "abs": Function(edges=lambda: (0.0,)),
    "neg": Function(),
    "reciprocal": Function(edges=lambda: (0.0,)),
}
"""Each kind of the contract's table."""


def kind_of(who: str, kind: Any) -> str:
    """`kind`, if it is in the table; a ValueError that names `who` otherwise."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{who}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return kind


def parameters(who: str, kind: str, *given: float | None) -> tuple[float, float]:
    """a and b of a kind; None is the default, 0 stands for what a kind does not take.

    Raises TypeError or ValueError that names `who` for what is too much, lacks, or is against the kind's rule. Only
    limits may be infinite.
    """
    function, found = KINDS[kind], []
    for i, value in enumerate(given):
        if i >= len(function.names):
            if value is not None:
                raise ValueError(f"{who}: {kind} takes {len(function.names)} parameters, got {value!r}")
            continue
        name, default = function.names[i], function.defaults[i]
        if value is None and default is None:
            raise ValueError(f"{who}: {kind} must have its {name}, got None")
        if value is None or (name in ("low", "high") and isinstance(value, float) and math.isinf(value)):
            found.append(float(default if value is None else value))  # type: ignore[arg-type]
        else:
            found.append(checks.real(who, name, value, "finite", lambda number: True))
    if not function.holds(*found):
        raise ValueError(f"{who}: {kind} must have {function.rule}, got {' and '.join(map(str, found))}")
    a, b = (*found, 0.0, 0.0)[:2]
    return a, b


def edges(kind: str, a: float, b: float) -> tuple[float, ...]:
    """Where the function or its slope jumps."""
    return KINDS[kind].edges(*(a, b)[: len(KINDS[kind].names)])


def axes_of(who: str, axes: Any, ndim: int, neighbours: bool = False) -> tuple[int, ...]:
    """`axes`, an int or some, of an array with `ndim` dimensions, in order and from 1 on; -1 is the last one.

    neighbours: whether none between them may be left out. Raises TypeError or ValueError that names `who`.
    """
    given = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
    numbers = [checks.integer(who, "axis", axis, -ndim) for axis in given]
    found = sorted({axis + ndim if axis < 0 else axis for axis in numbers})
    if not found or found[0] < 1 or found[-1] >= ndim or len(found) != len(numbers):
        raise ValueError(f"{who}: axes must be some of 1 to {ndim - 1}, each once, got {axes!r}")
    if neighbours and found[-1] - found[0] >= len(found):
        raise ValueError(f"{who}: axes must be neighbours, got {axes!r}")
    return tuple(found)


def product(who: str, a: checks.Shape, b: checks.Shape) -> checks.Shape:
    """Shape of a's matrices times b's, of the same images: (N, ..., M, K) and (N, ..., K, P) to (N, ..., M, P).

    The same 1 or 2 sizes stand in front of the matrix, but for a 1 behind N, which goes with all of the other's. Raises
    ValueError that names `who` for other shapes.
    """
    if not (len(a) == len(b) in (3, 4) and a[0] == b[0] and a[-1] == b[-2]):
        raise ValueError(
            f"{who}: shapes must be (N, M, K) and (N, K, P), or (N, S, M, K) and (N, S, K, P), got {tuple(a)} and"
            f" {tuple(b)}"
        )
    return (*broadcast(who, a[:-2], b[:-2]), a[-2], b[-1])


def broadcast(who: str, a: checks.Shape, b: checks.Shape) -> checks.Shape:
    """Shape of a and b together: of equal sizes, but for sizes of 1, which go with all. A ValueError names `who`."""
    if len(a) != len(b) or any(m != n and m != 1 and n != 1 for m, n in zip(a, b, strict=True)):
        raise ValueError(
            f"{who}: shapes must be equal, but for sizes of 1 in one of them, got {tuple(a)} and {tuple(b)}"
        )
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))
