"""Normalisation of groups of channels with channels in lanes, against the reference backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import Steps, same_for_any_threads
from kernels import cases, compare

from minidl.kernels import reference

native = pytest.importorskip("minidl.kernels.native")
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-12}
EPS = 1e-3
SHAPES = [  # n, C, H, W, groups
    (1, 1, 1, 1, 1),
    (5, 17, 1, 1, 1),
    (1, 3, 1, 3, 3),
    (2, 14, 5, 7, 7),
    (5, 8, 3, 2, 2),
    (2, 40, 4, 3, 2),
    (1, 48, 33, 32, 3),
    (2, 6, 3, 600, 2),
]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


class Norm:
    """A normalisation with everything that it reads and writes."""

    def __init__(self, rng: Any, dtype: Any, shape: tuple[int, ...], middle: float = 3.0, affine: bool = True) -> None:
        *sizes, self.groups = shape
        self.shape = tuple(sizes)
        self.x = rng.normal(middle, 1, self.shape).astype(dtype)
        self.other, self.dy = rng.standard_normal((2, *self.shape)).astype(dtype)
        self.gamma, self.beta = rng.normal(1, 0.5, (2, sizes[1])).astype(dtype)
        self.given = (self.gamma, self.beta) if affine else (None, None)
        self.scales = (self.gamma, self.beta) if affine else (np.ones_like(self.gamma), np.zeros_like(self.beta))
        self.dgamma, self.dbeta = np.full((2, sizes[1]), np.nan, dtype)

    def forward(self, steps: Steps, add: bool = False, relu: bool = False) -> tuple[Any, int]:
        y, whole = steps.result(self.shape[1:])
        statistics, _ = steps.result((self.shape[1], 1, 6))
        other = steps.given(self.other) if add else None
        places = steps.given(self.x), y, statistics
        number = steps.p.group_norm_forward(*places, *self.given, self.groups, EPS, other, relu)
        steps.leave(whole, self.shape[1:])
        return y, number

    def expected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return reference.groupnorm_forward(self.x, *self.scales, self.groups, EPS)


@dtypes
@shapes
@pytest.mark.parametrize("middle", [0.0, 100.0])
def test_forward(rng: Any, dtype: Any, shape: tuple[int, ...], middle: float, isa: None) -> None:
    for add, relu, affine in ((False, False, True), (False, True, False), (True, False, True), (True, True, True)):
        norm, steps = Norm(rng, dtype, shape, middle, affine), Steps(dtype, shape[0])
        y = norm.expected()[0]
        y = y + norm.other if add else y
        norm.forward(steps, add, relu)
        with compare.during(add, relu, affine):
            found, limit = steps.run()[0], TOLERANCE[dtype] * max(1, middle / 5)
            compare.check(found, np.maximum(y, 0) if relu else y, tolerance=limit, at_least=1)


@dtypes
@shapes
def test_backward(rng: Any, dtype: Any, shape: tuple[int, ...], isa: None) -> None:
    for add, relu, keep, where in (
        (False, False, False, "dx"),
        (False, True, True, "dx"),
        (True, True, False, "dy"),
        (True, True, True, "dother"),
        (True, False, False, "dother"),
    ):
        norm, steps = Norm(rng, dtype, shape), Steps(dtype, shape[0])
        start, before = rng.standard_normal((2, *norm.shape)).astype(dtype)
        image = norm.shape[1:]
        y, number = norm.forward(steps, add, relu)
        dy, whole_dy = steps.both(image)
        steps.enter(dy, norm.dy)
        dx, whole_dx = (dy, whole_dy) if where == "dy" else steps.result(image)
        dother, whole_other = (dy, whole_dy) if where == "dother" and not keep else steps.result(image)
        if keep:
            steps.enter(dx, start)
            steps.enter(dother, before)
        steps.p.norm_backward(number, dy, y, dx, norm.dgamma, norm.dbeta, dother if add else None, keep, keep and add)
        steps.leave(whole_dx, image)
        if add:
            steps.leave(whole_other, image)
        got = steps.run()
        d = np.where(got[0] > 0, norm.dy, 0) if relu else norm.dy
        _, mean, inv_std = norm.expected()
        expected, dgamma, dbeta = reference.groupnorm_backward(d, norm.x, norm.gamma, mean, inv_std)
        # What is small is a difference of such numbers.
        size = float(np.abs(norm.gamma).max() * inv_std.max() * np.abs(norm.dy).max())
        limit = {"tolerance": 3 * TOLERANCE[dtype], "at_least": max(size, 1)}
        with compare.during(add, relu, keep, where):
            compare.check(got[1], expected + start if keep else expected, **limit)
            compare.check(norm.dgamma, dgamma, **limit)
            compare.check(norm.dbeta, dbeta, **limit)
            if add:
                compare.check(got[2], d + before if keep else d, exact=True)


@dtypes
def test_nothing_but_parameters_and_nothing_but_x(rng: Any, dtype: Any) -> None:
    norm, steps = Norm(rng, dtype, (2, 14, 5, 7, 7), 0.0), Steps(dtype, 2)
    _, mean, inv_std = norm.expected()
    expected, dgamma, dbeta = reference.groupnorm_backward(norm.dy, norm.x, norm.gamma, mean, inv_std)
    _, number = norm.forward(steps)
    dy = steps.given(norm.dy)
    steps.p.norm_backward(number, dy, None, None, norm.dgamma, norm.dbeta)
    dx, whole = steps.result(norm.shape[1:])
    steps.p.norm_backward(number, dy, None, dx, None, None)
    steps.leave(whole, norm.shape[1:])
    compare.check(steps.run()[1], expected, tolerance=TOLERANCE[dtype], at_least=1)
    compare.check(norm.dgamma, dgamma, tolerance=TOLERANCE[dtype])
    compare.check(norm.dbeta, dbeta, tolerance=TOLERANCE[dtype])


@dtypes
def test_equal_values(rng: Any, dtype: Any) -> None:
    norm, steps = Norm(rng, dtype, (2, 5, 6, 7, 5)), Steps(dtype, 2)
    norm.x[:] = np.array([0, 7, 0.1, 1e4, -1 / 3], dtype)[:, None, None]
    norm.forward(steps)
    np.testing.assert_array_equal(steps.run()[0], np.broadcast_to(norm.beta[:, None, None], norm.shape))


@dtypes
def test_nan_and_infinity_stay_in_their_images_and_groups(rng: Any, dtype: Any) -> None:
    norm, steps = Norm(rng, dtype, (2, 9, 4, 5, 3)), Steps(dtype, 2)
    norm.x[0, 1, 2, 3], norm.x[1, 4, 0, 0], norm.dy[0, 8, 1, 1] = np.nan, np.inf, np.nan
    y, number = norm.forward(steps)
    dx, whole = steps.result(norm.shape[1:])
    steps.p.norm_backward(number, steps.given(norm.dy), y, dx, norm.dgamma, norm.dbeta)
    steps.leave(whole, norm.shape[1:])
    got, slope = steps.run()
    for finite in (got[0, 3:], got[1, :3], got[1, 6:], slope[0, 3:6], slope[1, :3], slope[1, 6:]):
        assert np.isfinite(finite).all()
    for nan in (got[0, :3], slope[0, :3], slope[0, 6:]):
        assert np.isnan(nan).all()
    assert np.isfinite(norm.dbeta[:8]).all()
    assert np.isnan([norm.dbeta[8], *norm.dgamma[:6], norm.dgamma[8]]).all()


@dtypes
def test_threads_change_no_bit(rng: Any, dtype: Any) -> None:
    norm = Norm(rng, dtype, (5, 20, 32, 33, 4))

    def run() -> list[np.ndarray]:
        steps = Steps(dtype, 5)
        y, number = norm.forward(steps, relu=True)
        dx, whole = steps.result(norm.shape[1:])
        steps.p.norm_backward(number, steps.given(norm.dy), y, dx, norm.dgamma, norm.dbeta)
        steps.leave(whole, norm.shape[1:])
        return [*steps.run(), norm.dgamma.copy(), norm.dbeta.copy()]

    same_for_any_threads(run)


def test_what_is_refused() -> None:
    steps = Steps(np.float32, 1)
    x, y, small = (steps.both(shape)[0] for shape in ((6, 4, 4), (6, 4, 4), (6, 2, 2)))
    statistics, ones = steps.both((6, 1, 6))[0], np.ones(6, np.float32)
    assert steps.p.group_norm_forward(x, y, statistics, ones, None, 3, EPS) == 0
    for changed, words in (
        ((x, small, statistics, ones, ones, 3), "y must have shape"),
        ((x, y, small, ones, ones, 3), r"statistics must have shape \(6, 1, 6\)"),
        ((x, y, statistics, ones, ones, 4), "groups must divide the 6 channels, got 4"),
        ((x, y, statistics, ones, ones, 0), "groups must divide the 6 channels, got 0"),
        ((x, y, statistics, ones[:3], ones, 3), "gamma must have 6 elements"),
        ((x, y, statistics, ones, ones[:3], 3), "beta must have 6 elements"),
    ):
        with pytest.raises(ValueError, match=words):
            steps.p.group_norm_forward(*changed, EPS)
    with pytest.raises(TypeError, match="statistics must be a Map"):
        steps.p.group_norm_forward(x, y, None, ones, ones, 3, EPS)
