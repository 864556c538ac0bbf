"""Lanes do not mix: neither old memory in the empty ones nor a NaN in a full one reaches another image's results."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, operations
from numpy.testing import assert_array_equal

lanearray = pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

SIZE = 8
"""With 8 channels an image has 512 values: lane arrays end where their pages do, and a sanitizer sees each overrun."""
PAGE, PAGES, HELD = 4096, 28, 8

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


def soil(native, dtype, value):
    """Leave `value` in waiting buffers of every size that a batch of two blocks needs, and in the kernels' scratch."""
    lanes = lanearray.lanes(dtype)
    full = np.full((2 * lanes, operations.CHANNELS, SIZE, SIZE), value, dtype)
    with np.errstate(all="ignore"):
        operations.results(native, dtype, len(full), SIZE, full)
    vectors = PAGE // (lanes * np.dtype(dtype).itemsize)
    held = []
    for pages in range(1, PAGES + 1):
        values = np.full((lanes, pages * vectors), value, dtype)
        held += [native.enter(values) for _ in range(HELD)]


@dtypes
def test_old_memory_reaches_no_result(native, dtype):
    lanes = lanearray.lanes(dtype)
    for n in sorted({1, 3, lanes - 1, lanes, lanes + 1}):
        found = []
        for value in (0, np.nan, 1e30, np.inf):
            soil(native, dtype, value)
            found.append(operations.results(native, dtype, n, SIZE))
        for name, clean in found[0].items():
            assert np.isfinite(clean).all(), (n, name)
            for dirty in found[1:]:
                assert dirty[name].tobytes() == clean.tobytes(), (n, name)


@dtypes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_image_spoils_no_other(native, dtype, value):
    lanes = lanearray.lanes(dtype)
    n, bad = lanes + 2, lanes // 2
    batch = np.random.default_rng(3).standard_normal((n, operations.CHANNELS, SIZE, SIZE))
    clean = operations.results(native, dtype, n, SIZE, batch)
    batch[bad] = value
    others = np.arange(n) != bad
    compared = 0
    with np.errstate(all="ignore"):
        spoilt = operations.results(native, dtype, n, SIZE, batch)
    for name, expected in clean.items():
        over_images = name.endswith((" y", " dx", " argmax", " dlogits")) and "train True" not in name
        if over_images:
            assert_array_equal(spoilt[name][others], expected[others], err_msg=name)
            compared += 1
    assert compared > 100
    assert not np.isfinite(spoilt["winograd dw"]).all()


@dtypes
def test_a_batch_does_not_depend_on_its_neighbours(native, dtype):
    """An image gives the same bits alone, in a part of a block, and in a block of its own behind a full one."""
    lanes = lanearray.lanes(dtype)
    batch = np.random.default_rng(4).standard_normal((lanes + 1, operations.CHANNELS, SIZE, SIZE)).astype(dtype)
    rng = np.random.default_rng(5)
    for shape, window in operations.CONVS.values():
        w, b = cases.random(rng, shape, dtype), cases.random(rng, shape[:1], dtype)
        together = native.leave(native.conv2d_forward(native.enter(batch), w, b, *window))
        for i in (0, lanes - 1, lanes):
            alone = native.leave(native.conv2d_forward(native.enter(batch[i : i + 1]), w, b, *window))
            assert_array_equal(alone[0], together[i])


@dtypes
def test_what_stands_in_empty_lanes_reaches_no_result(native, dtype):
    """An activation may leave anything finite there: a bias, an exponential, a shifted mean."""
    lanes = lanearray.lanes(dtype)
    for n in sorted({1, 3, lanes - 1, lanes + 1}):
        clean = operations.results(native, dtype, n, SIZE)
        for value in (1.0, 3e4):
            dirty = operations.results(native, dtype, n, SIZE, empty=value)
            for name, expected in clean.items():
                assert dirty[name].tobytes() == expected.tobytes(), (n, value, name)


@dtypes
@pytest.mark.parametrize("empty", [0, 3e4])
def test_empty_lanes_of_gradients_are_zero(native, dtype, empty):
    """Sums over the batch count on it. A linear layer's bias gradient is the sum of all lanes."""
    looked = []

    def look(name, value):
        if not name.endswith((" dx", " dlogits")):
            return
        looked.append(name)
        features = int(np.prod(value.shape[1:]))
        x, w = native.enter(np.zeros((len(value), 1), dtype)), np.zeros((features, 1), dtype)
        sums = [
            native.linear_backward(native.reshape(dy, (features,)), x, w, need_dx=False)[2]
            for dy in (value, native.enter(native.leave(value)))
        ]
        assert_array_equal(*sums, err_msg=name)

    for n in (1, 3, 17):
        operations.results(native, dtype, n, SIZE, empty=empty, look=look)
    assert len(looked) > 100


def test_an_empty_lane_enters_as_zero(native):
    """A gradient that a user hands over must be zero where no image is: sums run over whole vectors."""
    for n in (1, 3, 17):
        dy = np.ones((n, 5), np.float32)
        x = np.ones((n, 3), np.float32)
        _, dw, db = native.linear_backward(native.enter(dy), native.enter(x), np.zeros((5, 3), np.float32))
        assert_array_equal(dw, np.full((5, 3), n))
        assert_array_equal(db, np.full(5, n))


@dtypes
def test_what_overflows_in_empty_lanes_reaches_no_result(native, dtype, monkeypatch):
    """A normalisation takes a mean of 0 there: beside images of 3e37 this is more than a float32 can hold."""
    lanes, large = lanearray.lanes(dtype), np.finfo(dtype).max / 12
    mean, nothing = np.full(operations.CHANNELS, large, dtype), np.zeros(operations.CHANNELS, dtype)
    beta = np.random.default_rng(6).standard_normal(operations.CHANNELS).astype(dtype)
    for n in sorted({1, 3, lanes - 1, lanes + 1}):
        x = np.full((n, operations.CHANNELS, SIZE, SIZE), large, dtype)
        y, *_ = native.batchnorm_forward(native.enter(x), nothing + 1, beta, mean, nothing, 0.9, 1e-3, False)
        found = []
        for entered in (y, native.enter(native.leave(y))):
            monkeypatch.setattr(operations, "entered", lambda backend, x, empty, entered=entered: entered)
            found.append(operations.results(native, dtype, n, SIZE))
        for name, expected in found[1].items():
            assert np.isfinite(expected).all(), (n, name)
            assert found[0][name].tobytes() == expected.tobytes(), (n, name)
