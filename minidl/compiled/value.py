"""What an operation of a compiled prediction reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Halo = tuple[int, int, int, int]
"""Rows above and below, columns left and right."""


@dataclass(eq=False)
class Value:
    """One array of the program: shape (C, H, W) of an image.

    halo: what its readers want around it. lanes: channels side by side, 0 for a whole vector. at: where it stands in
    the arena, in elements, set by `arena.place`.
    """

    shape: tuple[int, int, int]
    halo: Halo = (0, 0, 0, 0)
    lanes: int = 0
    at: int = -1

    def widen(self, halo: Halo) -> None:
        """Make the halo as wide as a further reader wants it."""
        self.halo = tuple(map(max, self.halo, halo))  # type: ignore[assignment]


@dataclass(eq=False)
class View:
    """A value as a layer sees it: in its own shape, or another one with as many elements in the same order."""

    value: Value
    shape: tuple[int, ...] = field(default=())

    @staticmethod
    def of(shape: Sequence[int]) -> View:
        """A new value that is seen as (C, H, W), (F,) or, of capsules, (I, D): a channel for each."""
        sizes = tuple(map(int, shape))
        c, h, w = sizes if len(sizes) == 3 else (sizes[0], 1, sizes[1] if len(sizes) == 2 else 1)
        return View(Value((c, h, w)), sizes)

    def image(self) -> Value | None:
        """The value, if it is seen as it stands: (C, H, W), or (F,) of single pixels."""
        own = self.value.shape
        return self.value if self.shape in (own, own[:1]) and (len(self.shape) == 3 or own[1:] == (1, 1)) else None

    def capsules(self) -> Value | None:
        """The value, if its channels are seen as capsules and its pixels, in one row, as their values."""
        own = self.value.shape
        return self.value if own[1] == 1 and self.shape == (own[0], own[2]) else None
