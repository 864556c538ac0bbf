"""The judge: whether a contender's arrays are right, and how far they are off."""

from __future__ import annotations

import math
from types import MappingProxyType

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

ZERO, ZERO_TOLERANCE = 1e-12, 1e-5
"""One that is so much smaller in float64 is: it may be off by ZERO_TOLERANCE of the largest one."""

CONDITION = 10
"""So many times further than inputs that are off by half a unit of float32 move a gradient, or later logits, these may
be off: a network in float32 rounds at each layer."""


def verdict(
    found: Arrays, expected: Arrays, operation: bool, coarse: bool = False, moved: Arrays = MappingProxyType({})
) -> tuple[float, str | None]:
    """-> the largest relative error of the results, and what is wrong (None if nothing is).

    found, expected: arrays by name, expected in float64. operation: every expected array must be there and be right to
    TOLERANCE; otherwise they are a network's: logits must be there and may differ by a constant in each row, gradients
    may be missing (not every library shows them). The error returned is then that of the first logits. coarse: a lower
    precision, held to COARSE_TOLERANCE. moved: those of inputs that are a little off (`tasks.Case`).
    """
    needed = {name for name in expected if operation or name.startswith("logits")}
    absent, unknown = needed - found.keys(), found.keys() - expected.keys()
    if absent or unknown:
        return np.inf, f"arrays missing: {sorted(absent)}, unknown: {sorted(unknown)}"
    worst = 0.0
    gradients = [float(np.mean(np.square(a))) for name, a in expected.items() if name.startswith("d")]
    largest_gradient = max(gradients, default=0.0)
    least = NOTHING**2 * largest_gradient
    for name, array in found.items():
        if array.shape != expected[name].shape:
            return np.inf, f"{name} has shape {array.shape} instead of {expected[name].shape}"
        a, b = (centred(v) if name.startswith("logits") else np.asarray(v, np.float64) for v in (array, expected[name]))
        if not operation and name.startswith("d"):
            reach = float(np.sqrt(np.sum(np.square(np.asarray(moved.get(name, b)) - b))))
            fault = _gradient_fault(a, b, least * b.size, largest_gradient * b.size, CONDITION * reach)
        else:
            largest = float(np.abs(b).max(initial=0.0)) or 1.0
            error = float(np.abs(a - b).max(initial=0.0)) / largest
            tolerance = COARSE_TOLERANCE if coarse else TOLERANCE
            if name == LATER and not coarse:
                change = float(np.abs(b - centred(expected["logits"])).max(initial=0.0)) / largest
                reach = float(np.abs(centred(moved[name]) - b).max(initial=0.0)) / largest if name in moved else 0.0
                tolerance = max(LATER_TOLERANCE, KINK_TOLERANCE * change, CONDITION * reach)
            fault = None if error <= tolerance else f"is off by {error:.1e}, allowed is {tolerance:.0e}"
            worst = max(worst, error if name != LATER else 0.0)
        if fault is not None:
            return np.inf, f"{name} {fault}"
    return worst, None


def _gradient_fault(a: np.ndarray, b: np.ndarray, least: float, most: float, reach: float) -> str | None:
    """least, most: squares of the smallest gradient that counts and of the largest. reach: by rounding of inputs."""
    own = float(np.sum(b * b))
    if own <= ZERO**2 * most:
        error = float(np.sqrt(np.sum(np.square(a - b)) / (most or 1.0)))
        rule = f"allowed is {ZERO_TOLERANCE:.0e} of the largest gradient"
        return None if error <= ZERO_TOLERANCE else f"should be 0 and is {error:.1e}, {rule}"
    size = max(own, least) or 1.0
    error, further = float(np.sqrt(np.sum(np.square(a - b)) / size)), reach / math.sqrt(size)
    tolerance = max(KINK_TOLERANCE, further)
    if not error <= tolerance:
        return f"is off by {error:.1e} (root mean square), allowed is {tolerance:.0e}"
    scale, tolerance = abs(float(np.sum((a - b) * b)) / size), max(SCALE_TOLERANCE, further)
    if not scale <= tolerance:
        return f"is too large or too small by {scale:.1e}, allowed is {tolerance:.0e}"
    return None
