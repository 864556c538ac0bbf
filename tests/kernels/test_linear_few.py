"""Linear layers of few images whose weights no cache holds: rows of weights, against numpy in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import minidl
from minidl import kernels

native = pytest.importorskip("minidl.kernels.native")


@pytest.fixture(autouse=True, params=native.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.isa()
    native.use_isa(request.param)
    with kernels.use("native"):
        yield str(request.param)
    native.use_isa(before)


def arrays(n: int, f: int, o: int, dtype: str) -> tuple[np.ndarray, ...]:
    """Whole numbers: every sum is exact, whatever its order."""
    rng = np.random.default_rng(n)
    shapes = (n, f), (o, f), (o,), (n, o)
    x, w, b, dy = (rng.integers(-3, 4, shape).astype(dtype) for shape in shapes)
    return x, w, b, dy


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize(("f", "o"), [(1601, 701), (3, 400_001), (1_100_003, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers(n: int, f: int, o: int, dtype: str) -> None:
    x, w, b, dy = arrays(n, f, o, dtype)
    backend = kernels.current()
    entered, out = backend.enter(x, False), (np.full_like(w, np.nan), np.full_like(b, np.nan))
    y = backend.leave(backend.linear_forward(entered, w, b))
    np.testing.assert_array_equal(y, x @ w.T + b)
    dx = backend.leave(backend.linear_backward(backend.enter(dy, False), entered, w, True, out)[0])
    np.testing.assert_array_equal(dx, dy @ w)
    np.testing.assert_array_equal(out[0], dy.T @ x)
    np.testing.assert_array_equal(out[1], dy.sum(0))


@pytest.mark.parametrize("n", [1, 4])
def test_relu_behind(n: int) -> None:
    x, w, b, dy = arrays(n, 1601, 701, "float32")
    backend = kernels.current()
    entered = backend.enter(x, False)
    y = backend.linear_block_forward(entered, w, b)
    scores = backend.leave(y)
    np.testing.assert_array_equal(scores, np.maximum(x @ w.T + b, 0))
    dx, dw, db = backend.linear_block_backward(backend.enter(dy, False), y, entered, w)
    masked = np.where(scores > 0, dy, 0)
    for found, expected in ((backend.leave(dx), masked @ w), (dw, masked.T @ x), (db, masked.sum(0))):
        np.testing.assert_array_equal(found, expected)


def test_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((4, 1601), (701, 1601), (701,), (4, 701)))
    backend, before, found = kernels.current(), minidl.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            minidl.set_num_threads(threads)
            entered = backend.enter(x, False)
            dx, dw, db = backend.linear_backward(backend.enter(dy, False), entered, w)
            found.append([backend.leave(backend.linear_forward(entered, w, b)), backend.leave(dx), dw, db])
    finally:
        minidl.set_num_threads(before)
    for others in found[1:]:
        for a, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(a, other)
