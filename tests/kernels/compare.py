"""The judge: is an array the expected one, to a relative error of max|expected|, or exactly?

NaN and infinity must stand in the same places. `Guarded` tells whether a kernel wrote beside its output.
`test_compare.py` judges the judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

TOLERANCE = {np.dtype(np.float32): 5e-6, np.dtype(np.float64): 1e-13}
"""Largest error of a sum of a few hundred products, relative to the largest result."""


def relative_error(actual: np.ndarray, expected: np.ndarray, at_least: float = 0.0) -> float:
    """max|actual - expected| / max|expected|; infinite where NaN or inf differ.

    at_least: a floor for the denominator, the size of what the result is a difference of. All zeros count as 1.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        return np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True) or not np.isfinite(actual[finite]).all():
        return np.inf
    if not finite.any():
        return 0.0
    scale = max(np.abs(expected[finite]).max(), at_least) or 1.0
    return float(np.abs(actual[finite] - expected[finite]).max() / scale)


def check(
    actual: Any,
    expected: Any,
    dtype: Any = None,
    tolerance: float | None = None,
    exact: bool = False,
    at_least: float = 0.0,
) -> None:
    """Raise an AssertionError that says where and how far `actual` is off.

    dtype: what `actual` must be (default: expected's). tolerance: relative error allowed (default: TOLERANCE of dtype).
    exact: every number equal (-0 equals 0). at_least: as in `relative_error`.
    """
    assert isinstance(actual, np.ndarray), f"expected an array, got {type(actual).__name__}"
    expected = np.asarray(expected)
    dtype = np.dtype(expected.dtype if dtype is None else dtype)
    assert actual.dtype == dtype, f"expected dtype {dtype}, got {actual.dtype}"
    assert actual.shape == expected.shape, f"expected shape {expected.shape}, got {actual.shape}"
    if exact or dtype.kind in "iu":
        same = (actual == expected) | ((actual != actual) & (expected != expected))
        assert same.all(), _report(actual, expected, ~same, "not equal")
        return
    limit = TOLERANCE[dtype] if tolerance is None else tolerance
    error = relative_error(actual, expected, at_least)
    if error > limit:
        with np.errstate(invalid="ignore"):
            distance = np.abs(actual.astype(np.float64) - expected)
        worst = np.nan_to_num(distance, nan=np.inf) == np.nan_to_num(distance, nan=np.inf).max(initial=0)
        raise AssertionError(_report(actual, expected, worst, f"relative error {error:.3g}, allowed {limit:.3g}"))


def check_number(actual: float, expected: float, tolerance: float) -> None:
    """The same for a loss, relative to max(1, |expected|): a small loss is the difference of numbers of order 1."""
    assert isinstance(actual, float), f"expected a float, got {type(actual).__name__}"
    error = relative_error(np.array([actual]), np.array([expected]), at_least=1.0)
    assert error <= tolerance, f"got {actual!r}, expected {expected!r}: relative error {error:.3g} > {tolerance:.3g}"


@contextmanager
def during(*what: Any) -> Iterator[None]:
    """Put `what` before the message of a failing check, for tests that go through many cases in one."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{', '.join(map(str, what))}: {error}") from error


def close(actual: np.ndarray, expected: Any, dtype: Any) -> None:
    """An absolute error of at most 2e-6 (float32) or 1e-14 (float64)."""
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)


class Guarded:
    """An output array inside a larger buffer of NaN.

    array: C-contiguous, to be handed to a kernel; full of NaN, too, so that what a kernel leaves out is seen.
    """

    MARGIN = 64

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        size = int(np.prod(shape))
        self._buffer = np.full(size + 2 * self.MARGIN, np.nan, dtype)
        self.array = self._buffer[self.MARGIN : self.MARGIN + size].reshape(shape)

    def check(self) -> None:
        """Raise an AssertionError if anything beside the array was written."""
        margins = self._buffer[: self.MARGIN], self._buffer[self._buffer.size - self.MARGIN :]
        for side, margin in zip(("before", "behind"), margins, strict=True):
            written = np.count_nonzero(~np.isnan(margin))
            assert written == 0, f"{written} elements {side} the array were written"


def _report(actual: np.ndarray, expected: np.ndarray, wrong: np.ndarray, what: str) -> str:
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{what}; first at {place} of {actual.shape}: got {actual[place]!r}, expected {expected[place]!r};"
        f" {np.count_nonzero(wrong)} of {actual.size} places"
    )
