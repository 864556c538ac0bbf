"""A step is forward, loss, backward, update: its numbers are those of the four calls one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl.training.samples import Batch, batches, prepare
from minidl.training.step import NonFiniteLoss, Step

pytestmark = pytest.mark.usefixtures("plain_backend")


def network():
    return minidl.Model(minidl.Linear(3, 8, rng=1), minidl.Relu(), minidl.Linear(8, 3, rng=2), dtype="float64")


@pytest.fixture
def data(rng):
    return rng.standard_normal((20, 3)), rng.integers(0, 3, 20)


def test_a_step_is_the_four_calls_one_by_one(data):
    x, y = data
    model, by_hand = network(), network()
    loss, other = minidl.SoftmaxCrossEntropyLoss(), minidl.SoftmaxCrossEntropyLoss()
    step = Step(model, loss, minidl.SGD(0.1))
    samples = prepare("training", data, model, loss)
    index = np.array([3, 17, 0, 5])
    value, right = step.train(Batch(samples, index))

    logits = by_hand.forward(x[index], train=True)
    assert value == pytest.approx(other.forward(logits, y[index]), rel=1e-12)
    assert right == np.count_nonzero(logits.argmax(axis=1) == y[index])
    by_hand.backward(other.backward())
    for p, q in zip(model.parameters(), by_hand.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=1e-12)
        np.testing.assert_allclose(p.data, q.data - 0.1 * q.grad, rtol=1e-12)


def test_between_backward_and_update_the_gradients_may_be_added_to(data):
    """Two halves of a batch, their gradients averaged, make the step of the whole batch."""
    model, whole = network(), network()
    loss = minidl.SoftmaxCrossEntropyLoss()
    samples = prepare("training", data, model, loss)
    Step(whole, loss, minidl.SGD(0.1)).train(Batch(samples, np.arange(20)))
    step = Step(model, loss, minidl.SGD(0.1))
    halves = []
    for part in batches(samples, 10):
        step.forward(part, train=True)
        step.backward()
        halves.append([p.grad.copy() for p in step.parameters])
    for p, first, second in zip(step.parameters, *halves, strict=True):
        p.grad[...] = (first + second) / 2
    step.update()
    for p, q in zip(model.parameters(), whole.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)


def test_a_loss_that_is_no_number_changes_nothing(data):
    model, loss = network(), minidl.MSELoss()
    model.parameters()[0].data[0, 0] = np.inf
    before = model.state()
    samples = prepare("training", (data[0], data[0]), model, loss)
    with pytest.raises(NonFiniteLoss, match="the loss became") as caught, np.errstate(all="ignore"):
        Step(model, loss, minidl.SGD(0.1)).train(Batch(samples, np.arange(4)))
    assert not math.isfinite(caught.value.loss)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_batches_have_all_rows_once(data):
    samples = prepare("training", data, network(), minidl.SoftmaxCrossEntropyLoss())
    parts = list(batches(samples, 8))
    assert [len(part.rows) for part in parts] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate([part.images() for part in parts]), data[0])
    np.testing.assert_array_equal(np.concatenate([part.target() for part in parts]), data[1])
    assert parts[0].labels() is None
    rows = prepare("training", (data[0], np.eye(3)[data[1]]), network(), minidl.MSELoss())
    np.testing.assert_array_equal(next(batches(rows, 6)).labels(), data[1][:6])
