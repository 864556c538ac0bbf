"""What is compiled for a shape: made when first seen, made anew when it no longer holds; the oldest is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from minidl.compiled.lowering import Unlowered

_uses = itertools.count(1)
_NEVER: Any = object()


def compiled_for(kept: dict[Any, Any], key: Any, n: int, make: Callable[[], Any], most: int) -> Any:
    """The one under this key, if it is faster for n images than layer after layer; None where it is not.

    make: raises Unlowered where there is none, which is kept as None. most: so many are kept, the last that were used.
    Any number of threads may share `kept`.
    """
    found = kept.get(key, _NEVER)
    if found is None:
        return None
    faster = found is not _NEVER and found.is_faster(n)
    if found is _NEVER or (faster and not found.holds()):
        kept.pop(key, None)
        try:
            found = kept[key] = _made(make)
        except (TypeError, ValueError):  # what no layer takes is refused in words by the plan, and may be mended
            return None
        _forget(kept, key, most)
        faster = found is not None and found.is_faster(n)
    if not faster:
        return None
    found.used = next(_uses)
    return found if found.ready or _runs(kept, key, found) else None


def _runs(kept: dict[Any, Any], key: Any, found: Any) -> bool:
    """Whether its programs can be made; one that has no program is kept as None."""
    try:
        found.prepare()
    except (Unlowered, ValueError):  # more inputs or outputs than a program may have
        kept[key] = None
        return False
    return True


def _made(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Unlowered:
        return None


def _forget(kept: dict[Any, Any], new: Any, most: int) -> None:
    ages = {key: 0 if found is None else found.used for key, found in list(kept.items()) if key != new}
    for key in sorted(ages, key=ages.__getitem__)[: max(0, len(ages) + 1 - most)]:
        kept.pop(key, None)
