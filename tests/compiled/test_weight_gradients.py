"""Gradients of weights with channels in lanes, against the reference backend: awkward shapes, every instruction set."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest

from minidl.kernels import reference
from minidl.kernels.checks import Padding, Pair, margins

native = pytest.importorskip("minidl.kernels.native")
training_program = pytest.importorskip("minidl._ext.training_program")
program = pytest.importorskip("minidl._ext.program")
maps = pytest.importorskip("minidl._ext.map")
Map, TrainingProgram = maps.Map, training_program.TrainingProgram

CLOSE = {"float32": 5e-6, "float64": 1e-13}


class Case(NamedTuple):
    """A convolution."""

    C: int
    O: int
    H: int
    W: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """Of its weights."""
        return self.O, self.C // self.groups, *self.kernel

    @property
    def output(self) -> Pair:
        """Height and width."""
        sides = margins(self.padding, (self.H, self.W), self.kernel, self.stride, self.dilation)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel)]
        h, w = ((n + sum(side) - r) // s + 1 for n, side, r, s in zip((self.H, self.W), sides, reach, self.stride))
        return h, w


CASES = [
    Case(1, 1, 1, 1, (1, 1)),
    Case(1, 6, 7, 5, (5, 5), padding=(2, 2)),
    Case(3, 16, 9, 9, (3, 3), padding=(1, 1)),
    Case(3, 17, 15, 13, (7, 7), (2, 2), (3, 3)),
    Case(4, 33, 11, 12, (3, 3), (4, 4), (1, 1)),
    Case(2, 70, 5, 6, (2, 2)),
    Case(8, 8, 6, 6, (3, 3), padding=(1, 1)),
    Case(9, 31, 7, 7, (3, 3), padding=(1, 1)),
    Case(16, 49, 14, 14, (3, 3), padding=(1, 1)),
    Case(20, 40, 5, 9, (1, 3), (1, 2), (0, 1)),
    Case(24, 10, 13, 3, (3, 1), (2, 1), (1, 0)),
    Case(80, 24, 4, 4, (1, 1)),
    Case(17, 50, 7, 7, (1, 1)),
    Case(33, 16, 9, 9, (1, 1), (2, 2)),
    Case(12, 20, 10, 10, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Case(12, 20, 11, 9, (3, 3), (2, 2), ((2, 1), (0, 3)), (2, 1)),
    Case(16, 16, 8, 8, (4, 4), padding="same"),
    Case(16, 16, 9, 9, (3, 3), (2, 2), "same_lower"),
    Case(5, 9, 3, 300, (1, 5), (1, 1), (0, 2)),
    Case(8, 8, 7, 7, (3, 3), padding=(1, 1), groups=8),
    Case(24, 24, 9, 6, (3, 3), (2, 2), (1, 1), groups=24),
    Case(19, 19, 9, 6, (5, 5), padding=(4, 4), dilation=(2, 2), groups=19),
    Case(40, 40, 7, 7, (7, 7), padding=((3, 2), (1, 3)), groups=40),
    Case(18, 18, 11, 12, (11, 9), padding=(1, 0), groups=18),
    Case(8, 16, 6, 6, (3, 3), padding=(1, 1), groups=2),
    Case(12, 24, 6, 6, (3, 3), padding=(1, 1), groups=4),
    Case(32, 96, 6, 6, (3, 3), padding=(1, 1), groups=2),
    Case(64, 64, 5, 5, (3, 3), padding=(1, 1), groups=32),
    Case(20, 30, 6, 6, (3, 3), padding=(1, 1), groups=10),
    Case(16, 48, 6, 6, (3, 3), padding=(1, 1), groups=16),
    Case(2, 4, 6, 6, (3, 3), padding=(1, 1), groups=2),
    Case(64, 64, 1, 1, (3, 3), padding=(1, 1)),
    Case(260, 20, 3, 3, (3, 3), padding=(1, 1)),
    Case(2, 16, 1, 40, (1, 5), (1, 3)),
]


def narrow(case: Case, lanes: int) -> int:
    """Lanes of x: as many as channels where these are few, and not alone with their kernels."""
    depthwise = case.groups == case.C == case.O
    return lanes if depthwise and case.groups > 1 else min(case.C, lanes) if case.C <= 4 else lanes


def gradients(case: Case, x: np.ndarray, dy: np.ndarray, wider: int = 0, linear: bool = False) -> tuple:
    """dw and db by a program. wider: pixels of halo that nobody reads."""
    dtype, n = x.dtype, len(x)
    lanes = TrainingProgram(dtype, 1).L
    (top, bottom), (left, right) = margins(case.padding, x.shape[2:], case.kernel, case.stride, case.dilation)
    halo = (top + wider, bottom, left + wider, right + 2 * wider)
    x_map = Map(x.shape[1:], narrow(case, lanes), halo)
    dy_map = Map(dy.shape[1:], lanes, (wider,) * 4, -(-x_map.size // 64) * 64)
    p = TrainingProgram(dtype, -(-x_map.size // 64) * 64 + dy_map.size)
    dw, db = np.full(case.w_shape, np.nan, dtype), np.full(case.O, np.nan, dtype)
    p.enter(x_map, dtype)
    p.turn()
    p.enter(dy_map, dtype)
    p.conv_dw(x_map, dy_map, dw, db, case.stride, case.padding, case.dilation, case.groups, linear)
    p.forward(n, x)
    assert p.backward(dy) == []
    return dw, db


@functools.cache
def example(case: Case, n: int, whole: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, dy and the reference's dw and db, float64."""
    rng = np.random.default_rng(n)
    x, dy = np.empty((n, case.C, case.H, case.W)), np.empty((n, case.O, *case.output))
    for array in (x, dy):
        array[...] = rng.integers(-3, 4, array.shape) if whole else rng.normal(0, 1, array.shape)
    w = np.zeros(case.w_shape)
    _, dw, db = reference.conv2d_backward(
        dy, x, w, case.stride, case.padding, case.dilation, case.groups, need_dx=False, out=(w, np.zeros(case.O))
    )
    return x, dy, dw, db


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_the_reference(case: Case, dtype: str, isa: str) -> None:
    for n in (1, 2, 5):
        x, dy, dw, db = example(case, n, whole=True)
        for found, wanted in zip(gradients(case, x.astype(dtype), dy.astype(dtype), wider=n // 2), (dw, db)):
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, wanted)
    x, dy, dw, db = example(case, 3, whole=False)
    x, dy = x.astype(dtype), dy.astype(dtype)
    for found, wanted in zip(gradients(case, x, dy), (dw, db)):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE[dtype] * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (100, 1, 1), (13, 3, 5), (3, 9, 40)])
