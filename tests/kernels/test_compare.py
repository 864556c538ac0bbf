"""The judge is judged: it must reject what is wrong, and accept what is merely rounded."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import compare

FLOATS = [np.float32, np.float64]


@pytest.fixture(params=FLOATS)
def expected(request, rng):
    return rng.standard_normal((3, 4, 5, 6)).astype(request.param)


def test_equal_arrays_pass(expected):
    compare.check(expected.copy(), expected)
    compare.check(expected.copy(), expected, exact=True)
    assert compare.relative_error(expected, expected) == 0


def test_rounding_passes_but_not_exactly(expected):
    rounded = np.nextafter(expected, np.inf)
    compare.check(rounded, expected)
    with pytest.raises(AssertionError, match="not equal"):
        compare.check(rounded, expected, exact=True)


def test_zeros_fail(expected):
    with pytest.raises(AssertionError, match="relative error 1"):
        compare.check(np.zeros_like(expected), expected)


def test_one_percent_fails(expected):
    with pytest.raises(AssertionError, match=r"relative error 0\.01"):
        compare.check(expected * expected.dtype.type(1.01), expected)


def test_one_wrong_element_fails_and_is_named(expected):
    wrong = expected.copy()
    wrong[2, 1, 0, 3] += 1e-3
    with pytest.raises(AssertionError, match=r"first at \(2, 1, 0, 3\) of \(3, 4, 5, 6\).*1 of 360 places"):
        compare.check(wrong, expected)
    with pytest.raises(AssertionError, match=r"first at \(2, 1, 0, 3\)"):
        compare.check(wrong, expected, exact=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_nan_or_inf_fails(expected, bad):
    wrong = expected.copy()
    wrong[0, 0, 0, 0] = bad
    for exact in False, True:
        with pytest.raises(AssertionError, match=r"first at \(0, 0, 0, 0\)"):
            compare.check(wrong, expected, exact=exact)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_an_expected_nan_or_inf_must_be_there(expected, special):
    with_special = expected.copy()
    with_special[1, 2, 3, 4] = special
    compare.check(with_special.copy(), with_special)
    compare.check(with_special.copy(), with_special, exact=True)
    for exact in False, True:
        with pytest.raises(AssertionError):
            compare.check(expected, with_special, exact=exact)
        with pytest.raises(AssertionError):
            compare.check(np.roll(with_special, 1), with_special, exact=exact)


def test_the_wrong_infinity_fails():
    with pytest.raises(AssertionError):
        compare.check(np.array([-np.inf, 1.0]), np.array([np.inf, 1.0]))


def test_a_small_error_in_a_zero_expectation_fails():
    zeros = np.zeros((2, 2))
    compare.check(zeros.copy(), zeros)
    with pytest.raises(AssertionError):
        compare.check(zeros + 1e-6, zeros)


def test_wrong_dtype_shape_and_type_fail(expected):
    other = np.float64 if expected.dtype == np.float32 else np.float32
    with pytest.raises(AssertionError, match="expected dtype"):
        compare.check(expected.astype(other), expected)
    with pytest.raises(AssertionError, match="expected shape"):
        compare.check(expected[:2], expected)
    with pytest.raises(AssertionError, match="expected shape"):
        compare.check(expected[None], expected)
    with pytest.raises(AssertionError, match="expected an array"):
        compare.check(expected.tolist(), expected)


def test_a_float32_result_is_held_against_a_float64_expectation(rng):
    expected = rng.standard_normal((10, 10))
    compare.check(expected.astype(np.float32), expected, np.float32)
    with pytest.raises(AssertionError, match="expected dtype"):
        compare.check(expected.astype(np.float32), expected)


def test_empty_arrays_pass_only_with_the_right_shape():
    compare.check(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(AssertionError, match="expected shape"):
        compare.check(np.zeros((0, 3)), np.zeros((0, 4)))


def test_integers_are_compared_exactly():
    compare.check(np.array([1, 2], np.int32), np.array([1, 2], np.int32))
    with pytest.raises(AssertionError, match="not equal"):
        compare.check(np.array([1, 3], np.int32), np.array([1, 2], np.int32))


def test_numbers():
    compare.check_number(1.0 + 1e-9, 1.0, 1e-8)
    compare.check_number(1e-5, 2e-5, 1e-4)
    for wrong, expected in (1.01, 1.0), (0.0, 0.01), (990.0, 1000.0):
        with pytest.raises(AssertionError, match=r"relative error 0\.0"):
            compare.check_number(wrong, expected, 1e-3)
    with pytest.raises(AssertionError, match="expected a float"):
        compare.check_number(1, 1.0, 1e-3)
    with pytest.raises(AssertionError):
        compare.check_number(float("nan"), 1.0, 1e-3)


def test_a_failure_names_its_case():
    with compare.during("fine", 1):
        compare.check_number(1.0, 1.0, 0.0)
    with pytest.raises(AssertionError, match=r"wide, 3: got 2\.0"), compare.during("wide", 3):
        compare.check_number(2.0, 1.0, 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_overwritten_margin_is_seen(dtype):
    guarded = compare.Guarded((2, 3), dtype)
    assert guarded.array.flags.c_contiguous
    assert np.isnan(guarded.array).all()
    guarded.array[...] = 7
    guarded.check()
    for index, side in (-1, "before"), (6, "behind"):
        guarded = compare.Guarded((2, 3), dtype)
        guarded._buffer[guarded.MARGIN + index] = 0
        with pytest.raises(AssertionError, match=f"1 elements {side} the array"):
            guarded.check()
