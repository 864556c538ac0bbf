"""Group and layer normalisation: formulas, central differences, every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import reference

EPS = 1e-5
SHAPES = (
    *((n, 6, 3, 5) for n in cases.BATCHES),
    *((n, 12) for n in (0, 1, 15, 16, 17)),
    (2, 4, 1, 1),
    (3, 2, 9, 17),
    (5, 33, 3, 1),
)
GROUPS = {6: 3, 12: 4, 4: 1, 2: 1, 33: 11}
"""The number of groups for a number of channels."""

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def settings(shape):
    """(operation, the parameters' shape, its further arguments) for a batch of this shape.

    Of at least three values each: two that lie close together would have their rounding divided by next to nothing.
    """
    found = [("groupnorm", shape[1:2], (groups, EPS)) for groups in (1, GROUPS[shape[1]])]
    layers = [shape[axis:] for axis in range(1, len(shape)) if np.prod(shape[axis:]) > 2]
    return [*found, *(("layernorm", layer, (EPS,)) for layer in layers)]


class TestReference:
    def test_a_group_by_hand(self):
        """Channels 1 3 and 5 9: means 2 and 7, deviations 1 and 2."""
        x = np.array([[1.0, 3, 5, 9]])
        gamma, beta = np.array([1.0, 1, 2, 10]), np.array([0.0, 5, 0, 0])
        y, mean, inv_std = reference.groupnorm_forward(x, gamma, beta, 2, 1e-300)
        np.testing.assert_allclose(y, [[-1, 6, -2, 10]])
        np.testing.assert_allclose(mean, [[2, 7]])
        np.testing.assert_allclose(inv_std, [[1, 0.5]])

    def test_each_group_has_the_mean_0_and_the_variance_1(self, rng):
        x = 5 * rng.standard_normal((3, 6, 4, 5)) + 12
        y, mean, inv_std = reference.groupnorm_forward(x, np.ones(6), np.zeros(6), 3, EPS)
        grouped = y.reshape(3, 3, -1)
        np.testing.assert_allclose(grouped.mean(2), 0, atol=1e-14)
        np.testing.assert_allclose(grouped.var(2), 1, rtol=1e-5)
        np.testing.assert_allclose(mean, x.reshape(3, 3, -1).mean(2))
        np.testing.assert_allclose(inv_std, 1 / np.sqrt(x.reshape(3, 3, -1).var(2) + EPS))

    def test_the_published_layernorm_statistics(self):
        """CS231n assignment 2, "Layer normalization: forward": a two-layer network's rows before and after."""
        rng = np.random.RandomState(231)
        x, w1, w2 = rng.randn(4, 50), rng.randn(50, 60), rng.randn(60, 3)
        a = np.maximum(0, x @ w1) @ w2
        np.testing.assert_allclose(a.mean(1), [-59.06673243, -47.60782686, -43.31137368, -26.40991744], atol=5e-9)
        np.testing.assert_allclose(a.std(1), [10.07429373, 28.39478981, 35.28360729, 4.01831507], atol=5e-9)
        y, _, _ = reference.layernorm_forward(a, np.full(3, 3.0), np.full(3, 5.0), EPS)
        np.testing.assert_allclose(y.mean(1), 5, rtol=1e-13)
        np.testing.assert_allclose(y.std(1), [2.99999985, 2.99999998, 2.99999999, 2.99999907], atol=5e-9)

    def test_a_group_of_all_channels_is_a_layer_a_group_of_one_an_instance(self, rng):
        x, ones, zeros = rng.standard_normal((2, 3, 4, 5)), np.ones(3), np.zeros(3)
        layer = reference.layernorm_forward(x, np.ones((3, 4, 5)), np.zeros((3, 4, 5)), EPS)
        for got, wanted in zip(reference.groupnorm_forward(x, ones, zeros, 1, EPS), layer, strict=True):
            compare.check(got, wanted)
        instance, _, _ = reference.groupnorm_forward(x, ones, zeros, 3, EPS)
        for n in range(2):
            alone = reference.batchnorm_forward(x[n : n + 1], ones, zeros, zeros.copy(), ones.copy(), 0.9, EPS, True)
            compare.check(instance[n : n + 1], alone[0])

    @pytest.mark.parametrize("shape", [(2, 6, 3, 2), (3, 12)])
    def test_gradients(self, shape, rng):
        for name, parameters, rest in settings(shape):
            with compare.during(name, parameters):
                x, dy = 5 * rng.standard_normal(shape) + 12, rng.standard_normal(shape)
                gamma, beta = rng.standard_normal(parameters), rng.standard_normal(parameters)
                forward, backward = (getattr(reference, f"{name}_{way}") for way in ("forward", "backward"))
                _, mean, inv_std = forward(x, gamma, beta, *rest)
                gradients = backward(dy, x, gamma, mean, inv_std)
                for got, argument in zip(gradients, (x, gamma, beta), strict=True):
                    expected = numeric.gradient(lambda _: forward(x, gamma, beta, *rest)[0], argument, dy)  # noqa: B023
                    compare.check(got, expected, tolerance=1e-7)


@dtypes
@shapes
def test_backends(backend, shape, dtype, rng):
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for name, parameters, rest in settings(shape):
        with compare.during(name, parameters):
            x, dy = (4 * rng.standard_normal(shape) + 10).astype(dtype), cases.random(rng, shape, dtype)
            gamma, beta = cases.random(rng, parameters, dtype), cases.random(rng, parameters, dtype)
            entered = backend.enter(x)
            y, mean, inv_std = getattr(backend, f"{name}_forward")(entered, gamma, beta, *rest)
            expected = getattr(reference, f"{name}_forward")(*judged.wide(x, gamma, beta), *rest)
            results = [backend.leave(array) for array in (y, mean, inv_std)]
            for got, wanted in zip(results, expected, strict=True):
                compare.check(got, wanted, dtype, tolerance=tolerance)

            out = [compare.Guarded(parameters, dtype) for _ in range(2)]
            arrays = out[0].array, out[1].array
            dx, *given = getattr(backend, f"{name}_backward")(backend.enter(dy), entered, gamma, mean, inv_std, arrays)
            assert [g is a for g, a in zip(given, arrays, strict=True)] == [True, True]
            wide = judged.wide(dy, x, gamma, *results[1:])
            expected = getattr(reference, f"{name}_backward")(*wide)
            for got, wanted in zip((backend.leave(dx), *arrays), expected, strict=True):
                compare.check(got, wanted, dtype, tolerance=tolerance)
            for guard in out:
                guard.check()


@dtypes
def test_a_large_mean_keeps_the_variance(backend, dtype, rng):
    """A variance taken as mean of squares minus square of mean would lose every digit here."""
    x = (rng.integers(-1, 2, (9, 2, 16, 16)) + 4096).astype(dtype)
    wide = x.astype(np.float64)
    for rest, axes in ((2, (2, 3)), (1, (1, 2, 3))):
        _, mean, inv_std = backend.groupnorm_forward(backend.enter(x), np.ones(2, dtype), np.zeros(2, dtype), rest, EPS)
        expected = wide.mean(axes).reshape(9, rest)
        compare.check(backend.leave(mean), expected, dtype, tolerance=1e-6)
        compare.check(backend.leave(inv_std), 1 / np.sqrt(wide.var(axes).reshape(9, rest) + EPS), dtype, tolerance=1e-5)


@dtypes
def test_a_bad_image_spoils_no_other(backend, dtype, rng):
    x = cases.random(rng, (17, 4, 3, 3), dtype)
    gamma, beta = np.ones(4, dtype), np.zeros(4, dtype)
    clean = backend.leave(backend.groupnorm_forward(backend.enter(x), gamma, beta, 2, EPS)[0])
    x[5, :2] = np.nan
    with np.errstate(invalid="ignore"):
        y = backend.leave(backend.groupnorm_forward(backend.enter(x), gamma, beta, 2, EPS)[0])
    others = np.arange(17) != 5
    compare.check(y[others], clean[others], exact=True)
    compare.check(y[5, 2:], clean[5, 2:], exact=True)
    assert np.isnan(y[5, :2]).all()


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    """In the plain layout: the same numbers, and the results stay plain for the layers behind."""
    for shape in SHAPES:
        for name, parameters, rest in settings(shape):
            with compare.during(name, shape, parameters):
                x, gamma, beta = (cases.random(rng, s, dtype) for s in (shape, parameters, parameters))
                given = getattr(native, f"{name}_forward")(native.enter(x, infer=True), gamma, beta, *rest)
                expected = getattr(reference, f"{name}_forward")(*judged.wide(x, gamma, beta), *rest)
                tolerance = 1e-5 if dtype == np.float32 else 1e-12
                for got, wanted in zip(given, expected, strict=True):
                    compare.check(native.leave(got), wanted, dtype, tolerance=tolerance)
                with pytest.raises(ValueError, match="entered for inference"):
                    getattr(native, f"{name}_backward")(given[0], given[0], gamma, *given[1:])


@dtypes
def test_any_number_of_threads_gives_the_same_bits(native, dtype):
    rng = np.random.default_rng(8)
    shape = (40, 12, 20, 20)
    x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    before, found = native.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            results = []
            for name, parameters, rest in (("groupnorm", (12,), (4, EPS)), ("layernorm", shape[1:], (EPS,))):
                gamma, beta = np.full(parameters, 0.7, dtype), np.full(parameters, 0.1, dtype)
                for infer in (True, False):
                    images = native.enter(x[:1] if infer else x, infer)
                    y, mean, inv_std = getattr(native, f"{name}_forward")(images, gamma, beta, *rest)
                    results += [native.leave(y), native.leave(mean), native.leave(inv_std)]
                dx, *others = getattr(native, f"{name}_backward")(native.enter(dy), images, gamma, mean, inv_std)
                results += [native.leave(dx), *others]
            found.append([array.tobytes() for array in results])
    finally:
        native.set_num_threads(before)
    assert found[0] == found[1] == found[2]
