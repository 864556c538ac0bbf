"""Things that an object holds in its attributes: directly, or in lists, tuples and dicts there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

Keys = tuple[Any, ...]
"""The way to a thing: the attribute's name, then indices and keys."""

Thing = TypeVar("Thing")
NESTS = (list, tuple, dict)
Around = tuple[int, ...]
"""The `id` of each nest around: one that stands in itself is looked through once."""


def held(attributes: Mapping[str, Any], kind: type[Thing]) -> list[tuple[Keys, Thing]]:
    """(keys, thing) for each thing of `kind` in the attributes, in order.

    A thing that two attributes hold counts for the first of them: the second is another way to speak of it.
    """
    found: list[tuple[Keys, Thing]] = []
    for name, value in attributes.items():
        if isinstance(value, kind):
            found.append(((name,), value))
        elif isinstance(value, NESTS) and value:
            found += _inside(value, kind, (name,))
    if len(found) < 2:
        return found
    owner: dict[int, str] = {}
    return [(keys, thing) for keys, thing in found if owner.setdefault(id(thing), keys[0]) == keys[0]]


def _inside(nest: Any, kind: type[Thing], keys: Keys, around: Around = ()) -> Iterator[tuple[Keys, Thing]]:
    if _numbers(nest) or id(nest) in around:
        return
    for key, item in _items(nest):
        if isinstance(item, kind):
            yield (*keys, key), item
        elif isinstance(item, NESTS):
            yield from _inside(item, kind, (*keys, key), (*around, id(nest)))


def _items(nest: Any) -> Iterable[tuple[Any, Any]]:
    return nest.items() if isinstance(nest, dict) else enumerate(nest)


def _numbers(nest: Any) -> bool:
    """Whether this is a list of numbers from end to end, such as a log, which may be too long to be looked through."""
    return isinstance(nest, list) and bool(nest) and all(isinstance(end, (int, float)) for end in (nest[0], nest[-1]))


def swapped(value: Any, others: Mapping[int, Any], around: Around = ()) -> Any:
    """`value` with other things in place of those in `others`, by their `id`; the same object if it has none."""
    if id(value) in others:
        return others[id(value)]
    if not isinstance(value, NESTS) or not value or _numbers(value) or id(value) in around:
        return value
    made = {key: swapped(item, others, (*around, id(value))) for key, item in _items(value)}
    if all(made[key] is item for key, item in _items(value)):
        return value
    return made if isinstance(value, dict) else _sequence(value, made.values())


def _sequence(like: Any, items: Iterable[Any]) -> Any:
    """A list or tuple of the same kind, named tuples included."""
    make = getattr(like, "_make", type(like))
    return make(items)


def put(attributes: dict[str, Any], keys: Keys, thing: Any) -> None:
    """Let `thing` stand where `keys` lead."""
    attributes[keys[0]] = _with(attributes[keys[0]], keys[1:], thing)


def _with(value: Any, keys: Keys, thing: Any) -> Any:
    if not keys:
        return thing
    inner = _with(value[keys[0]], keys[1:], thing)
    if isinstance(value, tuple):
        return _sequence(value, (*value[: keys[0]], inner, *value[keys[0] + 1 :]))
    value[keys[0]] = inner
    return value
