"""Target: sizes, strides, paddings, dtypes and memory orders at the edge, given to the kernels through their binding.

An input is one of the chains of `drawn_chains.py`, the numbers that it draws, one of its calls, and up to three changes
of that call's arguments. A call ends in an error, or in what the reference makes of the same arguments.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from drawn_chains import CHAINS, Run

from fuzzing.target import Target
from minidl.kernels import assemble, reference

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from kernels import compare, variants

Call = tuple[str, list[Any]]
Where = tuple[int, ...]
"""Which argument, and where in it."""

NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33)
NUMBERS += (2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64)
"""Nothing between 33 and 2**31: small results are computed, large ones refused for want of memory."""
DTYPES = ("f4", "f8", ">f4", ">f8", "f2", "i1", "u1", "i4", "i8", "?", "c8", "O", "m8[s]")
HEAD, CHANGE = 5, 4
"""Bytes: chain, drawn numbers (2), variant, call; then for each change where, what, and two numbers."""
MOST = HEAD + 3 * CHANGE
KINDS, RANK = 8, 3
"""Of changes of an array; that of its rank."""
F = np.dtype(np.float32)
TOLERANCE = {np.dtype(np.float32): 5e-5, np.dtype(np.float64): 1e-11}
"""As `tools/differential.py` has it."""
REFUSALS = (ValueError, TypeError, OverflowError, MemoryError)


class RefusedError(Exception):
    """The binding has raised one of REFUSALS."""


def target(folder: Path) -> Target:
    """The calls of all chains but those that go through more than the binding; `folder` stays empty."""
    kinds = [kind for kind in CHAINS if kind.__name__ not in ("strided", "prediction")]
    return Target("sizes", partial(seeds, len(kinds)), partial(attack, kinds), (RefusedError,), most=MOST)


def seeds(kinds: int) -> Iterator[bytes]:
    """Each chain with some numbers, calls and changes."""
    rng = random.Random(0)
    for kind in range(kinds):
        for _ in range(2):
            yield bytes((kind,)) + rng.randbytes(MOST - 1)


def attack(kinds: list[Callable[[Run], Any]], content: bytes) -> None:
    """Make the call that the bytes tell; raises what the binding raises, AssertionError at another result."""
    content = content.ljust(HEAD, b"\0")
    kind, drawn = kinds[content[0] % len(kinds)], int.from_bytes(content[1:3], "little")
    mine = variants.NATIVE[content[3] % len(variants.NATIVE)]
    with np.errstate(all="ignore"), variants.using(mine) as backend:
        backend.use_winograd(2 if content[3] < 128 else 4)
        try:
            calls = recorded(kind, backend, drawn, wide=False)
            others = recorded(kind, reference, drawn, wide=True)
            assert [name for name, _ in calls] == [name for name, _ in others]
            if calls:
                at = content[4] % len(calls)
                changes = [content[i : i + CHANGE] for i in range(HEAD, len(content) - CHANGE + 1, CHANGE)]
                check(backend, *calls[at], others[at][1], changes)
        finally:
            backend.use_winograd(4)


# ---- calls of a chain ------------------------------------------------------------------------------------------------


class Recorder(Run):
    """Writes down each call of an operation, with arguments as they are before it."""

    def __init__(self, backend: Any, drawn: int, wide: bool) -> None:
        super().__init__(backend, (drawn, 0), set(), wide)
        self.whole = True  # where numbers are rounded, another one may be the largest
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        function = super().__getattr__(name)
        if name not in assemble.OPERATIONS:
            return function

        def call(*given: Any, **named: Any) -> Any:
            if named:
                bound = signature(assemble.OPERATIONS[name]).bind(self, *given, **named)
                bound.apply_defaults()
                given = bound.args[1:]
            self.calls.append((name, copied(list(given))))
            return function(*given)

        return call


def recorded(kind: Callable[[Run], Any], backend: Any, drawn: int, wide: bool) -> list[Call]:
    """The calls of a chain."""
    run = Recorder(backend, drawn, wide)
    for _ in kind(run):
        pass
    return run.calls


def copied(value: Any) -> Any:
    """The same, with arrays of its own, but for those that are one number and no memory."""
    if isinstance(value, np.ndarray):
        return value if 0 in value.strides else value.copy()
    return type(value)(map(copied, value)) if type(value) in (tuple, list) else value


# ---- one call --------------------------------------------------------------------------------------------------------


def check(backend: Any, name: str, mine: list[Any], others: list[Any], changes: list[bytes]) -> None:
    """Call with changed arguments, and compare; others: those of the reference."""
    flat, private = False, "saved" in parameters(name)  # what no other backend understands
    for change in changes:
        places = list(leaves(mine))
        if not places:
            break
        where = places[change[0] % len(places)]
        try:
            other = changed(at(mine, where), change, backend)
        except REFUSALS as error:
            raise RefusedError("before the call") from error
        put(mine, where, other)
        # Of places that a pooling of this shape cannot have given no result is promised; the kernel leaves them out.
        private |= "argmax" in parameters(name) and parameters(name)[where[0]] != "dy"
        if private:
            continue
        theirs = changed(at(others, where), change, reference)
        kept = change[1] % KINDS == RANK and getattr(theirs, "size", 0) == getattr(at(others, where), "size", -1)
        flat |= kept
        if not kept or not isinstance(other, np.ndarray):  # of plain arrays the binding counts the numbers
            put(others, where, theirs)
        if kept:  # from here on the two would change to different ones
            break
    before = copied(mine)
    try:
        found = getattr(backend, name)(*mine)
    except REFUSALS as error:
        assert all(map(same, mine, before)), "a refused call has changed an array"
        raise RefusedError(name) from error
    if private:
        return
    try:
        wanted = getattr(reference, name)(*others)
    except Exception as error:
        if flat:  # ranks of which the contract says nothing
            return
        raise AssertionError(f"{name} gives a result where the reference says {error!r}") from error
    if name.endswith(("block_forward", "capsules_forward")) and isinstance(found, tuple):
        found, wanted = found[0], wanted[0]
    limit = TOLERANCE[next((np.dtype(part.dtype) for part in mine if getattr(part, "dtype", None) in TOLERANCE), F)]
    agree(backend, name, (found, mine), (wanted, others), limit, flat)


@cache
def parameters(name: str) -> tuple[str, ...]:
    """Names of an operation's arguments."""
    return tuple(signature(assemble.OPERATIONS[name]).parameters)[1:]


