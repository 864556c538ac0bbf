"""Which weights and gradients of a convolution make the gradient of which pixels of its input.

The pixels of an axis fall into as many phases as the stride has steps. Those of one phase all meet the same taps of the
kernel, each with a neighbour of the gradient that the last one met: their gradient is a convolution of stride 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from minidl.compiled.value import Halo, Value


class Phase(NamedTuple):
    """Every stride-th pixel of an axis from `start` on, so many `pixels`.

    taps: of the kernel, `last` and each `back` places before the one before, over the output's gradient with this
    padding and dilation. taps 0: no output saw these pixels.
    """

    start: int
    pixels: int
    taps: int
    last: int
    back: int
    padding: int
    dilation: int

    @property
    def window(self) -> tuple[int, int, int, int, int]:
        """As a program takes it."""
        return self.taps, self.last, self.back, self.padding, self.dilation

    def behind(self, outputs: int) -> int:
        """Zeros that are read behind so many values of the output's gradient."""
        return self.pixels - 1 - self.padding + (self.taps - 1) * self.dilation + 1 - outputs


def phases(size: int, kernel: int, stride: int, before: int, dilation: int) -> list[Phase]:
    """Those of an axis of so many pixels, `before` of padding in front.

    Output o meets pixel i with tap k where o stride - before + k dilation = i.
    """
    found = []
    for start in range(min(size, stride)):
        taps = [k for k in range(kernel) if (start + before - k * dilation) % stride == 0]
        pixels = -(-(size - start) // stride)
        if not taps:
            found.append(Phase(start, pixels, 0, 0, 1, 0, 1))
            continue
        last = taps[-1]
        back = last - taps[-2] if len(taps) > 1 else 1
        padding = (last * dilation - start - before) // stride
        found.append(Phase(start, pixels, len(taps), last, back, padding, max(back * dilation // stride, 1)))
    return found


Axes = tuple[Sequence[Phase], Sequence[Phase]]
"""The phases of rows and of columns."""


def each_phase(
    program: Any, whole: Any, halo: Halo, axes: Axes, stride: tuple[int, ...], add: bool = False
) -> Iterator[tuple[Any, tuple[int, ...], tuple[int, ...]]]:
    """The part of the map `whole` that a phase writes, and the windows of its rows and columns, for all with taps.

    stride: from pixel to pixel of a phase. add: to what is there, which else is cleared where no phase writes.
    """
    rows, columns = axes
    many, seen = len(rows) * len(columns) > 1, all(phase.taps for phase in (*rows, *columns))
    if not add and (not seen or (many and any(halo))):
        program.clear(whole)
    for row, column in itertools.product(rows, columns):
        if row.taps and column.taps:
            part = whole.phase(row.start, column.start, stride) if many else whole
            yield part, row.window, column.window


def around(value: Value, rows: Sequence[Phase], columns: Sequence[Phase]) -> Halo:
    """The halo of `value` that phases which sum it read."""
    _, h, w = value.shape
    down, across = ([phase for phase in axis if phase.taps] for axis in (rows, columns))
    top, bottom = max((p.padding for p in down), default=0), max((p.behind(h) for p in down), default=0)
    left, right = max((p.padding for p in across), default=0), max((p.behind(w) for p in across), default=0)
    return max(top, 0), max(bottom, 0), max(left, 0), max(right, 0)
