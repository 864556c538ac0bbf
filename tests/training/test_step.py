"""A step is forward, loss, backward, update: its numbers are those of the four calls one by one."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

import minidl
from minidl.support.random import generator as default_generator
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


class Breaks(minidl.SoftmaxCrossEntropyLoss):
    """A loss that is NaN in its third step, after everything else was computed."""

    calls = 0

    def run(self, *arguments):
        self.calls += 1
        loss = super().run(*arguments)
        return math.nan if self.calls == 3 else loss


def three_steps(images, fault):
    """Weights, statistics and the generators' next numbers after two good steps and a third one with a fault, or none.

    One generator is shared by two layers, one layer draws from minidl's own.
    """
    minidl.seed(5)
    shared = np.random.default_rng(7)
    model = minidl.Model(
        *(minidl.Conv2D(1, 3, 3, rng=1), minidl.BatchNorm2D(3), minidl.Relu(), minidl.Dropout(0.3)),
        *(minidl.Sequential(minidl.BatchNorm2D(3, momentum=0.0), minidl.Flatten()), minidl.Dropout(0.3, rng=shared)),
        *(minidl.Linear(48, 3, rng=2), minidl.Dropout(0.1, rng=shared)),
    )
    step = Step(model, Breaks() if fault == "loss" else minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1, clip_norm=1))
    samples = prepare("training", (images, np.arange(8) % 3), model, step.loss)
    for _ in range(2):
        step.train(Batch(samples, np.arange(8)))
    if fault == "gradients":
        step.backward = lambda: model.parameters()[0].grad.fill(np.nan)
    if fault:
        with pytest.raises(FloatingPointError):
            step.train(Batch(samples, np.arange(5)))
    return model.state(), (default_generator().integers(2**60), shared.integers(2**60))


@pytest.mark.parametrize("fault", ["loss", "gradients"])
@pytest.mark.parametrize("backend", minidl.kernels.available())
def test_a_broken_step_has_not_moved_statistics_and_generators(backend, fault, rng):
    images = rng.standard_normal((8, 1, 6, 6)).astype(np.float32)
    with minidl.kernels.use(backend):
        (state, draws), (expected, same) = three_steps(images, fault), three_steps(images, "")
    assert draws == same
    assert {name for name in expected if "running" in name} == {
        f"{place}.running_{kind}" for place in ("1", "4.0") for kind in ("mean", "var")
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.usefixtures("plain_backend")
def test_a_fit_that_breaks_leaves_the_model_of_the_step_before(rng):
    """Looking for the layer that is to blame draws and moves nothing either."""

    def fit(loss, epochs, ends):
        minidl.seed(5)
        model = minidl.Model(
            minidl.Linear(3, 4, rng=1), minidl.BatchNorm1D(4), minidl.Dropout(0.2), minidl.Linear(4, 3, rng=2)
        )
        trainer = minidl.Trainer(model, loss, minidl.SGD(0.1))
        with ends:
            trainer.fit((x, y), epochs=epochs, batch_size=10, seed=0, verbose=False)
        return model.state(), default_generator().integers(2**60)

    x, y = rng.standard_normal((10, 3)).astype(np.float32), np.arange(10) % 3
    state, draw = fit(Breaks(), 5, pytest.raises(FloatingPointError, match="epoch 3, step 1"))
    expected, same = fit(minidl.SoftmaxCrossEntropyLoss(), 2, contextlib.nullcontext())
    assert draw == same
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array)


def test_batches_have_all_rows_once(data):
    samples = prepare("training", data, network(), minidl.SoftmaxCrossEntropyLoss())
    parts = list(batches(samples, 8))
    assert [len(part.rows) for part in parts] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate([part.images() for part in parts]), data[0])
    np.testing.assert_array_equal(np.concatenate([part.target() for part in parts]), data[1])
    assert parts[0].labels() is None
    rows = prepare("training", (data[0], np.eye(3)[data[1]]), network(), minidl.MSELoss())
    np.testing.assert_array_equal(next(batches(rows, 6)).labels(), data[1][:6])