def leaves(value: Any, before: Where = ()) -> Iterator[Where]:
    """Where there is something that can be changed."""
    if isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from leaves(part, (*before, i))
    elif hasattr(value, "ndim") or (isinstance(value, int) and not isinstance(value, bool)):
        yield before


def at(value: Any, where: Where) -> Any:
    """What stands there."""
    for i in where:
        value = value[i]
    return value


def put(value: list[Any], where: Where, new: Any) -> None:
    """Let it stand there instead."""
    if len(where) > 1:
        parts = list(value[where[0]])
        put(parts, where[1:], new)
        new = type(value[where[0]])(parts)
    value[where[0]] = new


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are the same, bit by bit."""
    if isinstance(a, np.ndarray):
        return a is b or a.dtype == object or a.tobytes() == b.tobytes()
    return all(map(same, a, b)) if isinstance(a, (tuple, list)) else True


# ---- changes ---------------------------------------------------------------------------------------------------------


def changed(value: Any, change: bytes, backend: Any) -> Any:
    """The argument at the edge; of an array in lanes another one of such numbers."""
    _, what, first, second = change
    if isinstance(value, (int, np.integer)):
        return int(value) + (-1, 1)[second % 2] if what % 4 == 3 else NUMBERS[first % len(NUMBERS)]
    if not isinstance(value, np.ndarray):
        return backend.enter(ordered(backend.leave(value), what, first, second))
    return ordered(value, what, first, second)


def ordered(array: np.ndarray, what: int, first: int, second: int) -> np.ndarray:
    """An array of other sizes, dtype, order in memory, or rank."""
    what %= KINDS
    if what < RANK and array.ndim:
        shape, axis = list(array.shape), first % array.ndim
        size = shape[axis]
        shape[axis] = max((0, 1, size - 1, size + 1, 2 * size, size + 16, 17)[second % 7], 0)
        return np.resize(array, shape)
    if what == RANK and not array.ndim:
        return array[None]
    if what == RANK:
        return (array[None], array[..., None], array.reshape(-1), array[:1], np.resize(array, ()))[second % 5]
    if what == 4 and array.dtype.kind not in "cOm":
        return array.astype(DTYPES[first % len(DTYPES)])
    if what == 5:
        return placed(array, second)
    if what == 6:
        size = NUMBERS[-1 - first % 7]
        shape = (size, *array.shape[1:]) if second % 2 else (*array.shape[:-1], size)
        return np.broadcast_to(array.reshape(-1)[:1].reshape([1] * len(shape)), shape)
    if array.dtype.kind in "iu" and array.size:
        array = array.copy()
        info, number = np.iinfo(array.dtype), NUMBERS[first % len(NUMBERS)]
        array.reshape(-1)[second % array.size] = min(max(number, int(info.min)), int(info.max))
    return array


def placed(array: np.ndarray, how: int) -> np.ndarray:
    """The same numbers elsewhere in memory."""
    how %= 6
    if how == 0:
        return np.asfortranarray(array)
    if how == 1 and array.ndim:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if how == 2 and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == 3:
        room = np.empty(array.nbytes + 1, np.uint8)
        odd = room[1:].view(array.dtype).reshape(array.shape)
        odd[...] = array
        return odd
    array = array.copy()
    array.flags.writeable = how != 4
    return array


# ---- results ---------------------------------------------------------------------------------------------------------


def agree(backend: Any, name: str, found: Any, wanted: Any, limit: float, flat: bool) -> None:
    """Raise AssertionError unless results are the reference's; flat: where a rank has changed, numbers alone count."""
    if isinstance(found, (tuple, list)):
        for one, other in zip(found, wanted, strict=True):
            agree(backend, name, one, other, limit, flat)
        return
    if type(found).__name__ == "LaneArray":
        found = backend.leave(found)
    if found is None or isinstance(found, (bool, int, str)) or type(found).__name__ == "Together":
        return
    found, wanted = np.asarray(found), np.asarray(wanted)
    if flat and found.size != wanted.size:  # of such ranks the contract says nothing
        return
    found = found.reshape(wanted.shape) if flat else found
    assert found.shape == wanted.shape, f"{name}: shape {found.shape}, the reference's is {wanted.shape}"
    if found.dtype not in TOLERANCE:
        assert np.array_equal(found, wanted), f"{name}: other numbers than the reference's"
        return
    error = compare.relative_error(found, wanted, at_least=1.0)
    assert error <= limit, f"{name}: relative error {error:.3g}"
