"""Analytic gradients beside central differences, entry by entry, and the report of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl.support.table import Table, table

Difference = Callable[[np.ndarray, int, float], "float | None"]
"""(tensor as a vector, i, h) -> sum(dy * (f(t + h) - f(t - h))) for its entry i, None if a kink lies between."""


@dataclass(frozen=True)
class Row:
    """One tensor: its worst entry, and how many entries were compared.

    error: |analytic - numeric| / max(|analytic|, |numeric|, floor); the floor is a thousandth of the largest gradient
    of all tensors, so that sums that cancel to nothing (a bias before batch normalisation) are not judged by their
    rounding.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    kinks: int
    error: float
    where: tuple[int, ...]
    analytic: float
    numeric: float
    passed: bool


@dataclass(frozen=True)
class Report:
    """The result of `gradcheck`, true if every tensor passed; `print` shows a table."""

    what: str
    tolerance: float
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every tensor's largest error is at most the tolerance."""
        return all(row.passed for row in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{self._verdict()}\n{self.table()}"

    def _repr_html_(self) -> str:
        return self.table(self._verdict())._repr_html_()

    def _verdict(self) -> str:
        return f"gradcheck of {self.what}: {'passed' if self.passed else 'FAILED'}, tolerance {self.tolerance:g}"

    def table(self, caption: str = "") -> Table:
        """The tensors, one a line."""
        head = ("tensor", "shape", "checked", "at kinks", "largest error", "at", "analytic", "numeric", "")
        rows = [
            (
                row.name,
                str(row.shape),
                str(row.checked),
                str(row.kinks) if row.kinks else "",
                f"{row.error:.1e}",
                str(row.where),
                f"{row.analytic:.9g}",
                f"{row.numeric:.9g}",
                "ok" if row.passed else "WRONG",
            )
            for row in self.rows
        ]
        return table(head, rows, (0, 1, 5, 8), caption=caption)


def rows_of(
    tensors: dict[str, tuple[np.ndarray, np.ndarray]],
    difference: Difference,
    eps: float,
    tolerance: float,
    samples: int,
    rng: np.random.Generator,
) -> tuple[Row, ...]:
    """One row a tensor: `tensors` gives data and analytic gradient, `samples` entries of each are compared."""
    largest = max(float(np.abs(grad).max(initial=0.0)) for _, grad in tensors.values())
    floor = max(1e-3 * largest, np.finfo(np.float64).tiny)
    rows = []
    for name, (data, grad) in tensors.items():
        flat, analytic = data.reshape(-1), grad.reshape(-1)
        entries = np.arange(flat.size)
        if flat.size > samples:
            entries = np.sort(rng.choice(flat.size, samples, replace=False))
        worst = (-1.0, 0, np.nan, np.nan)
        checked = 0
        for i in entries.tolist():
            h = eps * max(1.0, abs(float(flat[i])))
            change = difference(flat, i, h)
            if change is None:
                continue
            checked += 1
            numeric, exact = change / (2 * h), float(analytic[i])
            error = abs(exact - numeric) / max(abs(exact), abs(numeric), floor)
            # A NaN on either side is the worst error of all.
            error = error if error == error else np.inf
            if error > worst[0]:
                worst = (error, i, exact, numeric)
        where = tuple(int(k) for k in np.unravel_index(worst[1], data.shape)) if flat.size else ()
        passed = worst[0] <= tolerance and (checked > 0 or not flat.size)
        kinks = len(entries) - checked
        rows.append(Row(name, data.shape, checked, kinks, max(worst[0], 0.0), where, worst[2], worst[3], passed))
    return tuple(rows)
