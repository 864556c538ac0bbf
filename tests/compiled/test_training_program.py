"""The steps of training with channels in lanes against the reference backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import ELEMENTS, Steps, maps, training_program
from kernels import cases, compare

import minidl
from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-12}
EPS, MOMENTUM = 1e-3, 0.9


def whole_numbers(rng: np.random.Generator, shape: tuple[int, ...], factor: int = 1) -> np.ndarray:
    return factor * rng.integers(-3, 4, shape).astype(np.float64)


# ---- batch normalisation ---------------------------------------------------------------------------------------------

NORM_SHAPES = [(1, 1, 1, 1), (5, 17, 1, 1), (1, 3, 1, 3), (2, 13, 5, 7), (5, 8, 3, 2), (1, 16, 33, 32), (2, 5, 3, 600)]


class Norm:
    """A batch normalisation with everything that it reads and writes; y is what a program has made."""

    def __init__(self, rng: Any, dtype: Any, shape: tuple[int, ...], middle: float, add: bool, relu: bool) -> None:
        C = shape[1]
        self.dtype, self.shape, self.add, self.relu = dtype, shape, add, relu
        self.x = rng.normal(middle, 1, shape).astype(dtype)
        self.other, self.dy = rng.standard_normal((2, *shape)).astype(dtype)
        self.gamma, self.beta = rng.normal(1, 0.5, (2, C)).astype(dtype)
        self.running = rng.uniform(0.5, 2, (2, C)).astype(dtype)
        self.dgamma, self.dbeta = np.full((2, C), np.nan, dtype)

    def forward(self, steps: Steps) -> tuple[Any, int]:
        y, whole = steps.result(self.shape[1:])
        other = steps.given(self.other) if self.add else None
        number = steps.p.norm_forward(
            steps.given(self.x), y, self.gamma, self.beta, *self.running, MOMENTUM, EPS, other, self.relu
        )
        steps.leave(whole, self.shape[1:])
        return y, number

    def expected(self) -> tuple[np.ndarray, ...]:
        running = np.array([[*self.running[0]], [*self.running[1]]], self.dtype)
        y, mean, inv_std = reference.batchnorm_forward(self.x, self.gamma, self.beta, *running, MOMENTUM, EPS, True)
        y = y + self.other if self.add else y
        return np.maximum(y, 0) if self.relu else y, running, mean, inv_std


@dtypes
@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
@pytest.mark.parametrize("middle", [0.0, 100.0])
def test_norm_forward(rng, dtype, shape, middle):
    for add, relu in ((False, False), (False, True), (True, False), (True, True)):
        norm, steps = Norm(rng, dtype, shape, middle, add, relu), Steps(dtype, shape[0])
        y, running, _, _ = norm.expected()
        norm.forward(steps)
        (got,) = steps.run()
        with compare.during(add, relu):
            compare.check(got, y, tolerance=TOLERANCE[dtype], at_least=1)
            compare.check(norm.running, running, tolerance=TOLERANCE[dtype])


@dtypes
@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_norm_backward(rng, dtype, shape):
    for add, relu, keep, where in (
        (False, False, False, "dx"),
        (False, True, True, "dx"),
        (True, True, False, "dx"),
        (True, True, False, "dy"),
        (True, True, True, "dother"),
        (True, False, False, "dother"),
    ):
        norm, steps = Norm(rng, dtype, shape, 3.0, add, relu), Steps(dtype, shape[0])
        start, before = rng.standard_normal((2, *shape)).astype(dtype)
        y, number = norm.forward(steps)
        dy, whole_dy = steps.both(shape[1:])
        steps.enter(dy, norm.dy)
        dx, whole_dx = (dy, whole_dy) if where == "dy" else steps.result(shape[1:])
        dother, whole_other = (dy, whole_dy) if where == "dother" and not keep else steps.result(shape[1:])
        if keep:
            steps.enter(dx, start)
            steps.enter(dother, before)
        steps.p.norm_backward(number, dy, y, dx, norm.dgamma, norm.dbeta, dother if add else None, keep, keep and add)
        steps.leave(whole_dx, shape[1:])
        if add:
            steps.leave(whole_other, shape[1:])
        got = steps.run()
        d = np.where(got[0] > 0, norm.dy, 0) if relu else norm.dy
        _, _, mean, inv_std = norm.expected()
        expected, dgamma, dbeta = reference.batchnorm_backward(d, norm.x, norm.gamma, mean, inv_std)
        size = float(np.abs(norm.gamma * inv_std).max() * np.abs(norm.dy).max())  # dx is a difference of such numbers
        with compare.during(add, relu, keep, where):
            limit = {"tolerance": TOLERANCE[dtype], "at_least": max(size, 1)}
            compare.check(got[1], expected + start if keep else expected, **limit)
            compare.check(norm.dgamma, dgamma, **limit)
            compare.check(norm.dbeta, dbeta, **limit)
            if add:
                compare.check(got[2], d + before if keep else d, exact=True)


@dtypes
@pytest.mark.parametrize("other", [False, True])
def test_norm_backward_of_parameters_alone(rng, dtype, other):
    shape = 2, 13, 5, 7
    norm, steps = Norm(rng, dtype, shape, 0, other, other), Steps(dtype, 2)
    _, _, mean, inv_std = norm.expected()
    y, number = norm.forward(steps)
    dother, whole = steps.result(shape[1:])
    steps.p.norm_backward(
        number, steps.given(norm.dy), y if other else None, None, norm.dgamma, norm.dbeta, dother if other else None
    )
    if other:
        steps.leave(whole, shape[1:])
    got = steps.run()
    d = np.where(got[0] > 0, norm.dy, 0) if other else norm.dy
    _, dgamma, dbeta = reference.batchnorm_backward(d, norm.x, norm.gamma, mean, inv_std)
    compare.check(norm.dgamma, dgamma, tolerance=TOLERANCE[dtype])
    compare.check(norm.dbeta, dbeta, tolerance=TOLERANCE[dtype])
    if other:
        compare.check(got[1], d, exact=True)


@dtypes
def test_norm_of_equal_values_and_of_frozen_parameters(rng, dtype):
    shape = 2, 5, 6, 7
    norm, steps = Norm(rng, dtype, shape, 0, False, False), Steps(dtype, 2)
    norm.x[:] = np.array([0, 7, 0.1, 1e4, -1 / 3], dtype)[:, None, None]
    _, running, mean, inv_std = norm.expected()
    y, number = norm.forward(steps)
    dx, whole = steps.result(shape[1:])
    steps.p.norm_backward(number, steps.given(norm.dy), y, dx, None, None)
    steps.leave(whole, shape[1:])
    got, slope = steps.run()
    np.testing.assert_array_equal(got, np.broadcast_to(norm.beta[:, None, None], shape))
    compare.check(norm.running, running)
    expected, _, _ = reference.batchnorm_backward(norm.dy, norm.x, norm.gamma, mean, inv_std)
    compare.check(slope, expected, tolerance=TOLERANCE[dtype])


@dtypes
def test_nan_and_infinity_stay_in_their_channels(rng, dtype):
    shape = 2, 9, 4, 5
    norm = Norm(rng, dtype, shape, 0, True, True)
    norm.x[0, 1, 2, 3], norm.x[1, 4, 0, 0], norm.dy[0, 6, 1, 1] = np.nan, np.inf, np.nan
    norm.other[0, 6, 1, 1] = 100  # relu lets dy through
    steps = Steps(dtype, 2)
    y, number = norm.forward(steps)
    dx, whole = steps.result(shape[1:])
    steps.p.norm_backward(number, steps.given(norm.dy), y, dx, norm.dgamma, norm.dbeta)
    steps.leave(whole, shape[1:])
    got, slope = steps.run()
    sound = [0, 2, 3, 5, 7, 8]
    for finite in (got[:, [*sound, 6]], slope[:, sound], norm.dgamma[sound], norm.dbeta[sound]):
        assert np.isfinite(finite).all()
    for nan in (got[:, 1], slope[:, 6], norm.dgamma[6]):
        assert np.isnan(nan).all()


# ---- pooling ---------------------------------------------------------------------------------------------------------

WINDOWS = [  # H, W, kernel, stride, padding, dilation, ceil_mode
    (1, 1, (1, 1), (1, 1), (0, 0), (1, 1), False),
    (8, 8, (2, 2), (2, 2), (0, 0), (1, 1), False),
    (9, 7, (2, 2), (2, 2), (0, 0), (1, 1), False),
    (9, 7, (2, 2), (2, 2), (0, 0), (1, 1), True),
    (14, 9, (3, 3), (2, 2), (1, 1), (1, 1), False),
    (12, 6, (3, 2), (1, 1), (1, 1), (1, 1), False),
    (13, 8, (2, 1), (3, 2), (1, 0), (1, 1), False),
    (10, 9, (2, 2), (1, 2), (1, 1), (3, 2), True),
    (6, 6, (6, 6), (1, 1), (0, 0), (1, 1), False),
    (5, 4, (5, 2), (2, 3), (2, 1), (1, 1), False),
]
windows = pytest.mark.parametrize("window", WINDOWS, ids=str)


def start_of(rng: Any, steps: Steps, shape: tuple[int, ...], add: bool) -> tuple[Any, Any, np.ndarray]:
    """A map for dx, with numbers in it if they are to be added to."""
    dx, whole = steps.result(shape[1:])
    start = np.zeros(shape)
    if add:
        start = whole_numbers(rng, shape, 2520)
        steps.enter(dx, start)
    return dx, whole, start.astype(steps.dtype)


@dtypes
@windows
@pytest.mark.parametrize("add", [False, True])
def test_maxpool_backward(rng, dtype, window, add):
    H, W, *settings = window
    for n, C in ((1, 1), (2, 13), (5, 8)):
        steps, x = Steps(dtype, n), whole_numbers(rng, (n, C, H, W)).astype(dtype)  # full of ties
        if n == 2:
            x[rng.random(x.shape) < 0.1] = np.nan
            x[rng.random(x.shape) < 0.1] = -np.inf
        y, argmax = reference.maxpool2d_forward(x, *settings)
        dy = whole_numbers(rng, y.shape).astype(dtype)
        xs, ys = steps.given(x), steps.result(y.shape[1:])[0]
        steps.p.maxpool(xs, ys, *settings)
        dx, whole, start = start_of(rng, steps, x.shape, add)
        steps.p.maxpool_backward(xs, ys, steps.given(dy), dx, *settings, add_dx=add)
        steps.leave(whole, x.shape[1:])
        expected = reference.maxpool2d_backward(dy, argmax, x.shape, *settings)
        compare.check(steps.run()[0], expected + start, exact=True)


@dtypes
@windows
@pytest.mark.parametrize("add", [False, True])
def test_avgpool_backward(rng, dtype, window, add):
    H, W, kernel, stride, padding, _, ceil_mode = window
    for n, C, inside in ((1, 1, False), (2, 13, True), (5, 8, False)):
        steps, settings = Steps(dtype, n), (kernel, stride, padding, ceil_mode, not inside)
        shape = n, C, H, W
        y = reference.avgpool2d_forward(np.zeros(shape, dtype), *settings)
        dy = whole_numbers(rng, y.shape, 2520).astype(dtype)  # every window's size divides it
        dx, whole, start = start_of(rng, steps, shape, add)
        steps.p.avgpool_backward(steps.given(dy), dx, *settings, add_dx=add)
        steps.leave(whole, shape[1:])
        compare.check(steps.run()[0], reference.avgpool2d_backward(dy, shape, *settings) + start, exact=True)


@dtypes
@pytest.mark.parametrize(
    "sizes", [(7, 5, 3, 2), (2, 3, 5, 4), (6, 6, 1, 1), (8, 6, 4, 2), (1, 1, 3, 3), (9, 2, 4, 1)], ids=str
)
@pytest.mark.parametrize("add", [False, True])
def test_adaptive_avgpool_backward(rng, dtype, sizes, add):
    H, W, OH, OW = sizes
    for n, C in ((1, 1), (2, 13), (5, 8)):
        steps, shape = Steps(dtype, n), (n, C, H, W)
        dy = whole_numbers(rng, (n, C, OH, OW), 2520).astype(dtype)
        dx, whole, start = start_of(rng, steps, shape, add)
        steps.p.adaptive_avgpool_backward(steps.given(dy), dx, add_dx=add)
        steps.leave(whole, shape[1:])
        compare.check(steps.run()[0], reference.adaptive_avgpool_backward(dy, shape) + start, exact=True)


# ---- elementwise functions -------------------------------------------------------------------------------------------

FUNCTIONS = [(row.operation, *row.settings) for row in cases.ACTIVATIONS] + list(cases.ELEMENTWISE)


def slopes(kind: str, parameters: tuple[float, ...], dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is known and dx, of the reference."""
    if any(kind == row.operation for row in cases.ACTIVATIONS):
        y = getattr(reference, f"{kind}_forward")(x, *parameters)
        known = x if kind == "gelu" else y
        return known, getattr(reference, f"{kind}_backward")(dy, known, *parameters)
    return x, reference.elementwise_backward(dy, x, kind, *parameters)


