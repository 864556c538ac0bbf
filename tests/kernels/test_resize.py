"""Maps of another size: positions by hand, matrices as a second formula, every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

from minidl.kernels import reference, resizing
from minidl.kernels.resizing import Resizing

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

SIZES = ((1, 1, 3, 4), (5, 7, 2, 3), (4, 6, 8, 12), (3, 5, 1, 1), (6, 9, 3, 4), (9, 2, 11, 7))
"""H, W, OH, OW"""


def taps(sizes, dtype, mode, coordinates="half_pixel", rounding="floor"):
    settings = Resizing("test", None, sizes[2:], mode, coordinates, rounding)
    return settings.taps((1, 1, *sizes[:2]), np.dtype(dtype))


def many(rng, size, out, count, dtype):
    """Taps of any number, zeros among the weights."""
    weight = rng.standard_normal((out, count))
    weight[rng.random(weight.shape) < 0.3] = 0
    return rng.integers(0, size, (out, count)), weight.astype(dtype)


def matrix(index, weight, size):
    """(out, size), so that y = m x."""
    m = np.zeros((len(index), size))
    for i, (places, shares) in enumerate(zip(index, weight)):
        np.add.at(m[i], places, shares)
    return m


class TestPositions:
    def test_nearest_by_hand(self):
        """PyTorch and ONNX: 3 to 5 is 0 0.6 1.2 1.8 2.4 asymmetric, -0.2 0.4 1 1.6 2.2 between the pixels."""
        for coordinates, rounding, expected in (
            ("asymmetric", "floor", [0, 0, 1, 1, 2]),
            ("asymmetric", "ceil", [0, 1, 2, 2, 2]),
            ("asymmetric", "round_prefer_floor", [0, 1, 1, 2, 2]),
            ("half_pixel", "floor", [0, 0, 1, 1, 2]),
            ("half_pixel", "ceil", [0, 1, 1, 2, 2]),
            ("half_pixel", "round_prefer_floor", [0, 0, 1, 2, 2]),
            ("align_corners", "round_prefer_floor", [0, 0, 1, 1, 2]),
            ("align_corners", "round_prefer_ceil", [0, 1, 1, 2, 2]),
        ):
            index, weight = resizing.nearest(3, 5, None, coordinates, rounding)
            assert index[:, 0].tolist() == expected, (coordinates, rounding)
            assert (weight == 1).all()

    def test_whole_positions_are_exact(self):
        """10 places of 3 times as many: each third is a whole number, which floats would miss."""
        for size in range(1, 60):
            for factor in (3, 7, 10, 13):
                index, _ = resizing.nearest(size, size * factor, None, "asymmetric", "floor")
                assert index[:, 0].tolist() == [i // factor for i in range(size * factor)]
                index, _ = resizing.nearest(size * factor, size, None, "asymmetric", "ceil")
                assert index[:, 0].tolist() == [i * factor for i in range(size)]

    def test_linear_by_hand(self):
        index, weight = resizing.linear(2, 4, None, "half_pixel")
        assert index.tolist() == [[0, 0], [0, 1], [0, 1], [1, 1]]
        assert weight.tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [1, 0]]
        index, weight = resizing.linear(3, 5, None, "align_corners")
        assert (matrix(index, weight, 3) @ [0, 2, 4]).tolist() == [0, 1, 2, 3, 4]
        index, weight = resizing.linear(4, 2, None, "asymmetric")
        assert (matrix(index, weight, 4) @ [0, 1, 2, 3]).tolist() == [0, 2]

    def test_one_place(self):
        for coordinates, place in (("half_pixel", 2), ("pytorch_half_pixel", 0), ("align_corners", 0)):
            index, weight = resizing.linear(5, 1, None, coordinates)
            assert (matrix(index, weight, 5) @ range(5)).tolist() == [place]

    def test_a_scale_that_does_not_divide_is_taken_as_it_is(self):
        """ONNX's upsample by 1.5 of 3 places, asymmetric: 4 places at 0, 2/3, 4/3, 2; by sizes at 0, 3/4, ..."""
        for scale, expected in ((1.5, [0, 2 / 3, 4 / 3, 2]), (None, [0, 0.75, 1.5, 2.25])):
            index, weight = resizing.linear(3, 4, scale, "asymmetric")
            np.testing.assert_allclose(matrix(index, weight, 3) @ range(3), np.minimum(expected, 2), rtol=1e-15)


