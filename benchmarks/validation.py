"""The judge: whether a contender's arrays are right, and how far they are off."""

from __future__ import annotations

import numpy as np

from benchmarks.shapes import Arrays
from benchmarks.tasks import LATER, centred

TOLERANCE = 1e-4
"""Largest error of an operation's arrays and of logits, relative to the largest value."""

KINK_TOLERANCE = 2e-2
"""The same where Relus and maxima of a whole network may fall either way in float32: gradients, root mean square."""

SCALE_TOLERANCE = 5e-3
"""How far such a gradient's component along the right one may be from 1: those falls hardly show in it."""

LATER_TOLERANCE = 1e-3
"""TOLERANCE for logits after an update with such gradients."""


def verdict(found: Arrays, expected: Arrays, operation: bool) -> tuple[float, str | None]:
    """-> the largest relative error of the results, and what is wrong (None if nothing is).

    found, expected: arrays by name, expected in float64. operation: every expected array must be there and be right to
    TOLERANCE; otherwise they are a network's: logits must be there and may differ by a constant in each row, gradients
    may be missing (not every library shows them). The error returned is then that of the first logits.
    """
    needed = {name for name in expected if operation or name.startswith("logits")}
    absent, unknown = needed - found.keys(), found.keys() - expected.keys()
    if absent or unknown:
        return np.inf, f"arrays missing: {sorted(absent)}, unknown: {sorted(unknown)}"
    worst = 0.0
    for name, array in found.items():
        if array.shape != expected[name].shape:
            return np.inf, f"{name} has shape {array.shape} instead of {expected[name].shape}"
        a, b = (centred(v) if name.startswith("logits") else np.asarray(v, np.float64) for v in (array, expected[name]))
        if not operation and name.startswith("d"):
            fault = _gradient_fault(a, b)
        else:
            error = float(np.abs(a - b).max(initial=0.0)) / (float(np.abs(b).max(initial=0.0)) or 1.0)
            tolerance = LATER_TOLERANCE if name == LATER else TOLERANCE
            fault = None if error <= tolerance else f"is off by {error:.1e}, allowed is {tolerance:.0e}"
            worst = max(worst, error if name != LATER else 0.0)
        if fault is not None:
            return np.inf, f"{name} {fault}"
    return worst, None


def _gradient_fault(a: np.ndarray, b: np.ndarray) -> str | None:
    size = float(np.sum(b * b)) or 1.0
    error = float(np.sqrt(np.sum(np.square(a - b)) / size))
    if not error <= KINK_TOLERANCE:
        return f"is off by {error:.1e} (root mean square), allowed is {KINK_TOLERANCE:.0e}"
    scale = abs(float(np.sum((a - b) * b)) / size)
    if not scale <= SCALE_TOLERANCE:
        return f"is too large or too small by {scale:.1e}, allowed is {SCALE_TOLERANCE:.0e}"
    return None
