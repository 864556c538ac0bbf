"""Random numbers for initial weights, shuffling and dropout: one default generator that `seed` restarts."""

from __future__ import annotations

import numpy as np

_default: np.random.Generator | None = None


def seed(n: int | None = None) -> None:
    """Restart the default generator from `n` (an int of at least 0), or from the operating system's entropy for None.

    Everything of minidl that draws without an own `rng` is repeated exactly after the same seed. Raises TypeError or
    ValueError for what numpy does not take as a seed.
    """
    global _default
    _default = np.random.default_rng(n)


def generator(rng: np.random.Generator | int | None = None) -> np.random.Generator:
    """The default generator for None, a fresh one for an int seed, a given Generator unchanged.

    Raises TypeError for anything else.
    """
    global _default
    if rng is None:
        if _default is None:
            _default = np.random.default_rng()
        return _default
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return np.random.default_rng(rng)
    raise TypeError(f"rng must be a numpy.random.Generator, an int seed or None, got {rng!r}")
