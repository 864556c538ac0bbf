"""The naive pooling: CS231n's published numbers, central differences, scikit-image, ties and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import reference

NONE = (0, 0)
GRADIENT_CASES = [case for case in cases.POOLS if 0 < np.prod(case.x) < 250]


def distinct(rng, shape):
    """Numbers that are far apart against the step of the central differences, so that no maximum changes."""
    return rng.permutation(np.arange(np.prod(shape), dtype=np.float64)).reshape(shape) / 10


def test_the_published_max_pooling_numbers():
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
def test_max_pooling_gradient(case, rng):
    x = distinct(rng, case.x)
    y, argmax = reference.maxpool2d_forward(x, *case.window)
    dy = rng.standard_normal(y.shape)
    expected = numeric.gradient(lambda x: reference.maxpool2d_forward(x, *case.window)[0], x, dy)
    compare.check(reference.maxpool2d_backward(dy, argmax, case.x, *case.window), expected, tolerance=1e-8)


@pytest.mark.parametrize("case", GRADIENT_CASES, ids=cases.label)
def test_average_pooling_gradient(case, rng):
    x = rng.standard_normal(case.x)
    dy = rng.standard_normal(reference.avgpool2d_forward(x, *case.window).shape)
    expected = numeric.gradient(lambda x: reference.avgpool2d_forward(x, *case.window), x, dy)
    compare.check(reference.avgpool2d_backward(dy, case.x, *case.window), expected, tolerance=numeric.TOLERANCE)


def test_global_average_pooling(rng):
    x, dy = rng.standard_normal((3, 2, 4, 5)), rng.standard_normal((3, 2))
    compare.check(reference.global_avgpool_forward(x), x.mean((2, 3)))
    expected = numeric.gradient(reference.global_avgpool_forward, x, dy)
    compare.check(reference.global_avgpool_backward(dy, x.shape), expected, tolerance=numeric.TOLERANCE)


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


def test_overlapping_windows_add_their_gradients():
    x = np.array([[[[0.0, 9, 0]]]])
    y, argmax = reference.maxpool2d_forward(x, (1, 2), (1, 1), NONE)
    assert argmax.tolist() == [[[[1, 1]]]]
    dx = reference.maxpool2d_backward(np.array([[[[3.0, 4]]]]), argmax, x.shape, (1, 2), (1, 1), NONE)
    assert y.tolist() == [[[[9, 9]]]]
    assert dx.tolist() == [[[[0, 7, 0]]]]


def test_the_first_of_equal_maxima_takes_the_gradient():
    x = np.array([[[[1.0, 5], [5, 5]]]])
    y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), NONE)
    assert (y.item(), argmax.item()) == (5, 1)
    dx = reference.maxpool2d_backward(np.full((1, 1, 1, 1), 2.0), argmax, x.shape, (2, 2), (2, 2), NONE)
    assert dx.tolist() == [[[[0, 2], [0, 0]]]]


def test_padding_never_wins_and_never_counts_as_a_maximum():
    x = np.full((1, 1, 2, 2), -7.0)
    y, argmax = reference.maxpool2d_forward(x, (2, 2), (1, 1), (1, 1))
    assert (y == -7).all()
    assert argmax[0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


def test_padding_counts_in_the_average():
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
def test_special_numbers_leave_a_valid_place(window, winner):
    x = np.array(window).reshape(1, 1, 2, 2)
    y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), NONE)
    assert argmax.item() == winner
    np.testing.assert_equal(y.item(), window[winner])
