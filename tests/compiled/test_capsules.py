"""Capsules with channels in lanes, against the reference backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import Steps, program, same_for_any_threads
from kernels import cases, compare

import minidl
from minidl import kernels
from minidl.kernels import reference

native = pytest.importorskip("minidl.kernels.native")
choice = pytest.importorskip("minidl.compiled.choice")
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def as_map(v: np.ndarray) -> np.ndarray:
    """Capsules (n, I, D) as images (n, I, 1, D)."""
    return v[:, :, None]


def as_capsules(v: np.ndarray) -> np.ndarray:
    """Images (n, I, 1, D) as capsules (n, I, D)."""
    return v[:, :, 0]


# ---- squash and length -----------------------------------------------------------------------------------------------

MAPS = [  # shape of the maps, values of a capsule
    ((1, 1, 1, 1), 1),
    ((5, 6, 3, 5), 3),
    ((2, 24, 2, 3), 8),
    ((1, 48, 5, 4), 16),
    ((2, 34, 6, 3), 17),
    ((1, 5, 1, 33), 1),
]


@dtypes
@pytest.mark.parametrize("case", MAPS, ids=str)
def test_squash_both_ways(rng: Any, dtype: Any, case: tuple, isa: None) -> None:
    shape, dim = case
    n, capsules = shape[0], shape[1] // dim * shape[2] * shape[3]
    x, start = rng.standard_normal((2, *shape)).astype(dtype)
    x[0, :dim, 0, 0] = 0
    dy = rng.standard_normal((n, capsules, dim)).astype(dtype)
    for add in (False, True):
        steps = Steps(dtype, n)
        xs = steps.given(x)
        y, whole = steps.result((capsules, 1, dim))
        steps.p.squash(xs, y)
        steps.leave(whole, (capsules, 1, dim))
        dys = steps.given(as_map(dy))
        dx, whole = steps.result(shape[1:])
        if add:
            steps.enter(dx, start)
        steps.p.squash_backward(xs, dys, dx, add)
        steps.leave(whole, shape[1:])
        got = steps.run()
        limit = {"tolerance": TOLERANCE[dtype], "at_least": 1}
        with compare.during(add):
            compare.check(as_capsules(got[0]), reference.squash_forward(x, dim), **limit)
            expected = reference.squash_backward(dy, x, dim)
            compare.check(got[1], start + expected if add else expected, **limit)


@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 10, 16), (2, 33, 3), (1, 2, 17), (2, 17, 8)], ids=str)
def test_lengths_both_ways(rng: Any, dtype: Any, shape: tuple[int, int, int], isa: None) -> None:
    n, j, e = shape
    v, start = rng.standard_normal((2, *shape)).astype(dtype)
    v[0, -1] = 0
    dy = rng.standard_normal((n, j)).astype(dtype)
    for add in (False, True):
        steps = Steps(dtype, n)
        vs = steps.given(as_map(v))
        y, whole = steps.result((j, 1, 1))
        steps.p.lengths(vs, y)
        steps.leave(whole, (j, 1, 1))
        dys = steps.given(dy[:, :, None, None])
        dv, whole = steps.result((j, 1, e))
        if add:
            steps.enter(dv, as_map(start))
        steps.p.lengths_backward(vs, y, dys, dv, add)
        steps.leave(whole, (j, 1, e))
        got = steps.run()
        limit = {"tolerance": TOLERANCE[dtype], "at_least": 1}
        with compare.during(add):
            lengths = reference.capsule_length_forward(v)
            compare.check(got[0][:, :, 0, 0], lengths, **limit)
            expected = reference.capsule_length_backward(dy, v, lengths)
            compare.check(as_capsules(got[1]), start + expected if add else expected, **limit)


# ---- routing ---------------------------------------------------------------------------------------------------------

ROUTINGS = [  # n, I, D, J, E, routings
    (1, 1, 1, 1, 1, 1),
    (2, 5, 3, 2, 17, 2),
    (5, 33, 8, 10, 16, 3),
    (1, 72, 8, 10, 16, 3),
    (2, 72, 16, 2, 3, 3),
    (1, 33, 17, 10, 8, 2),
    (5, 5, 1, 1, 16, 3),
    (2, 33, 16, 10, 1, 3),
    (3, 72, 17, 2, 17, 1),
    (2, 40, 8, 19, 3, 4),
    (1, 200, 3, 2, 5, 3),
]


class Routed:
    """A routing with everything that it reads and writes."""

    def __init__(self, rng: Any, dtype: Any, sizes: tuple[int, ...]) -> None:
        self.n, i, d, j, e, self.routings = sizes
        self.u, self.start = rng.standard_normal((2, self.n, i, d)).astype(dtype)
        self.w = rng.normal(0, 1.5 * j / np.sqrt(i * e * d), (i, j, e, d)).astype(dtype)
        self.dv = rng.standard_normal((self.n, j, e)).astype(dtype)
        self.dw = np.full_like(self.w, np.nan)

    def forward(self, steps: Steps) -> int:
        i, j, e, _ = self.w.shape
        y, whole = steps.result((j, 1, e))
        rows = program.routing_rows(i, self.routings)
        kept = [steps.result(shape)[0] for shape in ((i, j, e), (j, rows, e), (i, 2 * self.routings, j))]
        number = steps.p.routing_forward(steps.given(as_map(self.u)), y, *kept, self.w, self.routings)
        steps.leave(whole, (j, 1, e))
        return number

    def backward(self, steps: Steps, number: int, learns: bool = True, add: bool = False) -> None:
        i, _, _, d = self.w.shape
        dv = steps.given(as_map(self.dv))
        dx, whole = steps.result((i, 1, d))
        if add:
            steps.enter(dx, as_map(self.start))
        steps.p.routing_backward(number, dv, dx, self.dw if learns else None, add)
        steps.leave(whole, (i, 1, d))

    def expected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        v, saved = reference.capsules_forward(self.u, self.w, self.routings)
        return v, *reference.capsules_backward(self.dv, saved, self.u, self.w, self.routings)


@dtypes
@pytest.mark.parametrize("sizes", ROUTINGS, ids=str)
def test_routing_both_ways(rng: Any, dtype: Any, sizes: tuple[int, ...]) -> None:
    routed = Routed(rng, dtype, sizes)
    routed.u[0, -1] = 0
    v, du, dw = routed.expected()
    before = native.isa()
    try:
        for name in native.isas():
            native.use_isa(name)
            for learns, add in ((True, False), (False, True)):
                steps = Steps(dtype, routed.n)
                routed.dw[...] = np.nan
                routed.backward(steps, routed.forward(steps), learns, add)
                got = steps.run()
                with compare.during(name, learns, add):
                    limit = TOLERANCE[dtype]
                    compare.check(as_capsules(got[0]), v, tolerance=limit, at_least=1)
                    expected = du + routed.start if add else du
                    compare.check(as_capsules(got[1]), expected, tolerance=limit, at_least=1)
                    if learns:
                        compare.check(routed.dw, dw, tolerance=limit, at_least=1)
                    else:
                        assert np.isnan(routed.dw).all()
    finally:
        native.use_isa(before)


def test_weights_alone_learn(rng: Any, isa: None) -> None:
    routed, steps = Routed(rng, np.float64, (2, 33, 3, 2, 16, 3)), Steps(np.float64, 2)
    number = routed.forward(steps)
    steps.p.routing_backward(number, steps.given(as_map(routed.dv)), None, routed.dw)
    steps.run()
    compare.check(routed.dw, routed.expected()[2], tolerance=1e-12, at_least=1)


@pytest.mark.parametrize("sizes", [(1, 33, 8, 3, 5, 3), (2, 5, 3, 10, 2, 2)], ids=str)
def test_gradients_are_the_slopes_of_the_program(rng: Any, sizes: tuple[int, ...]) -> None:
    routed = Routed(rng, np.float64, sizes)

    def loss() -> float:
        steps = Steps(np.float64, routed.n)
        routed.forward(steps)
        return float((as_capsules(steps.run()[0]) * routed.dv).sum())

    steps = Steps(np.float64, routed.n)
    routed.backward(steps, routed.forward(steps))
    du = as_capsules(steps.run()[1])
    for array, gradient in ((routed.u, du), (routed.w, routed.dw)):
        for at in zip(*(rng.integers(0, size, 12) for size in array.shape)):
            value, ends = array[at], []
            for far in (1e-5, -1e-5):
                array[at] = value + far
                ends.append(loss())
            array[at] = value
            assert gradient[at] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8)


@dtypes
def test_nan_stays_in_its_image(rng: Any, dtype: Any) -> None:
    routed, clean = (Routed(np.random.default_rng(1), dtype, (3, 40, 8, 10, 5, 3)) for _ in range(2))
    routed.u[1, 39, 7] = np.nan
    found = []
    for each in (routed, clean):
        steps = Steps(dtype, 3)
        each.backward(steps, each.forward(steps))
        found.append(steps.run())
    for got, whole in zip(*found):
        assert np.isnan(got[1]).all()
        np.testing.assert_array_equal(got[[0, 2]], whole[[0, 2]])


@dtypes
@pytest.mark.parametrize("n", [1, 3, 4])
def test_threads_and_images_beside_it_change_no_bit(rng: Any, dtype: Any, n: int) -> None:
    routed = Routed(rng, dtype, (n, 150, 8, 10, 16, 3))
    alone = Routed(rng, dtype, (1, 150, 8, 10, 16, 3))
    alone.u, alone.w, alone.dv = routed.u[-1:], routed.w, routed.dv[-1:]

    def run(each: Routed) -> list[np.ndarray]:
        steps = Steps(dtype, each.n)
        each.backward(steps, each.forward(steps))
        return [*steps.run(), each.dw.copy()]

    same_for_any_threads(lambda: run(routed))
    for together, by_itself in zip(run(routed)[:2], run(alone)[:2]):
        np.testing.assert_array_equal(together[-1:], by_itself)


def test_what_is_refused(rng: Any) -> None:
    steps = Steps(np.float32, 1)
    u, v, votes, sums, couplings, image, small = (
        steps.both(shape)[0]
        for shape in ((33, 1, 8), (2, 1, 3), (33, 2, 3), (2, 11, 3), (33, 6, 2), (16, 3, 11), (3, 2, 2))
    )
    w, kept = np.zeros((33, 2, 3, 8), np.float32), (votes, sums, couplings)
    assert steps.p.routing_forward(u, v, *kept, w, 3) == 0
    for changed, words in (
        ((u, v, *kept, w[:, :, :, :7], 3), "do not go together"),
        ((u, small, *kept, w, 3), "do not go together"),
        ((u, v, *kept, w, 0), "routings must be at least 1"),
        ((u, v, votes, sums, couplings, w, 2), r"sums must have shape \(2, 8, 3\)"),
        ((u, v, small, sums, couplings, w, 3), r"votes must have shape \(33, 2, 3\)"),
        ((u, v, votes, sums, small, w, 3), r"couplings must have shape \(33, 6, 2\)"),
        ((u, v, *kept, w.astype(float), 3), "w must be an array of float32"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            steps.p.routing_forward(*changed)
    with pytest.raises(ValueError, match="handle must be the number of a step of routing_forward, got 1"):
        steps.p.routing_backward(1, v, u, None)
    with pytest.raises(ValueError, match="dy must have shape"):
        steps.p.routing_backward(0, small, u, None)
    with pytest.raises(ValueError, match="dx must have shape"):
        steps.p.routing_backward(0, v, small, None)
    with pytest.raises(ValueError, match="dw must have 1584 elements"):
        steps.p.routing_backward(0, v, u, w[1:].copy())
    with pytest.raises(ValueError, match="y must have the elements"):
        steps.p.squash(image, v)
    with pytest.raises(ValueError, match="dy must have the elements"):
        steps.p.squash_backward(image, v, image)
    with pytest.raises(ValueError, match="y must have shape"):
        steps.p.lengths(v, small)


# ---- networks --------------------------------------------------------------------------------------------------------


def layers(dim: int = 8, above: int = 10, values: int = 16, routings: int = 3) -> list[minidl.Layer]:
    capsules = 2 * 9
    return [
        minidl.Conv2D(1, 12, 3, rng=1),
        minidl.Relu(),
        minidl.Conv2D(12, 2 * dim, 3, stride=2, rng=2),
        minidl.PrimaryCapsules(dim),
        minidl.Capsules(capsules, dim, above, values, routings, rng=3),
    ]


def drawing(dim: int = 8, above: int = 10, values: int = 16, routings: int = 3) -> minidl.Model:
    decoder = minidl.Sequential(minidl.Linear(above * values, 81, rng=4))
    return minidl.CapsuleNetwork(*layers(dim, above, values, routings), decoder=decoder)


def flat(dim: int = 8, above: int = 10, values: int = 16, routings: int = 3) -> minidl.Model:
    """Capsules as rows."""
    end = minidl.Flatten(), minidl.Linear(above * values, 5, rng=4)
    return minidl.Model(*layers(dim, above, values, routings), *end)


def given(dim: int = 8, above: int = 10, values: int = 16, routings: int = 3) -> minidl.Model:
    """Capsules out of a layer between programs, into one, and out as scores."""
    below = layers(dim, above, values, routings)
    return minidl.Model(*below[:3], minidl.Reshape((18, dim)), below[4], minidl.Capsules(above, values, 3, 4, 2, rng=5))


NETWORKS: dict[str, Callable[..., minidl.Model]] = {
    "lengths": lambda *sizes: minidl.Model(*layers(*sizes), minidl.CapsuleLength()),
    "a decoder": drawing,
    "rows": flat,
    "given": given,
}
SIZES = [(8, 10, 16, 3), (3, 2, 17, 2), (16, 1, 3, 1), (1, 10, 1, 3), (17, 2, 8, 3)]


@pytest.fixture
def layout() -> Iterator[Callable[[str], None]]:
    with kernels.use("native"):
        yield choice.use_layout
    choice.use_layout("auto")


@dtypes
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions(dtype: Any, name: str, sizes: tuple[int, ...], layout: Any) -> None:
    m = NETWORKS[name](*sizes).astype(np.dtype(dtype).name)
    for n in (1, 2, 5):
        x = np.random.default_rng(n).standard_normal((n, 1, 9, 9)).astype(dtype)
        found = []
        for each in ("images", "channels"):
            layout(each)
            found.append(m.predict(x))
        with compare.during(n):
            compare.check(found[1], found[0], tolerance=TOLERANCE[dtype])
    assert "routing" in m.compile_info()
    assert ("by itself" in m.compile_info()) == (name == "given")


def test_changed_weights_count(layout: Any) -> None:
    m = NETWORKS["lengths"]()
    layout("channels")
    x = np.random.default_rng(1).standard_normal((1, 1, 9, 9)).astype("float32")
    before = m.predict(x)
    m.layers[4].weight.data[...] *= 1.5
    found = m.predict(x)
    layout("images")
    compare.check(found, m.predict(x), tolerance=2e-5)
    assert not np.allclose(before, found, atol=1e-3)


def test_the_choice_counts_routing_in_both_layouts() -> None:
    m = NETWORKS["lengths"]()
    with kernels.use("native"):
        m.predict(np.zeros((1, 1, 9, 9), "float32"))
        prediction = next(iter(m._plan().compiled.values()))
    routing = prediction.operations()[-3]
    one, block = choice._vectors(routing, 8)
    assert type(routing).__name__ == "Routing"
    assert one == 3 * 2 * 16 + 3 * 160 * (8 + 5)
    assert block == 3 * 160 + 18 * 160 * (8 * 3 + 5)
