"""Pooling: published numbers, central differences, scikit-image, ties and NaN; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import reference

whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
NONE = (0, 0)
GRADIENT_CASES = [case for case in cases.POOLS if 0 < np.prod(case.x) < 250]


def distinct(rng, shape):
    """Numbers that are far apart against the step of the central differences, so that no maximum changes."""
    return rng.permutation(np.arange(np.prod(shape), dtype=np.float64)).reshape(shape) / 10


class TestReference:
    def test_the_published_max_pooling_numbers(self):
        """CS231n assignment 2, "Max-Pooling: naive forward"."""
        x = np.linspace(-0.3, 0.4, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
        published = [
            [
                [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
                [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
                [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
            ],
            [
                [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
                [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
                [[0.32631579, 0.34105263], [0.38526316, 0.4]],
            ],
        ]
        y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), NONE)
        np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)
        assert argmax.dtype == np.int32
        assert argmax[1, 2].tolist() == [[5, 7], [13, 15]]

    @pytest.mark.parametrize("case", GRADIENT_CASES, ids=cases.label)
    def test_max_pooling_gradient(self, case, rng):
        x = distinct(rng, case.x)
        y, argmax = reference.maxpool2d_forward(x, *case.max)
        dy = rng.standard_normal(y.shape)
        expected = numeric.gradient(lambda x: reference.maxpool2d_forward(x, *case.max)[0], x, dy)
        compare.check(reference.maxpool2d_backward(dy, argmax, case.x, *case.max), expected, tolerance=1e-8)

    @pytest.mark.parametrize("case", GRADIENT_CASES, ids=cases.label)
    def test_average_pooling_gradient(self, case, rng):
        x = rng.standard_normal(case.x)
        dy = rng.standard_normal(reference.avgpool2d_forward(x, *case.mean).shape)
        expected = numeric.gradient(lambda x: reference.avgpool2d_forward(x, *case.mean), x, dy)
        compare.check(reference.avgpool2d_backward(dy, case.x, *case.mean), expected, tolerance=numeric.TOLERANCE)

    def test_global_average_pooling(self, rng):
        x, dy = rng.standard_normal((3, 2, 4, 5)), rng.standard_normal((3, 2))
        compare.check(reference.global_avgpool_forward(x), x.mean((2, 3)))
        expected = numeric.gradient(reference.global_avgpool_forward, x, dy)
        compare.check(reference.global_avgpool_backward(dy, x.shape), expected, tolerance=numeric.TOLERANCE)

    def test_overlapping_windows_add_their_gradients(self):
        x = np.array([[[[0.0, 9, 0]]]])
        y, argmax = reference.maxpool2d_forward(x, (1, 2), (1, 1), NONE)
        assert argmax.tolist() == [[[[1, 1]]]]
        dx = reference.maxpool2d_backward(np.array([[[[3.0, 4]]]]), argmax, x.shape, (1, 2), (1, 1), NONE)
        assert y.tolist() == [[[[9, 9]]]]
        assert dx.tolist() == [[[[0, 7, 0]]]]

    def test_the_first_of_equal_maxima_takes_the_gradient(self):
        x = np.array([[[[1.0, 5], [5, 5]]]])
        y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), NONE)
        assert (y.item(), argmax.item()) == (5, 1)
        dx = reference.maxpool2d_backward(np.full((1, 1, 1, 1), 2.0), argmax, x.shape, (2, 2), (2, 2), NONE)
        assert dx.tolist() == [[[[0, 2], [0, 0]]]]

    def test_padding_never_wins_and_never_counts_as_a_maximum(self):
        x = np.full((1, 1, 2, 2), -7.0)
        y, argmax = reference.maxpool2d_forward(x, (2, 2), (1, 1), (1, 1))
        assert (y == -7).all()
        assert argmax[0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]

    def test_padding_counts_in_the_average(self):
        y = reference.avgpool2d_forward(np.full((1, 1, 2, 2), 8.0), (2, 2), (1, 1), (1, 1))
        assert y[0, 0].tolist() == [[2, 4, 2], [4, 8, 4], [2, 4, 2]]

    @pytest.mark.parametrize(
        ("window", "winner"),
        [
            ([1, np.nan, 9, np.nan], 1),
            ([np.nan, np.inf, 2, 3], 0),
            ([np.inf, 1, np.inf, np.nan], 3),
            ([-np.inf] * 4, 0),
            ([-np.inf, -np.inf, -9, -np.inf], 2),
            ([-0.0, 0.0, 0.0, -0.0], 0),
        ],
    )
    def test_special_numbers_leave_a_valid_place(self, window, winner):
        x = np.array(window).reshape(1, 1, 2, 2)
        y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), NONE)
        assert argmax.item() == winner
        np.testing.assert_equal(y.item(), window[winner])


@dtypes
@whole
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_maxpool2d(backend, case, dtype, whole):
    (x, dy), (y, argmax, dx) = judged.maxpool2d(case, dtype, whole)
    got, places = backend.maxpool2d_forward(backend.enter(x), *case.max)
    compare.check(backend.leave(got), y, dtype, exact=True)
    compare.check(backend.leave(places), argmax)
    got = backend.maxpool2d_backward(backend.enter(dy), places, case.x, *case.max)
    compare.check(backend.leave(got), dx, dtype, exact=whole)


@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_the_places_of_the_maxima_can_leave_and_come_back(backend, case):
    (x, dy), (_, _, dx) = judged.maxpool2d(case, np.float32, True)
    _, places = backend.maxpool2d_forward(backend.enter(x), *case.max)
    places = backend.enter(backend.leave(places))
    compare.check(
        backend.leave(backend.maxpool2d_backward(backend.enter(dy), places, case.x, *case.max)),
        dx,
        np.float32,
        exact=True,
    )


@dtypes
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_maxpool2d_with_nan_and_infinities(backend, case, dtype, rng):
    x = cases.random(rng, case.x, dtype, whole=True)
    special = np.array([np.nan, np.inf, -np.inf, 0, 0, 0], dtype)
    x = np.where(rng.random(x.shape) < 0.4, special[rng.integers(0, 6, x.shape)], x)
    y, argmax = reference.maxpool2d_forward(x, *case.max)
    got, places = backend.maxpool2d_forward(backend.enter(x), *case.max)
    compare.check(backend.leave(got), y, exact=True)
    compare.check(backend.leave(places), argmax)


@pytest.mark.parametrize("value", [0.0, -0.0, -np.inf, np.inf, np.nan, -5.0])
def test_maxpool2d_of_a_constant_takes_the_first(backend, value):
    x = np.full((5, 2, 5, 7), value, np.float32)
    window = (3, 3), (2, 2), (1, 1)
    y, argmax = reference.maxpool2d_forward(x, *window)
    got, places = backend.maxpool2d_forward(backend.enter(x), *window)
    compare.check(backend.leave(got), y, exact=True)
    compare.check(backend.leave(places), argmax)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_avgpool2d(backend, case, dtype, whole):
    (x, dy), (y, dx) = judged.avgpool2d(case, dtype, whole)
    divisors = case.count_include_pad and not case.ceil_mode and np.log2(np.prod(case.kernel)) % 1 == 0
    exact = whole and divisors
    compare.check(backend.leave(backend.avgpool2d_forward(backend.enter(x), *case.mean)), y, dtype, exact=exact)
    got = backend.avgpool2d_backward(backend.enter(dy), case.x, *case.mean)
    compare.check(backend.leave(got), dx, dtype, exact=exact)


@dtypes
@pytest.mark.parametrize("shape", [shape for shape in cases.SHAPES if len(shape) == 4], ids=str)
def test_global_avgpool(backend, shape, dtype, rng):
    x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape[:2], dtype)
    y = reference.global_avgpool_forward(x.astype(np.float64))
    dx = reference.global_avgpool_backward(dy.astype(np.float64), shape)
    compare.check(backend.leave(backend.global_avgpool_forward(backend.enter(x))), y, dtype)
    compare.check(backend.leave(backend.global_avgpool_backward(backend.enter(dy), shape)), dx, dtype)


@pytest.mark.parametrize(("shape", "kernel"), [((2, 3, 6, 8), (2, 2)), ((1, 2, 9, 6), (3, 2)), ((2, 1, 5, 7), (2, 3))])
def test_block_reduce_agrees(any_backend, shape, kernel, rng):
    """scikit-image, as in the first seed; it pads the last blocks with zeros, which pooling leaves out."""
    measure = pytest.importorskip("skimage.measure")
    x = rng.standard_normal(shape)
    whole = tuple(size // k for size, k in zip(shape[2:], kernel, strict=True))
    for function, pool in (np.mean, any_backend.avgpool2d_forward), (np.max, any_backend.maxpool2d_forward):
        expected = measure.block_reduce(x, (1, 1, *kernel), function)[:, :, : whole[0], : whole[1]]
        y = pool(any_backend.enter(x), kernel, kernel, NONE)
        compare.check(any_backend.leave(y[0] if isinstance(y, tuple) else y), expected)
