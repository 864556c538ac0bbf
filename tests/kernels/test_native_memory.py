"""Memory of lane arrays: taken once, given out again, given back; and never to two arrays at a time."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from minidl import Adam, Conv2D, Dropout, Flatten, Linear, MaxPool2D, Model, Relu, Sequential, SoftmaxCrossEntropyLoss
from minidl.layers import BatchNorm2D, Residual

lanearray = pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

SPARE = 16 << 20
"""Bytes that may wait for reuse beyond the most that were ever in use."""


@pytest.fixture(autouse=True)
def _nothing_waits():
    gc.collect()
    lanearray.release_memory()


def network():
    body = Sequential(Conv2D(8, 8, 3, padding=1, rng=1), BatchNorm2D(8), Relu())
    return Model(
        Conv2D(1, 8, 3, padding=1, rng=2),
        BatchNorm2D(8),
        Relu(),
        MaxPool2D(2),
        Residual(body),
        Dropout(0.2, rng=3),
        Flatten(),
        Linear(8 * 36, 10, rng=4),
    )


def test_a_training_loop_takes_nothing_after_its_first_steps(native):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (70, 1, 12, 12)).astype(np.uint8)
    labels = rng.integers(0, 10, 70)
    model, loss, optimizer = network(), SoftmaxCrossEntropyLoss(), Adam()
    scale, shift = model.scaling(images)
    totals, lives = [], []
    for step in range(12):
        index = rng.permutation(70)[: 50 if step % 3 else 20]  # each third batch is a smaller one
        loss.run(model.run(native.gather(images, index, scale, shift), True), labels[index])
        model.run_backward(loss.dlogits)
        optimizer.step(model.parameters())
        live, waiting = lanearray.memory_in_use()
        totals.append(live + waiting)
        lives.append(live)
    assert len(set(totals[3:])) == 1, totals
    assert lives[3:6] == lives[6:9] == lives[9:12]
    model.release()
    del loss
    assert sum(lanearray.memory_in_use()) == totals[-1]


def test_all_memory_comes_back(native):
    live, _ = lanearray.memory_in_use()
    model = network()
    images = np.random.default_rng(1).standard_normal((20, 1, 12, 12), np.float32)
    y = model.forward(images, train=True)
    model.backward(np.ones_like(y))
    held, _ = lanearray.memory_in_use()
    assert held > live
    model.release()
    _, waiting = lanearray.memory_in_use()
    assert lanearray.memory_in_use()[0] == live
    assert waiting > 0
    lanearray.release_memory()
    assert lanearray.memory_in_use() == (live, 0)


def test_releasing_touches_no_living_array(native, rng):
    values = rng.standard_normal((20, 3, 8, 8))
    x = native.enter(values)
    spare = native.enter(np.zeros_like(values))
    del spare
    lanearray.release_memory()
    others = [native.enter(np.full_like(values, i)) for i in range(3)]
    np.testing.assert_array_equal(native.leave(x), values)
    for i, other in enumerate(others):
        assert (native.leave(other) == i).all()


def test_another_shape_keeps_the_memory_alive(native, rng):
    live, _ = lanearray.memory_in_use()
    values = rng.standard_normal((9, 3, 4, 5)).astype(np.float32)
    flat = native.reshape(native.reshape(native.enter(values), (15, 4)), (60,))
    assert lanearray.memory_in_use()[0] > live
    others = [native.enter(np.full((9, 60), i, np.float32)) for i in range(3)]
    np.testing.assert_array_equal(native.leave(flat), values.reshape(9, 60))
    del flat, others
    assert lanearray.memory_in_use()[0] == live


def test_a_garbage_collector_gives_nothing_back_twice(native):
    """A cycle of objects that holds a reshaped array: the collector must leave the array's own links alone."""

    class Holder:
        pass

    live, _ = lanearray.memory_in_use()
    gc.disable()
    try:
        for _ in range(3):
            x = native.enter(np.ones((40, 3, 4, 4), np.float32))
            flat = native.reshape(x, (48,))
            holder = Holder()
            holder.cycle, holder.arrays = holder, (x, flat)
            del x, flat, holder
            gc.collect()
            assert lanearray.memory_in_use()[0] == live
    finally:
        gc.enable()
    a, b = (native.enter(np.full((40, 3, 4, 4), value, np.float32)) for value in (1, 2))
    assert (native.leave(a) == 1).all()
    assert (native.leave(b) == 2).all()


def test_sizes_of_the_past_are_let_go():
    from minidl.kernels import native

    live, _ = lanearray.memory_in_use()
    for megabytes in range(1, 15):
        x = native.enter(np.zeros((16, megabytes << 14), np.float32))
        del x
        assert sum(lanearray.memory_in_use()) <= live + (megabytes << 20) + SPARE + 4096
    assert lanearray.memory_in_use()[0] == live


def test_empty_batches_and_empty_images_take_a_vector_at_least(native):
    for shape in ((0, 3, 2, 2), (0, 5), (3, 0), (0, 0)):
        x = native.enter(np.zeros(shape, np.float32))
        assert native.leave(native.add(x, x)).shape == shape
