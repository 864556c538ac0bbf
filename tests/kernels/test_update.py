"""Optimiser updates: published numbers, by hand; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, operations

from minidl.kernels import im2col, reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


class TestReference:
    """CS231n assignment 2, "Update rules": 4x5 parameters from -0.4 to 0.6, gradients from -0.6 to 0.4."""

    def setup_method(self):
        self.p, self.grad = self.table(-0.4, 0.6), self.table(-0.6, 0.4)

    def table(self, first, last):
        return np.linspace(first, last, 20).reshape(4, 5)

    def corners(self, array):
        return array[[0, 0, 1, 3, 3], [0, 1, 2, 3, 4]]

    def test_sgd_with_momentum(self):
        """CS231n's velocity is -lr times ours; its published values are linear in the index."""
        velocity = self.table(0.6, 0.9) / -1e-3
        reference.sgd_update(self.p, self.grad, velocity, 1e-3, 0.9, 0.0)
        published = [0.1406, 0.20738947, 0.60812632, 1.34281053, 1.4096]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        published = [0.5406, 0.55475789, 0.63970526, 0.79544211, 0.8096]
        np.testing.assert_allclose(self.corners(-1e-3 * velocity), published, rtol=0, atol=5e-9)

    def test_rmsprop(self):
        square = self.table(0.6, 0.9)
        reference.rmsprop_update(self.p, self.grad, square, 1e-2, 0.99, 1e-8, 0.0)
        published = [-0.39223849, -0.34037513, -0.02881884, 0.54365823, 0.59576619]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        published = [0.5976, 0.6126277, 0.70395734, 0.87657507, 0.8926]
        np.testing.assert_allclose(self.corners(square), published, rtol=0, atol=5e-9)

    def test_adam(self):
        """The notebook has made 5 steps before: this is the sixth."""
        m, v = self.table(0.6, 0.9), self.table(0.7, 0.5)
        reference.adam_update(self.p, self.grad, m, v, 6, 1e-2, 0.9, 0.999, 1e-8, 0.0)
        published = [-0.40094747, -0.34836187, -0.03286534, 0.54544852, 0.59801459]
        np.testing.assert_allclose(self.corners(self.p), published, rtol=0, atol=5e-9)
        np.testing.assert_allclose(self.corners(m), [0.48, 0.49947368, 0.61631579, 0.83052632, 0.85], rtol=0, atol=5e-9)
        published = [0.69966, 0.68908382, 0.6257431, 0.51013645, 0.49966]
        np.testing.assert_allclose(self.corners(v), published, rtol=0, atol=5e-9)

    def test_the_seed_formula_twice(self):
        """v = 0.9 v + (grad + 0.1 p), p = p - 0.5 v, by hand from p = 1, grad = 2."""
        p, v, grad = np.ones(1), np.zeros(1), np.full(1, 2.0)
        reference.sgd_update(p, grad, v, 0.5, 0.9, 0.1)
        assert (v.item(), p.item()) == pytest.approx((2.1, -0.05))
        reference.sgd_update(p, grad, v, 0.5, 0.9, 0.1)
        assert (v.item(), p.item()) == pytest.approx((3.885, -1.9925))

    def test_nesterov_and_plain(self):
        p, v = np.ones(1), np.ones(1)
        reference.sgd_update(p, np.full(1, 2.0), v, 0.5, 0.9, 0.0, nesterov=True)
        assert (v.item(), p.item()) == pytest.approx((2.9, 1 - 0.5 * (2 + 0.9 * 2.9)))
        p = np.ones(1)
        reference.sgd_update(p, np.full(1, 2.0), None, 0.5, 0.0, 0.1)
        assert p.item() == pytest.approx(1 - 0.5 * 2.1)

    def test_decoupled_decay_does_not_pass_the_moments(self):
        p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
        reference.adam_update(p, np.full(1, 2.0), m, v, 1, 0.1, 0.9, 0.999, 0.0, 0.5, decoupled=True)
        assert (m.item(), v.item()) == pytest.approx((0.2, 0.004))
        assert p.item() == pytest.approx(0.95 - 0.1)
        p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
        reference.adam_update(p, np.full(1, 2.0), m, v, 1, 0.1, 0.9, 0.999, 0.0, 0.5)
        assert m.item() == pytest.approx(0.25)

    def test_a_scaled_gradient_is_a_smaller_gradient(self):
        """scale concerns grad and not the decay: g = 0.25 * 2 + 0.1 * 1."""
        for rule, slots, before, after in (
            ("sgd_update", 1, (0.5, 0.9, 0.1, True), ()),
            ("rmsprop_update", 1, (0.5, 0.9, 1e-8, 0.1), ()),
            ("adam_update", 2, (2, 0.5, 0.9, 0.99, 1e-8, 0.1), (False,)),
            ("adam_update", 2, (2, 0.5, 0.9, 0.99, 1e-8, 0.1), (True,)),
        ):
            mine, theirs = (np.ones((1 + slots, 3)) for _ in range(2))
            update = getattr(reference, rule)
            update(mine[0], np.full(3, 2.0), *mine[1:], *before, *after, scale=0.25)
            update(theirs[0], np.full(3, 0.5), *theirs[1:], *before, *after)
            compare.check(mine, theirs)

    def test_blend(self):
        a = np.array([1.0, 2.0])
        reference.blend(a, np.array([3.0, 2.0]), 0.25)
        assert a.tolist() == [1.5, 2.0]

    def test_sum_of_squares(self):
        assert reference.sum_of_squares(np.array([[3.0, -4.0]], np.float32)) == 25.0
        assert reference.sum_of_squares(np.zeros(0)) == 0.0
        assert reference.sum_of_squares(np.array([1e200])) == np.inf

    @pytest.mark.parametrize("dtype", cases.FLOATS)
    def test_every_rule_works_in_place_in_its_dtype(self, dtype):
        p, grad, a, b = (np.ones(3, dtype) for _ in range(4))
        reference.sgd_update(p, grad, a, 0.1, 0.9, 0.1)
        reference.rmsprop_update(p, grad, a, 0.1, 0.9, 1e-8, 0.1)
        reference.adam_update(p, grad, a, b, 1, 0.1, 0.9, 0.999, 1e-8, 0.1)
        reference.blend(p, np.zeros(3, dtype), 0.1)
        assert p.dtype == a.dtype == b.dtype == dtype
        assert (p < 1).all()


