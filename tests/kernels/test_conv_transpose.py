"""Transposed convolution: by hand, as a convolution's adjoint; every backend against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric, variants

from minidl.kernels import reference

whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
ONE = (1, 1)


class TestReference:
    def test_by_hand(self):
        x, w = np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[1.0, 10], [100, 1000]]]])
        y = reference.conv_transpose2d_forward(x, w, np.array([0.5]), (1, 1), (0, 0), (0, 0), ONE, 1)
        assert y.tolist() == [[[[1.5, 12.5, 20.5], [103.5, 1234.5, 2040.5], [300.5, 3400.5, 4000.5]]]]
        y = reference.conv_transpose2d_forward(x, w, None, (2, 2), ((1, 0), (0, 1)), (0, 1), ONE, 1)
        assert y.tolist() == [[[[100, 1000, 200, 2000], [3, 30, 4, 40], [300, 3000, 400, 4000]]]]

    @pytest.mark.parametrize("case", cases.TRANSPOSED, ids=cases.label)
    def test_it_is_the_adjoint_of_a_convolution(self, case, rng):
        """<conv_transpose(x), y> = <x, conv(y)> with one weight, in whole numbers: exactly."""
        x, w = cases.random(rng, case.x, np.float64, True), cases.random(rng, case.w, np.float64, True)
        there = reference.conv_transpose2d_forward(x, w, None, *case.window)
        y = cases.random(rng, there.shape, np.float64, True)
        stride, padding, _, dilation, groups = case.window
        back = reference.conv2d_forward(y, w, None, stride, padding, dilation, groups)[:, :, : x.shape[2], : x.shape[3]]
        assert np.sum(there * y) == np.sum(x * back)

    @pytest.mark.parametrize("case", [c for c in cases.TRANSPOSED if 0 < np.prod(c.x) < 150], ids=cases.label)
    def test_gradients(self, case, rng):
        x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
        b = rng.standard_normal(case.out_channels)
        dy = rng.standard_normal(reference.conv_transpose2d_forward(x, w, b, *case.window).shape)
        functions = (
            lambda x: reference.conv_transpose2d_forward(x, w, b, *case.window),
            lambda w: reference.conv_transpose2d_forward(x, w, b, *case.window),
            lambda b: reference.conv_transpose2d_forward(x, w, b, *case.window),
        )
        gradients = reference.conv_transpose2d_backward(dy, x, w, *case.window)
        for got, function, argument in zip(gradients, functions, (x, w, b), strict=True):
            compare.check(got, numeric.gradient(function, argument, dy), tolerance=numeric.TOLERANCE)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.TRANSPOSED, ids=cases.label)
def test_conv_transpose2d(backend, case, dtype, whole):
    (x, w, b, dy), (y, dx, dw, db) = judged.conv_transpose2d(case, dtype, whole)
    entered, upstream = backend.enter(x), backend.enter(dy)
    with variants.direct_sums(backend, whole):
        got = backend.conv_transpose2d_forward(entered, w, b, *case.window)
        got_dx, got_dw, got_db = backend.conv_transpose2d_backward(upstream, entered, w, *case.window)
    compare.check(backend.leave(got), y, dtype, exact=whole)
    compare.check(backend.leave(got_dx), dx, dtype, exact=whole)
    compare.check(got_dw, dw, dtype, exact=whole)
    compare.check(got_db, db, dtype, exact=whole)


@dtypes
@pytest.mark.parametrize("case", cases.TRANSPOSED[::5], ids=cases.label)
def test_gradients_may_be_left_out_and_have_a_place(backend, case, dtype):
    (x, w, _, dy), (_, dx, dw, db) = judged.conv_transpose2d(case, dtype, True)
    args = backend.enter(dy), backend.enter(x), w, *case.window
    places = compare.Guarded(w.shape, dtype), compare.Guarded(db.shape, dtype)
    got = backend.conv_transpose2d_backward(*args, False, (places[0].array, places[1].array))
    assert got[0] is None
    assert got[1] is places[0].array
    for place, expected in zip(places, (dw, db), strict=True):
        compare.check(place.array, expected, dtype, exact=True)
        place.check()
    got_dx, got_dw, got_db = backend.conv_transpose2d_backward(*args, True, (places[0].array, None))
    assert got_db is None
    compare.check(backend.leave(got_dx), dx, dtype, exact=True)
    compare.check(got_dw, dw, dtype, exact=True)


@pytest.mark.parametrize("n", [1, 3, 17])
def test_for_inference(backend, n, rng):
    x, w = rng.standard_normal((n, 4, 3, 5)).astype(np.float32), rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    window = (2, 2), (1, 1), (1, 1), ONE, 1
    y = backend.conv_transpose2d_forward(backend.enter(x, infer=True), w, None, *window)
    expected = reference.conv_transpose2d_forward(*judged.wide(x, w), None, *window)
    compare.check(backend.leave(y), expected, np.float32)
    compare.check(backend.leave(backend.relu_forward(y)), np.maximum(expected, 0), np.float32)
