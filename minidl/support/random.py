"""Random numbers for initial weights, shuffling and dropout: one default generator that `seed` restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
"""numpy's; a state names one of them."""

_default: np.random.Generator | None = None
_within: ContextVar[np.random.Generator | None] = ContextVar("minidl's default generator in this thread", default=None)


def seed(n: int | None = None) -> None:
    """Restart the default generator from `n` (an int of at least 0), or from the operating system's entropy for None.

    Everything of minidl that draws without an own `rng` is repeated exactly after the same seed. Raises TypeError or
    ValueError for what numpy does not take as a seed.
    """
    global _default
    if _within.get() is None:
        _default = np.random.default_rng(n)
    else:
        _within.set(np.random.default_rng(n))


@contextmanager
def drawing(rng: np.random.Generator) -> Iterator[None]:
    """Let `rng` be the default generator inside of a `with`, in this thread alone; `seed` restarts that one there."""
    token = _within.set(rng)
    try:
        yield
    finally:
        _within.reset(token)


def generator(rng: np.random.Generator | int | None = None) -> np.random.Generator:
    """The default generator for None, a fresh one for an int seed, a given Generator unchanged.

    Raises TypeError for anything else.
    """
    global _default
    if rng is None:
        within = _within.get()
        if within is not None:
            return within
        if _default is None:
            _default = np.random.default_rng()
        return _default
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return np.random.default_rng(rng)
    raise TypeError(f"rng must be a numpy.random.Generator, an int seed or None, got {rng!r}")


def state(rng: np.random.Generator) -> dict[str, Any]:
    """All that the next numbers of `rng` depend on, as JSON can hold it.

    Raises ValueError for a bit generator that is not numpy's own.
    """
    kind = type(rng.bit_generator).__name__
    if kind not in BIT_GENERATORS:
        raise ValueError(f"rng must be one of numpy's {', '.join(BIT_GENERATORS)} to be saved, got {kind}")
    return {key: _plain(value) for key, value in rng.bit_generator.state.items()}


def from_state(state: Any) -> np.random.Generator:
    """A new generator that goes on from what `state` gave. Raises ValueError for anything else."""
    kind = state.get("bit_generator") if isinstance(state, dict) else None
    if kind not in BIT_GENERATORS:
        raise ValueError(f"a generator's state must name one of {', '.join(BIT_GENERATORS)}, got {kind!r}")
    bit_generator = getattr(np.random, kind)(0)
    try:
        # numpy takes a position as it comes, and would read beyond the buffer.
        for position, limit in ((state["state"].get("pos", 0), 624), (state.get("buffer_pos", 0), 4)):
            if not 0 <= position <= limit:
                raise ValueError(f"position {position} is not in [0, {limit}]")
        bit_generator.state = {key: _array(value) for key, value in state.items()}
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"not the state of a {kind} generator: {error!r}") from error
    return np.random.Generator(bit_generator)


def _plain(value: Any) -> Any:
    """Arrays inside as lists."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _array(value: Any) -> Any:
    """Lists inside as arrays of uint64, which every bit generator takes."""
    if isinstance(value, dict):
        return {key: _array(inner) for key, inner in value.items()}
    return np.array(value, np.uint64) if isinstance(value, list) else value
