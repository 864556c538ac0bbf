"""The table of the writers: for each class of layers the function that writes it as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from minidl.layers.base import Layer
from minidl.layers.container import SAYS, Container
from minidl.onnx.draft import LOWEST

Write = Callable[..., Any]
"""(draft, layer, *inputs) -> the name of the output, or a list of names; inputs: `Value`s."""
WriteT = TypeVar("WriteT", bound=Write)


class Writer(NamedTuple):
    """The function, the operators that it may use, and the opset that it needs."""

    write: Write
    operators: tuple[str, ...] = ()
    opset: int = LOWEST


WRITERS: dict[type[Layer], Writer] = {}


def writes(*kinds: type[Layer], operators: str, opset: int = LOWEST) -> Callable[[WriteT], WriteT]:
    """Decorator: put a function into the table, for these layers."""

    def enter(write: WriteT) -> WriteT:
        for kind in kinds:
            WRITERS[kind] = Writer(write, tuple(operators.split()), opset)
        return write

    return enter


def writer(layer: Layer, own: Mapping[type[Layer], Write]) -> Writer | None:
    """Who writes the layer; None if nobody can, for a class of a user's that computes in a way of its own.

    own: functions for the user's classes.
    """
    for kind in type(layer).__mro__:
        if kind in own:
            return Writer(own[kind])
        if kind in WRITERS:
            return WRITERS[kind]
        if not _is_ours(kind) and vars(kind).keys() & SAYS:
            return None
    return None


def opens(layer: Layer, own: Mapping[type[Layer], Write]) -> bool:
    """Whether the layers inside are written one by one: a container whose way is that of a class of minidl's."""
    if not isinstance(layer, Container) or any(kind in own for kind in type(layer).__mro__):
        return False
    return _is_ours(next(kind for kind in type(layer).__mro__ if vars(kind).keys() & SAYS))


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "minidl"
