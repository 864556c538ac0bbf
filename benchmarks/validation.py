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
"""TOLERANCE for logits after an update with such gradients; KINK_TOLERANCE of what it changes, where that is more."""

COARSE_TOLERANCE = 0.1
"""TOLERANCE for the logits of a contender of a lower precision."""

NOTHING = 1e-6
"""A gradient so much smaller than the network's largest one may be zero by mathematics: what is left is rounding."""


def verdict(found: Arrays, expected: Arrays, operation: bool, coarse: bool = False) -> tuple[float, str | None]:
    """-> the largest relative error of the results, and what is wrong (None if nothing is).

    found, expected: arrays by name, expected in float64. operation: every expected array must be there and be right to
    TOLERANCE; otherwise they are a network's: logits must be there and may differ by a constant in each row, gradients
    may be missing (not every library shows them). The error returned is then that of the first logits. coarse: a lower
    precision, held to COARSE_TOLERANCE.
    """
    needed = {name for name in expected if operation or name.startswith("logits")}
    absent, unknown = needed - found.keys(), found.keys() - expected.keys()
    if absent or unknown:
        return np.inf, f"arrays missing: {sorted(absent)}, unknown: {sorted(unknown)}"
    worst = 0.0
    gradients = [float(np.mean(np.square(a))) for name, a in expected.items() if name.startswith("d")]
    least = NOTHING**2 * max(gradients, default=0.0)
    for name, array in found.items():
        if array.shape != expected[name].shape:
            return np.inf, f"{name} has shape {array.shape} instead of {expected[name].shape}"
        a, b = (centred(v) if name.startswith("logits") else np.asarray(v, np.float64) for v in (array, expected[name]))
        if not operation and name.startswith("d"):
            fault = _gradient_fault(a, b, least * b.size)
        else:
            largest = float(np.abs(b).max(initial=0.0)) or 1.0
            error = float(np.abs(a - b).max(initial=0.0)) / largest
            tolerance = COARSE_TOLERANCE if coarse else TOLERANCE
            if name == LATER and not coarse:
                change = float(np.abs(b - centred(expected["logits"])).max(initial=0.0)) / largest
                tolerance = max(LATER_TOLERANCE, KINK_TOLERANCE * change)
            fault = None if error <= tolerance else f"is off by {error:.1e}, allowed is {tolerance:.0e}"
            worst = max(worst, error if name != LATER else 0.0)
        if fault is not None:
            return np.inf, f"{name} {fault}"
    return worst, None


def _gradient_fault(a: np.ndarray, b: np.ndarray, least: float) -> str | None:
    size = max(float(np.sum(b * b)), least) or 1.0
    error = float(np.sqrt(np.sum(np.square(a - b)) / size))
    if not error <= KINK_TOLERANCE:
        return f"is off by {error:.1e} (root mean square), allowed is {KINK_TOLERANCE:.0e}"
    scale = abs(float(np.sum((a - b) * b)) / size)
    if not scale <= SCALE_TOLERANCE:
        return f"is too large or too small by {scale:.1e}, allowed is {SCALE_TOLERANCE:.0e}"
    return None
