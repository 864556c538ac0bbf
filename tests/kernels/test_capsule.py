"""Capsules: the reference against the published formulas and central differences, the others against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, numeric

from minidl.kernels import reference
from minidl.kernels.reference import capsule

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
MAPS = ((6, 2, 3), (8, 1, 1), (16, 3, 2), (9,), (1, 4, 1))
ROUTES = ((5, 3, 4, 2), (9, 8, 10, 16), (1, 1, 1, 1), (7, 9, 3, 5), (6, 4, 2, 8))
"""(I, D, J, E)"""
LOOSE = {np.float32: 5e-5, np.float64: 1e-12}
"""Passes multiply what the logits' rounding changed."""


class TestReference:
    def test_squash_by_hand(self):
        """Equation 1: |s|^2 / (1 + |s|^2) times the unit vector; |(3, 4)| = 5."""
        compare.check(reference.squash_forward(np.array([[3.0, 4.0]]), 2), np.array([[[3, 4]]]) / 5 * 25 / 26)
        compare.check(reference.squash_forward(np.zeros((1, 3)), 3), np.zeros((1, 1, 3)), exact=True)

    def test_order_of_the_capsules(self):
        """Type, then row, then column; its values are neighbouring channels."""
        x = np.arange(2 * 6 * 2 * 3.0).reshape(2, 6, 2, 3)
        y = reference.squash_forward(x, 3)
        assert y.shape == (2, 12, 3)
        compare.check(y[1, 6 + 3 + 2], capsule.squash(x[1, 3:6, 1, 2]), exact=True)

    @pytest.mark.parametrize("shape", MAPS, ids=str)
    def test_squash_gradient(self, shape, rng):
        x = rng.standard_normal((2, *shape))
        dim = 3 if shape[0] % 3 == 0 else shape[0]
        dy = rng.standard_normal(reference.squash_forward(x, dim).shape)
        expected = numeric.gradient(lambda a: reference.squash_forward(a, dim), x, dy)
        compare.check(reference.squash_backward(dy, x, dim), expected, tolerance=numeric.TOLERANCE)
        compare.check(reference.squash_backward(dy, np.zeros_like(x), dim), np.zeros_like(x), exact=True)

    def test_one_pass_weighs_all_votes_alike(self, rng):
        u, w = rng.standard_normal((2, 5, 3)), rng.standard_normal((5, 4, 2, 3))
        v, _ = reference.capsules_forward(u, w, 1)
        sums = np.einsum("ijed,nid->nje", w, u) / 4
        compare.check(v, np.apply_along_axis(capsule.squash, 2, sums))

    def test_two_passes_by_hand(self):
        """Two capsules below agree on the first capsule above, and cancel on the second, in one dimension."""
        u = np.ones((1, 2, 1))
        w = np.array([[[[1.0]], [[2.0]]], [[[1.0]], [[-2.0]]]])
        v1 = 0.5  # squash((1 + 1) / 2), and squash((2 - 2) / 2) = 0
        c = np.exp(1 * v1) / (np.exp(1 * v1) + 1)
        s = 2 * c
        v, _ = reference.capsules_forward(u, w, 2)
        compare.check(v, np.array([[[s * s / (1 + s * s)], [0]]]))

    @pytest.mark.parametrize("routings", [1, 2, 3, 4])
    def test_routing_gradient_through_all_passes(self, routings, rng):
        u, w = rng.standard_normal((2, 5, 3)), 0.7 * rng.standard_normal((5, 4, 2, 3))
        v, saved = reference.capsules_forward(u, w, routings)
        dv = rng.standard_normal(v.shape)
        du, dw = reference.capsules_backward(dv, saved, u, w, routings)
        by_u = numeric.gradient(lambda a: reference.capsules_forward(a, w, routings)[0], u, dv)
        by_w = numeric.gradient(lambda a: reference.capsules_forward(u, a, routings)[0], w, dv)
        compare.check(du, by_u, tolerance=numeric.TOLERANCE)
        compare.check(dw, by_w, tolerance=numeric.TOLERANCE)

    def test_length_gradient(self, rng):
        v, dy = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4))
        v += v / np.linalg.norm(v, axis=2, keepdims=True)  # a length near 0 bends too much for central differences
        expected = numeric.gradient(lambda a: reference.capsule_length_forward(a), v, dy)
        y = reference.capsule_length_forward(v)
        compare.check(reference.capsule_length_backward(dy, v, y), expected, tolerance=numeric.TOLERANCE)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_squash(backend, n, dtype, rng):
    for shape in MAPS:
        dim = 3 if shape[0] % 3 == 0 else shape[0]
        with compare.during(shape):
            x = cases.random(rng, (n, *shape), dtype)
            x[rng.random(x.shape) < 0.3] = 0
            y = reference.squash_forward(x.astype(np.float64), dim)
            dy = cases.random(rng, y.shape, dtype)
            compare.check(backend.leave(backend.squash_forward(backend.enter(x), dim)), y, dtype)
            dx = backend.leave(backend.squash_backward(backend.enter(dy), backend.enter(x), dim))
            compare.check(dx, reference.squash_backward(*judged.wide(dy, x), dim), dtype)


