"""The linear layer: published numbers, central differences; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import reference

whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


class TestReference:
    def test_the_published_affine_numbers(self):
        """CS231n assignment 2, "Affine layer: forward"; its weights are (F, O)."""
        x = np.linspace(-0.1, 0.5, 2 * 120).reshape(2, 120)
        w = np.linspace(-0.2, 0.3, 120 * 3).reshape(120, 3)
        published = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
        y = reference.linear_forward(x, np.ascontiguousarray(w.T), np.linspace(-0.3, 0.1, 3))
        np.testing.assert_allclose(y, published, rtol=0, atol=5e-9)

    def test_linear_gradients(self, rng):
        x, w, b, dy = (rng.standard_normal(shape) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
        compare.check(reference.linear_forward(x, w, b), x @ w.T + b)
        gradients = reference.linear_backward(dy, x, w)
        for got, argument in zip(gradients, (x, w, b), strict=True):
            expected = numeric.gradient(lambda _: reference.linear_forward(x, w, b), argument, dy)
            compare.check(got, expected, tolerance=numeric.TOLERANCE)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.LINEARS, ids=cases.label)
def test_linear(backend, case, dtype, whole):
    (x, w, b, dy), (y, dx, dw, db) = judged.linear(case, dtype, whole)
    entered, upstream = backend.enter(x), backend.enter(dy)
    compare.check(backend.leave(backend.linear_forward(entered, w, b)), y, dtype, exact=whole)
    got_dx, got_dw, got_db = backend.linear_backward(upstream, entered, w)
    compare.check(backend.leave(got_dx), dx, dtype, exact=whole)
    compare.check(got_dw, dw, dtype, exact=whole)
    compare.check(got_db, db, dtype, exact=whole)

    weight, bias = (compare.Guarded(shape, dtype) for shape in (w.shape, db.shape))
    none, _, _ = backend.linear_backward(upstream, entered, w, need_dx=False, out=(weight.array, bias.array))
    assert none is None
    compare.check(weight.array, dw, dtype, exact=whole)
    compare.check(bias.array, db, dtype, exact=whole)
    weight.array[...] = np.nan
    _, _, no_db = backend.linear_backward(upstream, entered, w, out=(weight.array, None))
    assert no_db is None
    compare.check(weight.array, dw, dtype, exact=whole)
    weight.check()
    bias.check()


@dtypes
@pytest.mark.parametrize("n", [3, 19])
def test_weights_larger_than_a_cache(backend, rng, n, dtype):
    """The native backend copies such weights in panels for dx; whole numbers make every sum exact."""
    x, w, b, dy = (rng.integers(-8, 9, shape) for shape in ((n, 403), (701, 403), 701, (n, 701)))
    entered, upstream, weight = backend.enter(x.astype(dtype)), backend.enter(dy.astype(dtype)), w.astype(dtype)
    np.testing.assert_array_equal(backend.leave(backend.linear_forward(entered, weight, b.astype(dtype))), x @ w.T + b)
    dx, dw, db = backend.linear_backward(upstream, entered, weight)
    np.testing.assert_array_equal(backend.leave(dx), dy @ w)
    np.testing.assert_array_equal(dw, dy.T @ x)
    np.testing.assert_array_equal(db, dy.sum(0))


@dtypes
def test_no_outputs_and_no_features(backend, rng, dtype):
    """Sums of nothing are 0."""
    for n, F, O in ((19, 5, 0), (3, 0, 4), (19, 0, 0)):
        x, w, b, dy = (rng.integers(-8, 9, shape).astype(dtype) for shape in ((n, F), (O, F), O, (n, O)))
        entered, upstream = backend.enter(x), backend.enter(dy)
        np.testing.assert_array_equal(backend.leave(backend.linear_forward(entered, w, b)), np.tile(b, (n, 1)))
        dx, dw, db = backend.linear_backward(upstream, entered, w)
        np.testing.assert_array_equal(backend.leave(dx), np.zeros((n, F)))
        assert dw.shape == (O, F)
        np.testing.assert_array_equal(db, dy.sum(0))
