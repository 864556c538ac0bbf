"""Schedules: values by their formulas, ends, messages."""

from __future__ import annotations

import math
from typing import Any

import pytest

from minidl.optim.schedules import Constant, Cosine, Exponential, OneCycle, Schedule, Step, WarmUp


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(0.1), {0: 0.1, 3.7: 0.1, 20: 0.1}),
        (Step(1.0, every=5), {0: 1, 4.99: 1, 5: 0.1, 9.9: 0.1, 10: 0.01, 19.9: 0.001}),
        (Step(0.8, every=2, factor=0.5), {1.9: 0.8, 2: 0.4, 7: 0.1}),
        (Exponential(1.0, 0.9), {0: 1, 0.99: 1, 1: 0.9, 3.5: 0.729}),
        (Cosine(0.2), {0: 0.2, 5: 0.1 * (1 + math.sqrt(0.5)), 10: 0.1, 20: 0}),
        (Cosine(0.2, end=0.1), {0: 0.2, 10: 0.15, 20: 0.1}),
        (OneCycle(1.0), {0: 0.04, 3: 0.52, 6: 1.0, 13: 0.5 + 2e-6, 20: 4e-6}),
        (OneCycle(2.0, warmup=0.5, start=0.5, end=0.25), {0: 1, 5: 1.5, 10: 2, 15: 1.25, 20: 0.5}),
        (OneCycle(2.0, warmup=0.0, end=0.0), {0: 2, 10: 1, 20: 0}),
        (OneCycle(2.0, warmup=1.0, start=0.0), {0: 0, 10: 1, 20: 2}),
        (WarmUp(Constant(1.0), 4), {0: 0.1, 2: 0.55, 4: 1, 20: 1}),
        (WarmUp(Step(1.0, every=5), 10, start=0.0), {0: 0, 4: 0.4, 5: 0.05, 10: 0.01}),
    ],
    ids=repr,
)
def test_values_over_twenty_epochs(schedule: Schedule, values: dict[float, float]) -> None:
    for epoch, rate in values.items():
        assert schedule(epoch, 20) == pytest.approx(rate, rel=1e-12, abs=1e-15), epoch


@pytest.mark.parametrize(
    "schedule",
    [Constant(0.1), Step(0.1, 3), Exponential(0.1, 0.9), Cosine(0.1), OneCycle(0.1), WarmUp(Cosine(0.1), 2.5)],
    ids=repr,
)
def test_rates_stay_between_zero_and_the_highest(schedule: Schedule) -> None:
    for epochs in (1, 2, 7):
        for i in range(101):
            assert 0 <= schedule(epochs * i / 100, epochs) <= 0.1 * (1 + 1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant(-0.1), ValueError, "Constant: lr must be at least 0, got -0.1"),
        (lambda: Constant("0.1"), TypeError, "Constant: lr must be a number, got '0.1'"),  # type: ignore[arg-type]
        (lambda: Step(0.1, 0), ValueError, "Step: every must be at least 1, got 0"),
        (lambda: Step(0.1, 2.5), TypeError, "Step: every must be an int, got 2.5"),  # type: ignore[arg-type]
        (lambda: Step(0.1, 2, 0), ValueError, r"Step: factor must be in \(0, 1\], got 0"),
        (lambda: Exponential(0.1, 1.1), ValueError, r"Exponential: decay must be in \(0, 1\], got 1.1"),
        (lambda: Cosine(float("nan")), ValueError, "Cosine: lr must be at least 0, got nan"),
        (lambda: Cosine(0.1, -1), ValueError, "Cosine: end must be at least 0, got -1"),
        (lambda: OneCycle(0.1, 1.5), ValueError, r"OneCycle: warmup must be in \[0, 1\], got 1.5"),
        (lambda: OneCycle(0.1, start=2), ValueError, r"OneCycle: start must be in \[0, 1\], got 2"),
        (lambda: OneCycle(0.1, end=-1), ValueError, r"OneCycle: end must be in \[0, 1\], got -1"),
        (lambda: WarmUp(0.1, 5), TypeError, "WarmUp: schedule must be a schedule, got 0.1"),  # type: ignore[arg-type]
        (lambda: WarmUp(Constant(1), 0), ValueError, "WarmUp: epochs must be positive, got 0"),
        (lambda: WarmUp(Constant(1), 1, 1.5), ValueError, r"WarmUp: start must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
