"""Attributes of layers that are checked when they are assigned: what the constructor refuses, they refuse later, too.

None of them but `Renamed` and `Sometimes` says how it is read, so that reading is that of a plain attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks
from minidl.layers.parameter import Parameter
from minidl.support import random
from minidl.support.settings import Argument, arguments, kept

changed = [object()]
"""Another object after each assignment that may change what shapes a layer takes and gives."""
MISSING = object()
OWN = {"init", "name", "need_dx", "kernels", "rng", "run_number"}
"""Attributes that a layer does not take from another one with the same settings."""


class Trained:
    """An attribute that holds a parameter."""

    if TYPE_CHECKING:

        def __get__(self, layer: Any, owner: type | None = None) -> Parameter: ...

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, layer: Any, value: Parameter) -> None:
        vars(layer)[self._name] = parameter(layer.who, self._name, value, vars(layer).get(self._name))

    def __delete__(self, layer: Any) -> None:
        vars(layer).pop(self._name)


class Sometimes(Trained):
    """The same, of a layer that may have none."""

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if self._name not in vars(layer):
            raise AttributeError(f"{type(layer).__name__!r} object has no attribute {self._name!r}")
        return vars(layer)[self._name]


class Renamed:
    """A name that other libraries have for an attribute."""

    def __init__(self, name: str) -> None:
        self._here = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        kind = (owner or type(layer)).__name__
        raise AttributeError(f"{kind!r} object has no attribute {self._name!r}: it is called {self._here}")

    def __set__(self, layer: Any, value: Any) -> None:
        given = checks.shown(value)
        raise TypeError(f"{layer.who}: {self._name} is called {self._here} here and must be set as such, got {given}")


class Setting:
    """An argument of `kind`'s constructor. One that is assigned later is taken from a layer that is made with it."""

    def __init__(self, kind: type, argument: Argument) -> None:
        self._kind, self._name = kind, argument.name
        self._optional = argument.annotation == "bool"  # True stands for a parameter, if there may be one

    def __set__(self, layer: Any, value: Any) -> None:
        attributes, name = vars(layer), self._name
        present = attributes.get(name, MISSING)
        if present is MISSING:  # the constructor is at work
            attributes[name] = value
        elif isinstance(present, Parameter) or (present is None and self._optional):
            if value is not None and present is None:
                present = getattr(self._made(layer, True), name)
                present.astype(layer.dtype or present.values.dtype)
            if value is not None or not self._optional:
                value = parameter(layer.who, name, value, present)
            attributes[name] = value
        else:
            self.change(layer, value)

    def change(self, layer: Any, value: Any) -> None:
        """Let the layer be as if made with this value. Raises what the constructor does, and for another size of a
        parameter."""
        other = vars(self._made(layer, value))
        mine = vars(layer)
        held, made = ({name for name, thing in each.items() if isinstance(thing, Parameter)} for each in (mine, other))
        if {name for name in held if hasattr(self._kind, name)} != made:
            raise ValueError(
                f"{layer.who}: {self._name} must stay as it is, as it says which parameters there are, got"
                f" {checks.shown(value)}; make another layer"
            )
        for name, thing in other.items():
            own = mine.get(name)
            if isinstance(thing, Parameter) and isinstance(own, Parameter):
                self._same_size(layer, name, thing.values, own.values, value)
            elif name in layer._buffers:
                self._same_size(layer, name, thing, own, value)
        taken = {
            name: thing
            for name, thing in other.items()
            if (name not in OWN or name == self._name)
            and not isinstance(thing, Parameter)
            and not isinstance(mine.get(name), Parameter)
            and name not in (*BASE, *layer._remembered, *layer._buffers)
            and not _same(thing, mine.get(name))
        }
        if not taken:
            return
        layer.release()
        shapes = any(type(thing) is not float or type(mine.get(name)) is not float for name, thing in taken.items())
        mine.update(taken)
        if not shapes:
            return
        for name in mine.keys() - other.keys():
            if name.startswith("_") and hasattr(type(layer), name):
                del mine[name]  # what was found out with the old settings
        mine["_x_shape"], mine["_inferred"] = None, ((), None)
        changed[0] = object()

    def _same_size(self, layer: Any, name: str, made: np.ndarray, own: np.ndarray, value: Any) -> None:
        if made.shape != own.shape:
            raise ValueError(
                f"{layer.who}: {self._name} must stay as it is, as {name} has shape {own.shape} and would need"
                f" {made.shape}, got {checks.shown(value)}; make another layer"
            )

    def _made(self, layer: Any, value: Any) -> Any:
        told = kept(layer, self._kind) | {"name": layer.who, self._name: value}
        if "init" in arguments(self._kind) and self._name != "init":
            told["init"] = "zeros"
        with random.drawing(np.random.default_rng(0)):
            return self._kind(**told)


BASE = ("_path", "_x_shape", "_x_dtype", "_y_shape", "_inferred", "_holds", "_holding")
"""Attributes of every layer."""


def settle(kind: type) -> None:
    """Let the arguments of a layer's constructor be checked when they are assigned later."""
    left = {"name", "init", "rng"} if "init" in arguments(kind) else {"name"}
    found = [argument for name, argument in arguments(kind).items() if name not in left]
    if any("Layer" in str(argument.annotation) or argument.kind is Argument.VAR_POSITIONAL for argument in found):
        return
    for argument in found:
        if not isinstance(getattr(kind, argument.name, None), property):
            setattr(kind, argument.name, Setting(kind, argument))


def parameter(who: str, name: str, value: Any, present: Any) -> Parameter:
    """`value`, which must be a parameter like the one that is there."""
    if not isinstance(value, Parameter):
        plain = value is None or isinstance(value, (bool, int, float, str))
        given = checks.shown(value) if plain else type(value).__name__
        hint = "" if value is None else f"; to change its numbers: layer.{name}.data = ..."
        raise TypeError(f"{who}: {name} must be a Parameter, got {given}{hint}")
    if isinstance(present, Parameter):
        array, like = value.values, present.values
        checks.same_shape(who, name, array.shape, like.shape, "as before")
        if array.dtype != like.dtype:
            raise TypeError(f"{who}: {name} must have the dtype {like.dtype} of the one before, got {array.dtype}")
    return value


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)
