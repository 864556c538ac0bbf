"""Dropout with channels in lanes: the masks of the other layouts, forward and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import Steps
from kernels import cases, compare

import minidl
from minidl.kernels import reference

native = pytest.importorskip("minidl.kernels.native")
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
KEY = 2**64 - 3


@dtypes
@pytest.mark.parametrize("isa", native.isas())
def test_both_ways_are_the_reference(rng: Any, dtype: Any, isa: str) -> None:
    before = native.isa()
    native.use_isa(isa)
    try:
        for shape, rate in (((1, 1, 1, 1), 0.5), ((2, 13, 5, 3), 0.25), ((5, 33, 1, 1), 0.9), ((1, 16, 33, 40), 0.0)):
            x, dy, start = rng.integers(-9, 10, (3, *shape)).astype(dtype)
            for add, same in ((False, False), (True, False), (False, True)):
                steps = Steps(dtype, shape[0])
                y, whole = steps.result(shape[1:])
                number = steps.p.dropout_forward(steps.given(x), y, rate)
                steps.leave(whole, shape[1:])
                dys, whole = steps.both(shape[1:])
                steps.enter(dys, dy)
                dx = dys
                if not same:
                    dx, whole = steps.result(shape[1:])
                if add:
                    steps.enter(dx, start)
                steps.p.dropout_backward(number, dys, dx, add)
                steps.leave(whole, shape[1:])
                steps.p.draw(number, KEY)
                got = steps.run()
                factor = dtype(1 / (1 - rate))
                mask = reference.dropout_forward(np.ones(shape), rate, KEY) > 0
                with compare.during(shape, add, same):
                    compare.check(got[0], np.where(mask, x * factor, 0), exact=True)
                    back = np.where(mask, dy * factor, 0)
                    compare.check(got[1], start + back if add else back, tolerance=1e-6)
    finally:
        native.use_isa(before)


@dtypes
def test_what_is_dropped_is_zero_whatever_it_was(dtype: Any) -> None:
    steps, shape = Steps(dtype, 1), (1, 9, 4, 5)
    y, whole = steps.result(shape[1:])
    number = steps.p.dropout_forward(steps.given(np.full(shape, np.nan)), y, 0.5)
    steps.leave(whole, shape[1:])
    steps.p.draw(number, KEY)
    mask = reference.dropout_forward(np.ones(shape), 0.5, KEY) > 0
    np.testing.assert_array_equal(np.isnan(steps.run()[0]), mask)


def test_each_step_draws_anew_and_back_has_the_same_mask() -> None:
    steps, shape = Steps(np.float64, 1), (1, 8, 6, 6)
    ones = steps.given(np.ones(shape))
    y, whole = steps.result(shape[1:])
    number = steps.p.dropout_forward(ones, y, 0.5)
    steps.leave(whole, shape[1:])
    steps.p.turn()
    dy, dx = steps.both(shape[1:])[0], steps.both(shape[1:])[0]
    steps.p.enter(dy, np.float64)
    steps.p.dropout_backward(number, dy, dx)
    steps.p.leave(dx, shape[1:])
    masks = []
    for key in (1, 2):
        steps.p.draw(number, key)
        steps.p.forward(1, *steps.coming)
        masks.append(steps.p.backward(np.ones(shape))[0] > 0)
        np.testing.assert_array_equal(masks[-1], reference.dropout_forward(np.ones(shape), 0.5, key) > 0)
    assert (masks[0] != masks[1]).any()


def test_what_is_refused() -> None:
    steps = Steps(np.float32, 1)
    p = steps.p
    x, y, small = (steps.both(shape)[0] for shape in ((3, 4, 4), (3, 4, 4), (3, 2, 2)))
    assert p.dropout_forward(x, y, 0.5) == 0
    for rate in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\)"):
            p.dropout_forward(x, y, rate)
    with pytest.raises(ValueError, match="y must have shape"):
        p.dropout_forward(x, small, 0.5)
    with pytest.raises(ValueError, match="dx must have shape"):
        p.dropout_backward(0, x, small)
    for handle in (-1, 1, 7):
        with pytest.raises(ValueError, match=f"handle must be the number of a step of dropout_forward, got {handle}"):
            p.draw(handle, 1)
        with pytest.raises(ValueError, match="handle must be the number"):
            p.dropout_backward(handle, x, y)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(rng: Any, threads: int) -> None:
    x, found, before = rng.standard_normal((3, 20, 32, 33)), [], minidl.get_num_threads()
    try:
        for count in (1, threads):
            minidl.set_num_threads(count)
            steps = Steps(np.float64, 3)
            y, whole = steps.result(x.shape[1:])
            steps.p.draw(steps.p.dropout_forward(steps.given(x), y, 0.3), KEY)
            steps.leave(whole, x.shape[1:])
            found.append(steps.run()[0])
    finally:
        minidl.set_num_threads(before)
    np.testing.assert_array_equal(*found)
