"""Arithmetic on a LaneArray says what to do instead."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from minidl import kernels

pytestmark = pytest.mark.skipif("native" not in kernels.available(), reason="this installation has no native backend")

BINARY = (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul)


@pytest.mark.parametrize("apply", BINARY, ids=lambda apply: apply.__name__)
def test_arithmetic_names_the_remedy(apply):
    with kernels.use("native") as backend:
        x = backend.enter(np.ones((2, 3), np.float32))
        for a, b in ((x, x), (x, 2.0), (2.0, x), (x, np.ones((2, 3), np.float32)), (np.ones((2, 3), np.float32), x)):
            with pytest.raises(TypeError, match="a LaneArray has no arithmetic of its own: write compute and gradient"):
                apply(a, b)


def test_other_ways_to_compute_with_one():
    with kernels.use("native") as backend:
        x = backend.enter(np.ones((2, 3), np.float32))
        for compute in (operator.neg, np.asarray):
            with pytest.raises(TypeError, match="a LaneArray has no arithmetic of its own"):
                compute(x)
        with pytest.raises(TypeError, match="LaneArray"):
            np.exp(x)