@dtypes
@pytest.mark.parametrize("rule", operations.UPDATES)
def test_updates(backend, rule, dtype, rng):
    for shape in (1,), (3,), (17,), (5, 3), (4, 3, 3, 3), (1025,):
        with compare.during("shape", shape):
            name, slots, settings = operations.UPDATES[rule]
            guards = [compare.Guarded(shape, dtype) for _ in range(1 + (slots or 0))]
            grad = cases.random(rng, shape, dtype)
            for guard in guards:
                guard.array[...] = rng.uniform(0.1, 2, shape)
            state = [guard.array for guard in guards]
            expected = list(judged.wide(*state))
            if slots is None:
                state, expected = [*state, None], [*expected, None]
            before = grad.copy()
            getattr(reference, name)(expected[0], grad.astype(np.float64), *expected[1:], *settings)
            getattr(backend, name)(state[0], grad, *state[1:], *settings)
            for guard, wanted in zip(guards, expected, strict=False):
                compare.check(guard.array, wanted, dtype)
                guard.check()
            compare.check(grad, before, exact=True)


@dtypes
@pytest.mark.parametrize("rule", [*operations.UPDATES, "blend"])
def test_arrays_together_are_updated_as_one_by_one(backend, rule, dtype, rng):
    name, slots, settings = operations.UPDATES.get(rule, ("blend", 0, (0.3,)))
    shapes = (5, 3), (0,), (1,), (4, 3, 3, 3), (16_384,), (17,), (20_001,), (3,)
    kinds = [[rng.uniform(0.1, 2, shape).astype(dtype) for shape in shapes] for _ in range(2 + (slots or 0))]
    alone = [[array.copy() for array in arrays] for arrays in kinds]
    none = [None] if slots is None else []
    for arrays in zip(*alone):
        getattr(backend, name)(*arrays, *none, *settings)
    getattr(backend, name)(*(backend.together(arrays) for arrays in kinds), *none, *settings)
    for got, expected in zip(kinds, alone):
        for i, shape in enumerate(shapes):
            with compare.during("shape", shape):
                compare.check(got[i], expected[i], exact=True)


