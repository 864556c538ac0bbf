"""Places for the boxes of a network: rows from first to last, few crossings, straight ways.

The method of Sugiyama, Tagawa, Toda 1981, "Methods for visual understanding of hierarchical system structures": each
box stands below all that it reads, the boxes of a row are ordered by the means of their neighbours' places, and then
moved as near to these as the order lets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

SWEEPS, SETTLING = 8, 100
STRAIGHT = 8.0
"""How much more a way that passes by other boxes pulls than one between two boxes."""


class Layered:
    """Rows of items. An item below `boxes` is a box, any other one a bend of a way that passes by a row.

    widths: of each box. edges: (from, to) for each way, the first having the smaller number. gap: between neighbours.
    rows: the items from top to bottom and left to right. x: middle of each item. ways: the items on each way.
    """

    def __init__(self, widths: Sequence[float], edges: Sequence[tuple[int, int]], gap: float) -> None:
        self.boxes = len(widths)
        self.row = [0] * self.boxes
        for a, b in sorted(edges, key=lambda edge: edge[1]):
            self.row[b] = max(self.row[b], self.row[a] + 1)
        self.widths = list(widths)
        self.ways: list[list[int]] = []
        self.links: list[tuple[int, int]] = []
        for a, b in edges:
            way = [a]
            for row in range(self.row[a] + 1, self.row[b]):
                way.append(len(self.row))
                self.row.append(row)
                self.widths.append(0.0)
            way.append(b)
            self.ways.append(way)
            self.links += list(pairwise(way))
        self.above: list[list[int]] = [[] for _ in self.row]
        self.below: list[list[int]] = [[] for _ in self.row]
        for a, b in self.links:
            self.below[a].append(b)
            self.above[b].append(a)
        self.rows: list[list[int]] = [[] for _ in range(max(self.row, default=-1) + 1)]
        for item in self._as_met():
            self.rows[self.row[item]].append(item)
        self._order()
        self.x = np.zeros(len(self.row))
        self._place(gap)

    def _as_met(self) -> list[int]:
        """All items, each way followed to its end before the next one is begun."""
        found: dict[int, None] = {}
        waiting = [item for item in reversed(range(self.boxes)) if not self.above[item]]
        while waiting:
            item = waiting.pop()
            if item not in found:
                found[item] = None
                waiting += reversed(self.below[item])
        return list(found)

    def _order(self) -> None:
        best, fewest = [list(row) for row in self.rows], self.crossings()
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                near = self.above if down else self.below
                place = {item: i / max(len(other), 1) for other in self.rows for i, item in enumerate(other)}
                wanted = {item: np.mean([place[n] for n in near[item]] or [place[item]]) for item in row}
                row.sort(key=lambda item: wanted[item])
            count = self.crossings()
            if count < fewest:
                best, fewest = [list(row) for row in self.rows], count
        self.rows = best

    def crossings(self) -> int:
        """How many pairs of ways cross between neighbouring rows."""
        place = {item: i for row in self.rows for i, item in enumerate(row)}
        by_row: dict[int, list[tuple[int, int]]] = {}
        for a, b in self.links:
            by_row.setdefault(self.row[a], []).append((place[a], place[b]))
        pairs = ((p, q) for links in by_row.values() for i, p in enumerate(links) for q in links[:i])
        return sum((p[0] - q[0]) * (p[1] - q[1]) < 0 for p, q in pairs)

    def _place(self, gap: float) -> None:
        for row in self.rows:
            self._settle(row, np.zeros(len(row)), np.ones(len(row)), gap)
        for sweep in range(SETTLING):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                wanted, weight = np.zeros(len(row)), np.zeros(len(row))
                for i, item in enumerate(row):
                    near = self.above[item] + self.below[item]
                    pull = [STRAIGHT if max(item, other) >= self.boxes else 1.0 for other in near]
                    weight[i] = sum(pull) or 1.0
                    wanted[i] = np.dot(pull, self.x[near]) / weight[i] if near else self.x[item]
                self._settle(row, wanted, weight, gap)

    def _settle(self, row: list[int], wanted: np.ndarray, weight: np.ndarray, gap: float) -> None:
        """The places in order, as near to the wanted ones as widths let them be: least squares, neighbours pooled."""
        half = np.array([self.widths[item] / 2 for item in row])
        offset = np.concatenate([[0.0], np.cumsum(half[:-1] + half[1:] + gap)]) if row else np.zeros(0)
        pools: list[list[float]] = []
        for value, pull in zip(wanted - offset, weight):
            pools.append([value, pull, 1])
            while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
                mean, pull, count = pools.pop()
                other = pools[-1]
                other[0] = (other[0] * other[1] + mean * pull) / (other[1] + pull)
                other[1] += pull
                other[2] += count
        self.x[row] = offset + np.repeat([pool[0] for pool in pools], [int(pool[2]) for pool in pools])