@dtypes
@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_element_backward(rng, dtype, function):
    kind, *parameters = function
    for n, C, H, W in ((1, 1, 1, 1), (2, 13, 5, 3), (5, 16, 2, 4)):
        x, dy, start = rng.standard_normal((3, n, C, H, W)).astype(dtype)
        known, expected = slopes(kind, tuple(parameters), dy, x)
        assert training_program.reads_x(kind) == (known is x)
        for add, same in ((False, False), (True, False), (False, True)):
            steps = Steps(dtype, n)
            dys, whole = steps.both((C, H, W))
            steps.enter(dys, dy)
            dx = dys
            if not same:
                dx, whole = steps.result((C, H, W))
            if add:
                steps.enter(dx, start)
            a, b = (*parameters, 0.0, 0.0)[:2]
            steps.p.element_backward(kind, a, b, dys, steps.given(known), dx, add_dx=add)
            steps.leave(whole, (C, H, W))
            with compare.during(n, add, same):
                compare.check(
                    steps.run()[0], expected + start if add else expected, tolerance=TOLERANCE[dtype], at_least=1
                )


# ---- products --------------------------------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("single", [False, True])
def test_mul_backward(rng, dtype, single):
    for n, C, H, W in ((1, 1, 1, 1), (2, 13, 5, 3), (5, 16, 2, 4), (1, 9, 11, 21)):
        a, dy, start = (whole_numbers(rng, (n, C, H, W)).astype(dtype) for _ in range(3))
        b, before = (whole_numbers(rng, (n, C, 1, 1) if single else a.shape).astype(dtype) for _ in range(2))
        expected = reference.arithmetic_backward(dy, a, b, "*")
        for add_da, add_db, same in ((False, False, False), (True, False, False), (False, True, True)):
            steps = Steps(dtype, n)
            dys, whole_da = steps.both(a.shape[1:])
            steps.enter(dys, dy)
            da = dys
            if not same:
                da, whole_da = steps.result(a.shape[1:])
            db, whole_db = steps.result(b.shape[1:])
            if add_da:
                steps.enter(da, start)
            if add_db:
                steps.enter(db, before)
            steps.p.mul_backward(steps.given(a), steps.given(b), dys, da, db, add_da, add_db)
            steps.leave(whole_da, a.shape[1:])
            steps.leave(whole_db, b.shape[1:])
            got = steps.run()
            with compare.during(n, add_da, add_db, same):
                compare.check(got[0], expected[0] + start if add_da else expected[0], exact=True)
                compare.check(got[1], expected[1] + before if add_db else expected[1], exact=True)