@dtypes
def test_squash_of_tiny_and_large_vectors(backend, dtype):
    tiny = np.finfo(dtype).tiny
    x = np.array([[tiny, 0], [1e-12, 1e-12], [1e9, -1e9], [0, 0], [np.nan, 1]], dtype)
    y = backend.leave(backend.squash_forward(backend.enter(x), 2))
    compare.check(y, reference.squash_forward(x.astype(np.float64), 2), dtype)
    dx = backend.leave(backend.squash_backward(backend.enter(np.ones_like(y)), backend.enter(x), 2))
    assert np.isfinite(dx[:4]).all()
    assert np.isnan(dx[4]).all()


@dtypes
@pytest.mark.parametrize("n", [0, 1, 7, 15, 16, 17, 35])
def test_routing(backend, n, dtype, rng):
    for I, D, J, E in ROUTES:
        u, w = cases.random(rng, (n, I, D), dtype), (0.7 * rng.standard_normal((I, J, E, D))).astype(dtype)
        dv = cases.random(rng, (n, J, E), dtype)
        for routings in (1, 2, 3):
            with compare.during((I, D, J, E), routings):
                u64, w64, dv64 = judged.wide(u, w, dv)
                v, saved = reference.capsules_forward(u64, w64, routings)
                du, dw = reference.capsules_backward(dv64, saved, u64, w64, routings)
                entered, upstream = backend.enter(u), backend.enter(dv)
                got, kept = backend.capsules_forward(entered, w, routings)
                compare.check(backend.leave(got), v, dtype, LOOSE[dtype])
                got_du, got_dw = backend.capsules_backward(upstream, kept, entered, w, routings)
                compare.check(backend.leave(got_du), du, dtype, LOOSE[dtype])
                compare.check(got_dw, dw, dtype, LOOSE[dtype])
                guard = compare.Guarded(w.shape, dtype)
                none, out = backend.capsules_backward(upstream, kept, entered, w, routings, False, guard.array)
                assert none is None
                assert out is guard.array
                compare.check(out, dw, dtype, LOOSE[dtype])
                guard.check()


@dtypes
def test_routing_of_far_logits(backend, dtype, rng):
    """Couplings that are 0 or 1 to the last bit: the softmax must be shifted."""
    u, w = np.full((2, 3, 4), 30, dtype), (10 * rng.standard_normal((3, 5, 6, 4))).astype(dtype)
    got, kept = backend.capsules_forward(backend.enter(u), w, 3)
    compare.check(backend.leave(got), reference.capsules_forward(*judged.wide(u, w), 3)[0], dtype, LOOSE[dtype])
    du, dw = backend.capsules_backward(backend.enter(np.ones((2, 5, 6), dtype)), kept, backend.enter(u), w, 3)
    assert np.isfinite(backend.leave(du)).all()
    assert np.isfinite(dw).all()


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_length_and_mask(backend, n, dtype, rng):
    for J, E in ((10, 16), (3, 1), (1, 5)):
        v, dy = cases.random(rng, (n, J, E), dtype), cases.random(rng, (n, J), dtype)
        v[:, 0] = 0
        y = reference.capsule_length_forward(v.astype(np.float64))
        got = backend.capsule_length_forward(backend.enter(v))
        compare.check(backend.leave(got), y, dtype)
        dv = backend.leave(backend.capsule_length_backward(backend.enter(dy), backend.enter(v), got))
        compare.check(dv, reference.capsule_length_backward(*judged.wide(dy, v), y), dtype)
        labels = rng.integers(0, J, n)
        masked = backend.leave(backend.capsule_mask(backend.enter(v), labels))
        compare.check(masked, reference.capsule_mask(v, labels), exact=True)


@dtypes
def test_few_images_for_inference(native, dtype, rng):
    """What comes in plain goes on in lanes, to the same bits."""
    x, w = cases.random(rng, (3, 16, 2, 2), dtype), cases.random(rng, (8, 4, 3, 8), dtype)
    results = []
    for infer in (False, True):
        v, _ = native.capsules_forward(native.squash_forward(native.enter(x, infer), 8), w, 3)
        results.append([native.leave(a).tobytes() for a in (v, native.capsule_length_forward(v))])
    assert results[0] == results[1]