class TestReference:
    @pytest.mark.parametrize("sizes", SIZES)
    def test_matrices_as_a_second_formula(self, sizes, rng):
        H, W, OH, OW = sizes
        x = rng.standard_normal((2, 3, H, W))
        rows, columns = many(rng, H, OH, 3, float), many(rng, W, OW, 2, float)
        a, b = matrix(*rows, H), matrix(*columns, W)
        compare.check(reference.resize_forward(x, rows, columns), np.einsum("oh,nchw,pw->ncop", a, x, b))
        dy = rng.standard_normal((2, 3, OH, OW))
        dx = reference.resize_backward(dy, x.shape, rows, columns)
        compare.check(dx, np.einsum("oh,ncop,pw->nchw", a, dy, b))
        expected = numeric.gradient(lambda _: reference.resize_forward(x, rows, columns), x, dy)
        compare.check(dx, expected, tolerance=numeric.TOLERANCE)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_every_batch_equals_the_reference(backend, n, dtype):
    rng = np.random.default_rng(n)
    for sizes in SIZES:
        H, W, OH, OW = sizes
        x, dy = (cases.random(rng, (n, 3, *size), dtype) for size in ((H, W), (OH, OW)))
        for name, pair in {
            "nearest": taps(sizes, dtype, "nearest", "asymmetric"),
            "bilinear": taps(sizes, dtype, "bilinear"),
            "corners": taps(sizes, dtype, "bilinear", "align_corners"),
            "rows alone": (many(rng, H, OH, 4, dtype), taps(sizes, dtype, "nearest")[1]),
            "any": (many(rng, H, OH, 2, dtype), many(rng, W, OW, 5, dtype)),
            "none": ((np.zeros((OH, 0), np.intp), np.zeros((OH, 0), dtype)), many(rng, W, OW, 1, dtype)),
        }.items():
            with compare.during(name, sizes):
                expected = reference.resize_forward(x, *pair)
                for infer in (False, True):
                    y = backend.leave(backend.resize_forward(backend.enter(x, infer=infer), *pair))
                    compare.check(y, expected, exact=name == "nearest")
                dx = backend.leave(backend.resize_backward(backend.enter(dy), x.shape, *pair))
                compare.check(dx, reference.resize_backward(dy, x.shape, *pair))


@dtypes
def test_whole_numbers_are_exact(any_backend, dtype):
    """Weights of quarters: sums of products that float32 holds."""
    rng = np.random.default_rng(0)
    x = cases.random(rng, (17, 2, 9, 20), dtype, whole=True)
    dy = cases.random(rng, (17, 2, 18, 40), dtype, whole=True)
    pair = taps((9, 20, 18, 40), dtype, "bilinear")
    a, b = matrix(*pair[0], 9), matrix(*pair[1], 20)
    y = any_backend.leave(any_backend.resize_forward(any_backend.enter(x), *pair))
    compare.check(y, np.einsum("oh,nchw,pw->ncop", a, x, b), dtype, exact=True)
    dx = any_backend.leave(any_backend.resize_backward(any_backend.enter(dy), x.shape, *pair))
    compare.check(dx, np.einsum("oh,ncop,pw->nchw", a, dy, b), dtype, exact=True)


def test_a_weight_of_zero_reads_nothing(any_backend):
    x = np.array([[[[1.0, np.nan, 3], [np.inf, 5, 6]]]])
    rows = np.array([[0, 1]]), np.array([[1.0, 0]])
    columns = np.array([[0, 1], [1, 2]]), np.array([[2.0, 0], [0, 1]])
    y = any_backend.leave(any_backend.resize_forward(any_backend.enter(x), rows, columns))
    np.testing.assert_array_equal(y, [[[[2, 3]]]])
    dy = np.array([[[[np.nan, 7.0]]]])
    dx = any_backend.leave(any_backend.resize_backward(any_backend.enter(dy), x.shape, rows, columns))
    np.testing.assert_array_equal(dx, [[[[np.nan, 0, 7], [0, 0, 0]]]])


@dtypes
def test_any_number_of_threads_gives_the_same_bits(native, dtype):
    rng = np.random.default_rng(1)
    x, dy = cases.random(rng, (17, 5, 23, 31), dtype), cases.random(rng, (17, 5, 50, 61), dtype)
    pair = taps((23, 31, 50, 61), dtype, "bilinear")
    before, found = native.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            for infer in (False, True):
                y = native.leave(native.resize_forward(native.enter(x[:2], infer=infer), *pair))
            dx = native.leave(native.resize_backward(native.enter(dy), x.shape, *pair))
            found.append((y, native.leave(native.resize_forward(native.enter(x), *pair)), dx))
    finally:
        native.set_num_threads(before)
    for results in found[1:]:
        for got, expected in zip(results, found[0], strict=True):
            compare.check(got, expected, exact=True)


def test_the_binding_refuses_what_a_kernel_could_not_survive(native):
    x = native.enter(np.ones((2, 3, 4, 5), np.float32))
    good = np.zeros((6, 2), np.intp), np.ones((6, 2), np.float32)
    for bad, error, message in (
        ((good[0] - 1, good[1]), ValueError, r"rows must have indices in \[0, 4\), got -1"),
        ((good[0] + 4, good[1]), ValueError, r"rows must have indices in \[0, 4\), got 4"),
        ((good[0], good[1][:5]), ValueError, "rows must be index and weight of one shape"),
        ((good[0][0], good[1][0]), ValueError, "rows must be index and weight of one shape"),
        ((good[0], good[1].astype(float)), TypeError, r"rows\[1\] must be an array of float32"),
        ((good[0].astype(np.int32), good[1]), TypeError, r"rows\[0\] must be an array of int64"),
    ):
        with pytest.raises(error, match=message):
            native.resize_forward(x, bad, good)
    with pytest.raises(ValueError, match="dy must have shape"):
        native.resize_backward(x, (2, 3, 4, 5), good, good)
    with pytest.raises(ValueError, match="must have 4 dimensions"):
        native.resize_forward(native.enter(np.ones((2, 3), np.float32)), good, good)
    with pytest.raises(ValueError, match="entered for inference"):
        native.resize_backward(native.enter(np.ones((1, 3, 6, 6), np.float32), infer=True), (1, 3, 4, 5), good, good)