# ---- threads, and what is refused ------------------------------------------------------------------------------------


@dtypes
def test_threads_change_no_bit(rng, dtype):
    shape, settings = (5, 20, 32, 33), ((3, 3), (2, 2), (1, 1))
    norm = Norm(rng, dtype, shape, 1.0, True, True)
    pooled = reference.avgpool2d_forward(norm.x[:1], *settings).shape[2:]
    dpool = rng.standard_normal((5, 20, *pooled)).astype(dtype)
    before, found, running = minidl.get_num_threads(), [], norm.running.copy()
    try:
        for threads in (1, 2, 3):
            minidl.set_num_threads(threads)
            norm.running[:] = running
            steps = Steps(dtype, 5)
            y, number = norm.forward(steps)
            dy, d_pool, pool = steps.given(norm.dy), steps.given(dpool), steps.result((20, *pooled))[0]
            dx, whole = steps.result(shape[1:])
            dother, whole_other = steps.result(shape[1:])
            steps.p.norm_backward(number, dy, y, dx, norm.dgamma, norm.dbeta, dother)
            steps.leave(whole, shape[1:])
            steps.leave(whole_other, shape[1:])
            steps.p.maxpool(y, pool, *settings)
            steps.p.maxpool_backward(y, pool, d_pool, dx, *settings)
            steps.p.avgpool_backward(d_pool, dx, *settings, add_dx=True)
            steps.p.element_backward("tanh", 0, 0, dy, y, dx, add_dx=True)
            steps.p.mul_backward(y, dy, y, dx, dother, True, True)
            steps.leave(whole, shape[1:])
            steps.leave(whole_other, shape[1:])
            found.append([*steps.run(), norm.running.copy(), norm.dgamma.copy(), norm.dbeta.copy()])
    finally:
        minidl.set_num_threads(before)
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