@dtypes
@pytest.mark.parametrize(
    "shape", [(0,), (1,), (5, 3), (15,), (16,), (17,), (4, 3, 3, 3), (16_384,), (40_001,)], ids=str
)
def test_sum_of_squares(backend, shape, dtype, rng):
    a = cases.random(rng, shape, dtype, whole=True)
    total = backend.sum_of_squares(a)
    assert type(total) is float
    assert total == reference.sum_of_squares(a)
    a = cases.random(rng, shape, dtype)
    assert backend.sum_of_squares(a) == pytest.approx(reference.sum_of_squares(a), rel=1e-13)


@dtypes
def test_sum_of_squares_at_the_edges(backend, dtype):
    a = np.ones(100, dtype)
    a[70] = 1e30
    assert backend.sum_of_squares(a) == pytest.approx(1e60, rel=1e-6)
    a[70] = np.inf
    assert backend.sum_of_squares(a) == np.inf
    a[3] = np.nan
    assert np.isnan(backend.sum_of_squares(a))


@dtypes
class TestIm2col:
    @pytest.mark.parametrize(
        ("name", "slots", "arguments"),
        [
            ("sgd_update", 1, (0.1, 0.9, 0.01)),
            ("sgd_update", 1, (0.1, 0.9, 0.01, True)),
            ("rmsprop_update", 1, (0.1, 0.9, 1e-3, 0.01)),
            ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01)),
            ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01, True)),
            ("sgd_update", 1, (0.1, 0.9, 0.01, True, 0.3)),
            ("rmsprop_update", 1, (0.1, 0.9, 1e-3, 0.0, 0.3)),
            ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01, True, 0.3)),
            ("blend", 0, (0.3,)),
        ],
    )
    def test_updates(self, name, slots, arguments, dtype, rng):
        start = [rng.random((3, 4)).astype(dtype) for _ in range(2 + slots)]
        mine, theirs = ([array.copy() for array in start] for _ in range(2))
        getattr(im2col, name)(*mine, *arguments)
        getattr(reference, name)(*theirs, *arguments)
        np.testing.assert_array_equal(mine[1], start[1])
        assert not np.array_equal(mine[0], start[0])
        for got, expected in zip(mine, theirs, strict=True):
            compare.close(got, expected, dtype)

    def test_sgd_without_velocity(self, dtype, rng):
        p, grad = rng.random(4).astype(dtype), rng.random(4).astype(dtype)
        expected = p - 0.1 * (grad + 0.01 * p)
        im2col.sgd_update(p, grad, None, 0.1, 0.0, 0.01)
        compare.close(p, expected, dtype)


def test_updates_by_keyword_and_what_does_not_stand_together(any_backend):
    a, b, grad = np.ones(3), np.ones(2), np.ones(3)
    any_backend.sgd_update(p=a, grad=grad, velocity=None, lr=0.5, momentum=0.0, weight_decay=0.0)
    assert a.tolist() == [0.5] * 3
    pair = any_backend.together([a, b])
    any_backend.blend(a=pair, b=any_backend.together([grad, np.zeros(2)]), share=0.5)
    assert (a.tolist(), b.tolist()) == ([0.75] * 3, [0.5] * 2)
    with pytest.raises(TypeError, match="together must be an array of float64, got float32"):
        any_backend.together([a, b.astype(np.float32)])
    for other in (any_backend.together([grad]), grad):
        with pytest.raises(ValueError, match="2"):
            any_backend.blend(pair, other, 0.5)
