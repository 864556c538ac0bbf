"""Convolution: published numbers, central differences, the definition; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric, variants

from minidl.kernels import reference

whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
ONE = (1, 1)
SMALL = (
    cases.Conv("small", (2, 2, 3, 4), (2, 2, 2, 3), padding=(1, 1)),
    cases.Conv("small-strided-dilated-grouped", (1, 4, 5, 4), (2, 2, 2, 2), (2, 1), (1, 2), (2, 3), 2),
)


class TestReference:
    def test_the_published_forward_numbers(self):
        """CS231n assignment 2, "Convolution: naive forward pass"; its filters are a 4x4, stride 2, padding 1."""
        x = np.linspace(-0.1, 0.5, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
        w = np.linspace(-0.2, 0.3, 3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
        b = np.linspace(-0.1, 0.2, 3)
        published = [
            [
                [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
                [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
                [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
            ],
            [
                [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
                [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
                [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
            ],
        ]
        y = reference.conv2d_forward(x, w, b, (2, 2), (1, 1), ONE, 1)
        np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)

    @pytest.mark.parametrize("case", SMALL, ids=cases.label)
    def test_gradients_against_central_differences(self, case, rng):
        x, w, b = rng.standard_normal(case.x), rng.standard_normal(case.w), rng.standard_normal(case.w[0])
        dy = rng.standard_normal(reference.conv2d_forward(x, w, b, *case.window).shape)

        def forward(_):
            return reference.conv2d_forward(x, w, b, *case.window)

        for got, argument in zip(reference.conv2d_backward(dy, x, w, *case.window), (x, w, b), strict=True):
            compare.check(got, numeric.gradient(forward, argument, dy), tolerance=numeric.TOLERANCE)

    @pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
    def test_gradients_along_a_random_direction(self, case, rng):
        x, w, b = rng.standard_normal(case.x), rng.standard_normal(case.w), rng.standard_normal(case.w[0])
        functions = (
            lambda x: reference.conv2d_forward(x, w, b, *case.window),
            lambda w: reference.conv2d_forward(x, w, b, *case.window),
            lambda b: reference.conv2d_forward(x, w, b, *case.window),
        )
        dy = rng.standard_normal(functions[0](x).shape)
        gradients = reference.conv2d_backward(dy, x, w, *case.window)
        for got, argument, function in zip(gradients, (x, w, b), functions, strict=True):
            direction = rng.standard_normal(argument.shape)
            expected = numeric.slope(function, argument, direction, dy)
            assert np.sum(got * direction) == pytest.approx(expected, rel=1e-7, abs=1e-7)

    def test_the_definition_element_by_element(self, rng):
        """The contract's formula, spelt out with its seven indices and no window."""
        N, C, H, W, O, KH, KW, G = 2, 4, 6, 7, 6, 3, 2, 2
        (SH, SW), (PH, PW), (DH, DW) = (2, 1), (3, 1), (1, 3)
        x, w, b = rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C // G, KH, KW)), rng.standard_normal(O)
        OH, OW = (H + 2 * PH - DH * (KH - 1) - 1) // SH + 1, (W + 2 * PW - DW * (KW - 1) - 1) // SW + 1
        y = np.tile(b[:, None, None], (N, 1, OH, OW))
        for n, o, oh, ow, c, kh, kw in np.ndindex(N, O, OH, OW, C // G, KH, KW):
            ih, iw = oh * SH - PH + kh * DH, ow * SW - PW + kw * DW
            if 0 <= ih < H and 0 <= iw < W:
                y[n, o, oh, ow] += x[n, o // (O // G) * (C // G) + c, ih, iw] * w[o, c, kh, kw]
        compare.check(reference.conv2d_forward(x, w, b, (SH, SW), (PH, PW), (DH, DW), G), y)

    def test_scipy_agrees(self, rng):
        ndimage = pytest.importorskip("scipy.ndimage")
        x, w = rng.standard_normal((2, 3, 8, 9)), rng.standard_normal((4, 3, 3, 5))
        y = reference.conv2d_forward(x, w, None, ONE, (1, 2), ONE, 1)
        expected = [[ndimage.correlate(image, kernel, mode="constant")[1] for kernel in w] for image in x]
        compare.check(y, np.array(expected))

    def test_groups_are_independent_convolutions(self, rng):
        x, w, b = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((9, 2, 3, 3)), rng.standard_normal(9)
        together = reference.conv2d_forward(x, w, b, ONE, ONE, ONE, 3)
        parts = [
            reference.conv2d_forward(
                x[:, 2 * g : 2 * g + 2], w[3 * g : 3 * g + 3], b[3 * g : 3 * g + 3], ONE, ONE, ONE, 1
            )
            for g in range(3)
        ]
        compare.check(together, np.concatenate(parts, axis=1), exact=True)

    def test_the_input_gradient_is_a_convolution_with_the_rotated_kernel(self, rng):
        """For stride 1: pad dy by KH - 1 - PH, turn w by 180 degrees, swap its channels."""
        x, w = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 3, 3))
        dy = rng.standard_normal((2, 4, 6, 5))
        dx, _, _ = reference.conv2d_backward(dy, x, w, ONE, ONE, ONE, 1)
        rotated = np.ascontiguousarray(w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        compare.check(dx, reference.conv2d_forward(dy, rotated, None, ONE, ONE, ONE, 1))

    def test_a_nan_reaches_only_the_windows_that_see_it(self):
        x = np.zeros((1, 1, 5, 5))
        x[0, 0, 0, 0] = np.nan
        y = reference.conv2d_forward(x, np.ones((1, 1, 3, 3)), None, ONE, ONE, ONE, 1)
        assert np.argwhere(np.isnan(y))[:, 2:].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]

    @pytest.mark.parametrize("dtype", cases.FLOATS)
    def test_dtype_is_kept(self, dtype, rng):
        x, w, b = (cases.random(rng, shape, dtype) for shape in ((2, 2, 4, 4), (3, 2, 3, 3), (3,)))
        y = reference.conv2d_forward(x, w, b, ONE, ONE, ONE, 1)
        assert [a.dtype for a in (y, *reference.conv2d_backward(y, x, w, ONE, ONE, ONE, 1))] == [dtype] * 4

    def test_an_empty_batch_has_zero_weight_gradients(self):
        x, w = np.zeros((0, 2, 4, 4)), np.ones((3, 2, 3, 3))
        assert reference.conv2d_forward(x, w, None, ONE, ONE, ONE, 1).shape == (0, 3, 4, 4)
        dx, dw, db = reference.conv2d_backward(np.zeros((0, 3, 4, 4)), x, w, ONE, ONE, ONE, 1)
        assert dx.shape == x.shape
        assert not dw.any()
        assert not db.any()


