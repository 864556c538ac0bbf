"""Objects that know their settings: the arguments of their constructor, with today's values.

The signature says which there are, what their defaults are and how they are written; the attributes of the same names
have the values. `repr` is made from it, and `make` builds an equal object.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Argument = inspect.Parameter


def arguments(kind: Any) -> dict[str, Argument]:
    """The arguments of a class's constructor by name, with `.default`, `.kind` and `.annotation` (a string)."""
    return _arguments(kind)


@functools.cache
def _arguments(kind: Any) -> dict[str, Argument]:
    try:
        found = list(inspect.signature(kind.__init__).parameters.values())[1:]
    except (TypeError, ValueError):  # a constructor written in C may not tell
        return {}
    return {argument.name: argument for argument in found if argument.kind is not Argument.VAR_KEYWORD}


def make(kind: type, settings: Mapping[str, Any]) -> Any:
    """`kind(...)` with these settings, as `Settings.settings` gives them; by `kind.remake` where there is one."""
    remake = getattr(kind, "remake", None)
    if remake is not None:
        return remake(settings)
    positional: list[Any] = []
    named = dict(settings)
    for name, argument in arguments(kind).items():
        if argument.kind is Argument.VAR_POSITIONAL:
            positional += named.pop(name, ())
    return kind(*positional, **named)


def kept(owner: Any, kind: Any = None) -> dict[str, Any]:
    """What any object has kept of its constructor's arguments, as `Settings.settings` tells it.

    kind: a class that it is of, whose arguments are meant.
    """
    untold, stored = getattr(owner, "_untold", ()), getattr(owner, "_stored", {})
    found: dict[str, Any] = {}
    for name, argument in arguments(kind or type(owner)).items():
        attribute = stored.get(name, name)
        if name in untold or not hasattr(owner, attribute):
            continue
        value = getattr(owner, attribute)
        if isinstance(argument.default, bool) and not isinstance(value, bool):
            value = value is not None
        found[name] = tuple(value) if argument.kind is Argument.VAR_POSITIONAL else value
    return found


class Settings:
    """Base of all objects that are known by their constructor's arguments: layers, losses, optimisers, schedules."""

    _untold: tuple[str, ...] = ("rng",)
    """Arguments that cannot be told again."""
    _stored: Mapping[str, str] = MappingProxyType({})
    """Attributes of arguments that are kept under another name."""
    _unshown: tuple[str, ...] = ()
    """Arguments that `repr` leaves out."""
    _shown: tuple[str, ...] = ()
    """Arguments that `repr` has also where they have their default."""

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments by name, in its order, with today's values.

        An argument without an attribute of its name is left out, as is a random generator. A yes or no is True where
        the attribute has what was asked for (`bias`).
        """
        return kept(self)

    def describe(self) -> str:
        """The settings as they stand in the constructor's call; those that have their default are left out."""
        told = self.settings()
        texts: list[str] = []
        bare = True  # whether the next argument needs no name
        for i, (name, argument) in enumerate(arguments(type(self)).items()):
            required = argument.default is Argument.empty
            if argument.kind is Argument.VAR_POSITIONAL:
                texts += map(_text, told.get(name, ()))
                continue
            if name not in told or name in self._unshown:
                bare = bare and required
                texts += ["..."] if required else []
                continue
            value, kind = told[name], str(argument.annotation)
            text = _text(value, kind)
            if not required and text == _text(argument.default, kind) and name not in self._shown:
                bare = False
                continue
            bare = bare and argument.kind is not Argument.KEYWORD_ONLY
            bare = bare and (required or i == 0 or isinstance(value, Settings))
            texts.append(text if bare else f"{name}={text}")
        return ", ".join(texts)

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        """The call that makes such an object; "..." for one that stands in itself."""
        return f"{type(self).__name__}({self.describe()})"


def _text(value: Any, annotation: str = "") -> str:
    """A value in as few characters as say it: a pair of equal numbers as one where one number may be given."""
    if annotation.startswith("int |") and isinstance(value, tuple) and value:
        pair = annotation.startswith("int | tuple[int, int]") and len(value) == 2 and value[0] == value[1]
        value = value[0] if pair or len(value) == 1 else value
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return repr(value)
