"""What an operation of a compiled prediction reads and writes."""

from __future__ import annotations

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

    def image(self) -> Value | None:
        """The value, if it is seen as it stands: (C, H, W), or (F,) of single pixels."""
        own = self.value.shape
        return self.value if self.shape in (own, own[:1]) and (len(self.shape) == 3 or own[1:] == (1, 1)) else None