@dtypes
@whole
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_conv2d(backend, case, dtype, whole):
    (x, w, b, dy), (y, dx, dw, db) = judged.conv2d(case, dtype, whole)
    entered, upstream = backend.enter(x), backend.enter(dy)
    with variants.direct_sums(backend, whole):
        compare.check(backend.leave(backend.conv2d_forward(entered, w, b, *case.window)), y, dtype, exact=whole)
        got_dx, got_dw, got_db = backend.conv2d_backward(upstream, entered, w, *case.window)
    compare.check(backend.leave(got_dx), dx, dtype, exact=whole)
    compare.check(got_dw, dw, dtype, exact=whole)
    compare.check(got_db, db, dtype, exact=whole)
    compare.check(backend.leave(entered), x, exact=True)
    compare.check(backend.leave(upstream), dy, exact=True)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_conv2d_backward_into_out(backend, case, dtype, whole):
    (x, w, _, dy), (_, _, dw, db) = judged.conv2d(case, dtype, whole)
    weight, bias = (compare.Guarded(shape, dtype) for shape in (w.shape, db.shape))
    args = backend.enter(dy), backend.enter(x), w, *case.window
    with variants.direct_sums(backend, whole):
        none, got_dw, got_db = backend.conv2d_backward(*args, need_dx=False, out=(weight.array, bias.array))
        assert none is None
        assert got_dw is weight.array
        assert got_db is bias.array
        compare.check(got_dw, dw, dtype, exact=whole)
        compare.check(got_db, db, dtype, exact=whole)
        weight.array[...] = np.nan
        _, got_dw, no_db = backend.conv2d_backward(*args, need_dx=True, out=(weight.array, None))
    assert no_db is None
    compare.check(got_dw, dw, dtype, exact=whole)
    weight.check()
    bias.check()


@dtypes
@pytest.mark.parametrize("variant", [v for v in variants.ALL if v.name == "native"], ids=variants.label)
def test_the_number_of_threads_changes_no_bit(variant, dtype):
    with variants.using(variant) as backend:
        before, results = backend.get_num_threads(), []
        try:
            for threads in 1, 2, 3:
                backend.set_num_threads(threads)
                results.append([_bits(backend, case, dtype) for case in cases.CONVS])
        finally:
            backend.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def _bits(backend, case, dtype):
    (x, w, b, dy), _ = judged.conv2d(case, dtype, False)
    entered = backend.enter(x)
    y = backend.leave(backend.conv2d_forward(entered, w, b, *case.window))
    dx, dw, db = backend.conv2d_backward(backend.enter(dy), entered, w, *case.window)
    return case.name, [a.tobytes() for a in (y, backend.leave(dx), dw, db)]
