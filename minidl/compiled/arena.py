"""A place in the arena for each value: two that are never needed at the same time may have the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minidl.compiled.operation import Operation
from minidl.compiled.value import Value

ALIGN = 64
"""Elements; a whole number of every vector."""


def place(operations: Sequence[Operation], size: Callable[[Value], int]) -> int:
    """Set `at` of every value that the operations read or write; the arena's size, in elements.

    size: elements of a value, of one image.
    """
    last: dict[int, int] = {}
    end = 0
    for i, operation in enumerate(operations):
        end = max(end, i + operation.joined)  # the last of those that run together writes while the first still reads
        for value in operation.writes():
            value.at = -1
        for value in (*operation.reads(), *operation.writes()):
            last[id(value)] = end
    for i, operation in enumerate(operations):
        for between in operations[i : i + operation.joined]:  # what they make is never written
            last[id(between.y)] = i
    live: list[tuple[int, int, int]] = []  # (start, end, last operation that needs it), by start
    most = 0
    for i, operation in enumerate(operations):
        live = [place for place in live if place[2] >= i]
        for value in operation.writes():
            if value.at >= 0:
                continue
            value.at = _gap(live, size(value))
            live.append((value.at, value.at + size(value), last[id(value)]))
            live.sort()
            most = max(most, value.at + size(value))
    return most


def _gap(live: Sequence[tuple[int, int, int]], size: int) -> int:
    """Start of the smallest gap that holds so many elements."""
    best, start = (0, -1), 0
    for low, high, _ in live:
        if low - start >= size and (best[1] < 0 or low - start < best[0]):
            best = low - start, start
        start = max(start, -(-high // ALIGN) * ALIGN)
    return best[1] if best[1] >= 0 else start
