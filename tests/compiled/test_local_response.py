"""Local response normalisation with channels in lanes, against the reference backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import Steps, same_for_any_threads
from kernels import cases, compare

from minidl.kernels import reference

native = pytest.importorskip("minidl.kernels.native")
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-13}
CASES = [  # shape, (size, alpha, beta, k)
    ((1, 1, 1, 1), (5, 1e-4, 0.75, 1.0)),
    ((2, 13, 5, 3), (5, 0.9, 0.75, 1.0)),
    ((5, 17, 2, 4), (2, 2.0, 0.5, 2.0)),
    ((1, 33, 9, 21), (1, 1.5, 1.0, 0.5)),
    ((2, 16, 3, 8), (40, 3.0, 0.75, 1.0)),
    ((1, 70, 2, 9), (9, 3.0, 0.0, 1.0)),
]


@dtypes
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("isa", native.isas())
def test_both_ways_are_the_reference(rng: Any, dtype: Any, case: tuple, isa: str) -> None:
    shape, settings = case
    x, dy, start = rng.standard_normal((3, *shape)).astype(dtype)
    before = native.isa()
    native.use_isa(isa)
    try:
        for add, same in ((False, False), (True, False), (False, True)):
            steps = Steps(dtype, shape[0])
            xs = steps.given(x)
            y, whole = steps.result(shape[1:])
            steps.p.local_response_forward(xs, y, *settings)
            steps.leave(whole, shape[1:])
            dys, whole = steps.both(shape[1:])
            steps.enter(dys, dy)
            dx = dys
            if not same:
                dx, whole = steps.result(shape[1:])
            if add:
                steps.enter(dx, start)
            steps.p.local_response_backward(xs, dys, dx, *settings, add)
            steps.leave(whole, shape[1:])
            got = steps.run()
            with compare.during(add, same):
                limit = {"tolerance": TOLERANCE[dtype], "at_least": 1}
                compare.check(got[0], reference.local_response_forward(x, *settings), **limit)
                expected = reference.local_response_backward(dy, x, *settings)
                compare.check(got[1], start + expected if add else expected, **limit)
    finally:
        native.use_isa(before)


@dtypes
def test_nan_and_infinity_reach_no_farther_than_their_neighbours(dtype: Any) -> None:
    shape = 1, 20, 3, 9
    x = np.ones(shape, dtype)
    x[0, 4, 1, 2], x[0, 16, 1, 2], x[0, 9, 2, 8] = np.nan, np.nan, np.inf
    steps = Steps(dtype, 1)
    y, whole = steps.result(shape[1:])
    steps.p.local_response_forward(steps.given(x), y, 5, 1.0, 0.75, 1.0)
    steps.leave(whole, shape[1:])
    with np.errstate(invalid="ignore"):
        expected = reference.local_response_forward(x, 5, 1.0, 0.75, 1.0)
    compare.check(steps.run()[0], expected, tolerance=TOLERANCE[dtype])


@dtypes
def test_threads_change_no_bit(rng: Any, dtype: Any) -> None:
    x = rng.standard_normal((3, 20, 32, 33)).astype(dtype)

    def run() -> list[np.ndarray]:
        steps = Steps(dtype, 3)
        xs, (y, whole), (dx, whole_dx) = steps.given(x), steps.result(x.shape[1:]), steps.result(x.shape[1:])
        steps.p.local_response_forward(xs, y, 5, 1.0, 0.75, 1.0)
        steps.p.local_response_backward(xs, y, dx, 5, 1.0, 0.75, 1.0)
        steps.leave(whole, x.shape[1:])
        steps.leave(whole_dx, x.shape[1:])
        return steps.run()

    same_for_any_threads(run)


def test_what_is_refused() -> None:
    steps = Steps(np.float32, 1)
    x, y, small = (steps.both(shape)[0] for shape in ((3, 4, 4), (3, 4, 4), (3, 2, 2)))
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        steps.p.local_response_forward(x, y, 0, 1.0, 0.75, 1.0)
    with pytest.raises(ValueError, match="y must have shape"):
        steps.p.local_response_forward(x, small, 5, 1.0, 0.75, 1.0)
    with pytest.raises(ValueError, match="dy must have shape"):
        steps.p.local_response_backward(x, small, y, 5, 1.0, 0.75, 1.0)
    with pytest.raises(ValueError, match="dx must have shape"):
        steps.p.local_response_backward(x, y, small, 5, 1.0, 0.75, 1.0)
