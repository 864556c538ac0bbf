"""Local response normalisation: by hand, far values; every backend against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
MAPS = [shape for shape in cases.SHAPES if len(shape) == 4]


def test_by_hand():
    """Three channels of one pixel; an even size reaches one further down than up."""
    x = np.array([1.0, 2, 3]).reshape(1, 3, 1, 1)
    y = reference.local_response_forward(x, 3, 3.0, 0.5, 4.0)
    np.testing.assert_allclose(y.ravel(), [1 / 9**0.5, 2 / 18**0.5, 3 / 17**0.5], rtol=1e-15)
    y = reference.local_response_forward(x, 2, 2.0, 1.0, 1.0)
    np.testing.assert_allclose(y.ravel(), [1 / 2, 2 / 6, 3 / 14], rtol=1e-15)


@dtypes
@pytest.mark.parametrize(
    "settings", [(5, 1e-4, 0.75, 2.0), (2, 0.5, 1.0, 1.0), (1, 2.0, 0.5, 0.1), (99, 1.0, 0.0, 1.0)]
)
@pytest.mark.parametrize("shape", [*MAPS, (9, 7, 3, 5)], ids=str)
def test_local_response(backend, shape, settings, dtype, rng):
    x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    y = reference.local_response_forward(*judged.wide(x), *settings)
    compare.check(backend.leave(backend.local_response_forward(backend.enter(x), *settings)), y, dtype)
    dx = reference.local_response_backward(*judged.wide(dy, x), *settings)
    got = backend.local_response_backward(backend.enter(dy), backend.enter(x), *settings)
    compare.check(backend.leave(got), dx, dtype)


@dtypes
def test_values_of_all_sizes_keep_their_digits(backend, dtype):
    """Each image by itself, from 1e-15 to 1e15: the power's relative error is that of the type."""
    x = np.multiply.outer(10.0 ** np.arange(-15, 16), [1.0, -2, 3]).astype(dtype)[:, :, None, None]
    y = reference.local_response_forward(x.astype(np.float64), 3, 1.0, 0.75, 1e-20)
    got = backend.leave(backend.local_response_forward(backend.enter(x), 3, 1.0, 0.75, 1e-20))
    np.testing.assert_allclose(got, y, rtol=1e-5 if dtype == np.float32 else 1e-13)


def test_special_values(backend):
    x = np.array([0, 1, np.nan, 2, np.inf], np.float32).reshape(5, 1, 1, 1)
    y = backend.leave(backend.local_response_forward(backend.enter(x), 1, 1.0, 1.0, 1.0)).ravel()
    np.testing.assert_allclose(y, [0, 0.5, np.nan, 0.4, np.nan], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 3, 17])
def test_for_inference(backend, n, rng):
    x = cases.random(rng, (n, 6, 3, 5), np.float32)
    y = backend.local_response_forward(backend.enter(x, infer=True), 5, 0.1, 0.75, 1.0)
    compare.check(backend.leave(y), reference.local_response_forward(*judged.wide(x), 5, 0.1, 0.75, 1.0), np.float32)
