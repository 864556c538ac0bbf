"""The judge: whether a contender's arrays are right, and how far they are off."""

from __future__ import annotations

import numpy as np

from benchmarks.shapes import Arrays
from benchmarks.tasks import centred

TOLERANCE = 1e-4
"""Largest error of an operation's arrays and of logits, relative to the largest value."""

GRADIENT_TOLERANCE = 5e-3
"""The same for a whole network's gradients, but root mean square: a Relu near zero may fall either way in float32."""


def verdict(found: Arrays, expected: Arrays, operation: bool) -> tuple[float, str | None]:
    """-> the largest relative error, and what is wrong (None if nothing is).

    found, expected: arrays by name, expected in float64. operation: every expected array must be there and within
    TOLERANCE; otherwise a network's: results must be there, gradients may be missing (not every library shows them),
    logits may differ by a constant in each row.
    """
    needed = {name for name in expected if operation or name.startswith("logits")}
    absent, unknown = needed - found.keys(), found.keys() - expected.keys()
    if absent or unknown:
        return np.inf, f"arrays missing: {sorted(absent)}, unknown: {sorted(unknown)}"
    worst = 0.0
    for name, array in found.items():
        gradient = name.startswith("d") and not operation
        if array.shape != expected[name].shape:
            return np.inf, f"{name} has shape {array.shape} instead of {expected[name].shape}"
        a, b = (centred(v) if name.startswith("logits") else np.asarray(v, np.float64) for v in (array, expected[name]))
        size = _rms(b) if gradient else _max(b)
        error = (_rms(a - b) if gradient else _max(a - b)) / (size or 1.0)
        tolerance = GRADIENT_TOLERANCE if gradient else TOLERANCE
        if not error <= tolerance:
            return error, f"{name} is off by {error:.1e}, allowed is {tolerance:.0e}"
        worst = max(worst, error)
    return worst, None


def _max(a: np.ndarray) -> float:
    return float(np.abs(a).max(initial=0.0))


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a)))) if a.size else 0.0