def test_what_is_refused():
    F, C = np.float32, 3
    steps = Steps(F, 1)
    p = steps.p
    x, y, small = (steps.both(shape)[0] for shape in ((C, 4, 4), (C, 4, 4), (C, 2, 2)))
    ones, constants = np.ones(C, F), np.ones(C, F)
    constants.flags.writeable = False
    assert p.norm_forward(x, y, constants, constants, ones, ones, 0.9, 1e-5) == 0
    assert p.norm_forward(x, y, ones, ones, ones, ones, 0.9, 1e-5, None, True) == 1
    for changed, error, words in (
        ((x, small, ones, ones, ones, ones), ValueError, "y must have shape"),
        ((x, y, None, ones, ones, ones), TypeError, "gamma must be an array, got None"),
        ((x, y, ones, np.ones(4, F), ones, ones), ValueError, "beta must have 3 elements"),
        ((x, y, ones, ones, constants, ones), ValueError, "running_mean must be a writable"),
        ((x, y, ones, ones, ones, np.ones(C)), TypeError, "running_var must be an array of float32"),
        ((x, y, ones, ones, ones, ones, 0.9, 1e-5, small), ValueError, "other must have shape"),
    ):
        with pytest.raises(error, match=words):
            p.norm_forward(*(*changed, 0.9, 1e-5)[: max(8, len(changed))])
    dx = steps.both((C, 4, 4))[0]
    for changed, words in (
        ((2, y, y, dx, ones, ones), "handle must be the number of a step of norm_forward, got 2"),
        ((-1, y, y, dx, ones, ones), "got -1"),
        ((0, small, y, dx, ones, ones), "dy must have shape"),
        ((1, y, small, dx, ones, ones), "y must have shape"),
        ((0, y, y, small, ones, ones), "dx must have shape"),
        ((0, y, y, dx, np.ones(2, F), None), "dgamma must have 3 elements"),
        ((0, y, y, dx, None, constants), "dbeta must be a writable"),
        ((0, y, y, dx, ones, ones, small), "dother must have shape"),
        ((0, y, y, dx, ones, ones, dx), "dother must be another map than dx"),
    ):
        with pytest.raises(ValueError, match=words):
            p.norm_backward(*changed)
    with pytest.raises(TypeError, match="y must be a Map"):
        p.norm_backward(1, y, None, dx, ones, ones)
    k = (2, 2), (2, 2), (0, 0)
    with pytest.raises(ValueError, match="y must have shape"):
        p.maxpool_backward(x, y, y, dx, *k)
    with pytest.raises(ValueError, match="dy must have shape"):
        p.maxpool_backward(x, small, y, dx, *k)
    with pytest.raises(ValueError, match="dx must have shape"):
        p.maxpool_backward(x, small, small, small, *k)
    with pytest.raises(ValueError, match="y must have shape"):
        p.avgpool_backward(y, dx, *k)
    with pytest.raises(ValueError, match="known must have shape"):
        p.element_backward("relu", 0, 0, x, small, dx)
    with pytest.raises(ValueError, match="dy must have shape"):
        p.element_backward("relu", 0, 0, small, y, dx)
    with pytest.raises(ValueError, match="dy must have shape"):
        p.mul_backward(x, x, small, dx, y)
    with pytest.raises(ValueError, match="b must have shape"):
        p.mul_backward(x, small, y, dx, small)
    with pytest.raises(ValueError, match="db must have shape"):
        p.mul_backward(x, x, y, dx, small)
    with pytest.raises(ValueError, match="db must be another map than da"):
        p.mul_backward(x, x, y, dx, dx)
    with pytest.raises(ValueError, match="kind must be one of"):
        p.element_backward("nothing", 0, 0, x, y, dx)
    with pytest.raises(ValueError, match="kind must be one of"):
        training_program.reads_x("nothing")
    with pytest.raises(TypeError, match="dx must be a Map"):
        p.element_backward("relu", 0, 0, x, y, None)