def test_linear(shape: tuple[int, int, int], dtype: str, isa: str) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 150):
        for out in (1, 37):
            x = rng.integers(-3, 4, (n, *shape)).astype(dtype)
            dy = rng.integers(-3, 4, (n, out, 1, 1)).astype(dtype)
            dw, db = gradients(Case(shape[0], out, *shape[1:], shape[1:]), x, dy, linear=True)
            np.testing.assert_array_equal(dw.reshape(out, -1), dy.reshape(n, out).T @ x.reshape(n, -1))
            np.testing.assert_array_equal(db, dy.sum((0, 2, 3)))


def test_without_bias(isa: str) -> None:
    case = CASES[7]
    x, dy, dw, _ = example(case, 2, whole=True)
    lanes = TrainingProgram(x.dtype, 1).L
    x_map = Map(x.shape[1:], lanes, (1, 1, 1, 1))
    dy_map = Map(dy.shape[1:], lanes, at=-(-x_map.size // 64) * 64)
    p = TrainingProgram(x.dtype, 2 * x_map.size + 2 * dy_map.size)
    found = np.empty(case.w_shape)
    p.enter(x_map, x.dtype)
    p.turn()
    p.enter(dy_map, x.dtype)
    p.conv_dw(x_map, dy_map, found, None, case.stride, case.padding, case.dilation, case.groups)
    p.forward(2, x)
    for _ in range(2):  # written anew, not added to
        p.backward(dy)
        np.testing.assert_array_equal(found, dw)


def test_threads_do_not_change_a_bit(isa: str) -> None:
    rng = np.random.default_rng(4)
    cases = [
        Case(16, 16, 32, 32, (3, 3), padding=(1, 1)),
        Case(70, 90, 14, 14, (3, 3), (2, 2), (1, 1)),
        Case(3, 40, 40, 40, (7, 7), (2, 2), (3, 3)),
        Case(40, 40, 30, 30, (5, 5), padding=(2, 2), groups=40),
        Case(64, 64, 15, 15, (3, 3), padding=(1, 1), groups=16),
    ]
    before = native.get_num_threads()
    try:
        for case in cases:
            x = rng.normal(0, 1, (3, case.C, case.H, case.W)).astype(np.float32)
            dy = rng.normal(0, 1, (3, case.O, *case.output)).astype(np.float32)
            found = []
            for threads in (1, 2, 3):
                native.set_num_threads(threads)
                found.append(gradients(case, x, dy))
            for dw, db in found[1:]:
                np.testing.assert_array_equal(dw, found[0][0])
                np.testing.assert_array_equal(db, found[0][1])
    finally:
        native.set_num_threads(before)


@pytest.mark.parametrize("low", [-1, 0])
def test_long_sums_stay_accurate(low: int, isa: str) -> None:
    """200704 products a weight."""
    case = Case(9, 17, 112, 112, (3, 3), padding=(1, 1))
    rng = np.random.default_rng(5)
    x = rng.uniform(low, 1, (16, case.C, 112, 112)).astype(np.float32)
    dy = rng.uniform(low, 1, (16, case.O, 112, 112)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    wanted = np.empty(case.w_shape)
    rows = dy.astype(np.float64).transpose(1, 0, 2, 3).reshape(case.O, -1)
    for i in range(3):
        for j in range(3):
            moved = padded[:, :, i : i + 112, j : j + 112].transpose(0, 2, 3, 1).reshape(-1, case.C)
            wanted[:, :, i, j] = rows @ moved
    dw, db = gradients(case, x, dy)
    np.testing.assert_allclose(dw, wanted, rtol=0, atol=5e-6 * np.abs(wanted).max())
    np.testing.assert_allclose(db, rows.sum(1), rtol=0, atol=5e-6 * np.abs(rows.sum(1)).max())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("groups", [1, 3, 9])
def test_bad_numbers_keep_to_their_channels(bad: float, groups: int, isa: str) -> None:
    case = Case(9, 9, 5, 5, (3, 3), padding=(1, 1), groups=groups)
    x, dy, dw, db = example(case, 2, whole=True)
    per = 9 // groups
    spoiled = x.copy()
    spoiled[1, 4, 2, 2] = bad
    found, _ = gradients(case, spoiled, dy)
    mine = np.zeros(dw.shape, bool)
    mine[4 // per * per : 4 // per * per + per, 4 % per] = True
    np.testing.assert_array_equal(found[~mine], dw[~mine])
    assert not np.isfinite(found[mine]).all()
    spoiled = dy.copy()
    spoiled[0, 7, 1, 1] = bad
    found, found_db = gradients(case, x, spoiled)
    others = np.arange(9) != 7
    np.testing.assert_array_equal(found[others], dw[others])
    np.testing.assert_array_equal(found_db[others], db[others])
    assert not np.isfinite(found_db[7])


def test_what_is_refused() -> None:
    lanes = TrainingProgram(np.float32, 1).L
    x, dy = Map((3, 4, 4), lanes, (1, 1, 1, 1)), Map((5, 4, 4), lanes, at=4096)
    p, dw, db = TrainingProgram(np.float32, 1 << 14), np.zeros((5, 3, 3, 3), np.float32), np.zeros(5, np.float32)

    def step(x: Any = x, dy: Any = dy, dw: Any = dw, db: Any = db, groups: int = 1, linear: bool = False) -> None:
        p.conv_dw(x, dy, dw, db, (1, 1), (1, 1), (1, 1), groups, linear)

    step()
    with pytest.raises(ValueError, match="halo of x must hold the padding"):
        step(Map((3, 4, 4), lanes, (1, 1, 1, 0)))
    with pytest.raises(ValueError, match=r"dy must be \(4, 4\) pixels, got \(5, 5, 4\)"):
        step(dy=Map((5, 5, 4), lanes, at=4096))
    with pytest.raises(ValueError, match=r"dy must be \(4, 4\) pixels"):
        step(linear=True)
    with pytest.raises(ValueError, match="do not go together"):
        step(dy=Map((6, 4, 4), lanes, at=4096))
    with pytest.raises(ValueError, match="do not go together"):
        step(groups=3)
    with pytest.raises(ValueError, match="4 dimensions"):
        step(dw=dw[0])
    with pytest.raises(ValueError, match="dw must be a writable C-contiguous array"):
        step(dw=dw[..., ::-1])
    with pytest.raises(ValueError, match="db must have 5 elements, got 4"):
        step(db=db[:4])
    with pytest.raises(TypeError, match="dw must be an array of float32"):
        step(dw=dw.astype(np.float64))
    with pytest.raises(ValueError, match="must lie in the arena"):
        step(dy=Map((5, 4, 4), lanes, at=1 << 20))
    with pytest.raises(ValueError, match="must be a whole map"):
        step(x.phase(0, 0, (2, 2)))
    narrow_map, small = Map((3, 4, 4), 3, (1, 1, 1, 1)), Map((3, 4, 4), lanes, at=4096)
    with pytest.raises(ValueError, match=f"x must have {lanes} lanes, got 3"):
        step(narrow_map, small, np.zeros((3, 1, 3, 3), np.float32), None, 3)
    for x_map, dy_map in ((None, dy), (x, None)):
        with pytest.raises(TypeError, match="must be Maps"):
            step(x_map, dy_map)