def test_both_ways_are_run_one_by_one() -> None:
    p = training_program.TrainingProgram(np.float32, 1024)
    with pytest.raises(RuntimeError, match="must turn before"):
        p.forward(1)
    p.turn()
    with pytest.raises(RuntimeError, match="turns once"):
        p.turn()
    with pytest.raises(RuntimeError, match="does not run"):
        p.run(1)
    with pytest.raises(RuntimeError, match="must go forward before"):
        p.backward()


def test_phases_that_do_not_fit() -> None:
    p = training_program.TrainingProgram(np.float32, ELEMENTS)
    dy = maps.Map((4, 4, 4), p.L, (2, 2, 2, 2))
    dx = maps.Map((4, 4, 4), p.L, at=4096)
    w, one = np.zeros((4, 4, 3, 3), np.float32), (1, 0, 1, 0, 1)
    p.conv_phase(dy, dx, w, None, (3, 2, 1, 1, 1), one, 1)
    for rows, words in (
        ((0, 2, 1, 1, 1), "does not fit into w"),
        ((4, 2, 1, 1, 1), "does not fit into w"),
        ((1, 3, 1, 1, 1), "does not fit into w"),
        ((1, -1, 1, 1, 1), "does not fit into w"),
        ((2, 2, 3, 1, 1), "does not fit into w"),
        ((2**32 + 1, 2, 2**32, 1, 1), "does not fit into w"),
        ((3, 2, 1, 1, 0), "dilation of at least 1"),
        ((3, 2, 1, 1, 2**62), "small numbers"),
        ((3, 2, 1, -(2**62), 1), "small numbers"),
        ((3, 2, 1, 3, 1), "halo of x must hold"),
        ((3, 2, 1, -1, 1), "halo of x must hold"),
    ):
        with pytest.raises(ValueError, match=words):
            p.conv_phase(dy, dx, w, None, rows, one, 1)
    with pytest.raises(ValueError, match="y must be one pixel"):
        p.conv_phase(dy, dx, w, None, (3, 2, 1, 1, 1), one, 1, True)
