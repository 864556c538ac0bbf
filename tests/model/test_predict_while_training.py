"""Predictions in one thread while another one trains the same model: both are as if they were alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import kernels

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)


class Half(minidl.Layer):
    """A layer of one's own that remembers, with layers inside, one of them in a list."""

    _remembered = ("_x",)

    def __init__(self) -> None:
        super().__init__()
        self.parts = [minidl.Sequential(minidl.Conv2D(8, 8, 3, padding=1, rng=6), minidl.Relu())]
        self.last = minidl.Sigmoid()

    def _forward(self, x: Any, train: bool) -> Any:
        self._x = x
        return self.last.run(self.parts[0].run(self._x, train), train)

    def _backward(self, dy: Any) -> Any:
        if self._x is None:
            raise self._unready()
        return self.parts[0]._backward(self.last._backward(dy))


class Swish(minidl.Layer):
    """A layer of one's own on numpy arrays."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    def gradient(self, dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        s = 1 / (1 + np.exp(-x))
        return dy * (s + y * (1 - s))


def network() -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 8, 3, padding=1, rng=1), minidl.BatchNorm2D(8), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(
            minidl.Sequential(minidl.Conv2D(8, 8, 3, padding=1, rng=2), minidl.GroupNorm(2, 8), Swish()),
            minidl.Conv2D(8, 8, 1, rng=3),
        ),
        Half(), minidl.AvgPool2D(2), minidl.Dropout(0.2, rng=4), minidl.Flatten(), minidl.Linear(8 * 9, 16, rng=5),
        minidl.Tanh(), minidl.Linear(16, 4, rng=7),
    )  # fmt: skip


def capsules() -> minidl.Model:
    return minidl.CapsuleNetwork(
        minidl.Conv2D(1, 4, 5, rng=0), minidl.Relu(), minidl.PrimaryCapsules(4), minidl.Capsules(64, 4, 4, 3, rng=2),
        decoder=minidl.Sequential(minidl.Linear(12, 144, rng=3), minidl.Sigmoid()),
    )  # fmt: skip


def run(
    make: Callable[[], minidl.Model], meanwhile: Callable[[minidl.Model, minidl.Trainer], None] | None
) -> tuple[minidl.Model, list[float], int]:
    """The model and its losses after a training, and how often `meanwhile` ran beside it."""
    rng = np.random.default_rng(3)
    x, y = rng.random((120, 1, 12, 12), np.float32), rng.integers(0, 4, 120)
    model = make()
    loss: Any = minidl.CapsuleLoss(model) if isinstance(model, minidl.CapsuleNetwork) else None
    trainer = minidl.Trainer(model, loss or minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.05, 0.9))
    over, count, faults = threading.Event(), [0], []

    def others() -> None:
        try:
            while not over.is_set():
                meanwhile(model, trainer)  # type: ignore[misc]
                count[0] += 1
        except BaseException as error:  # shown by the main thread
            faults.append(error)

    thread = threading.Thread(target=others)
    if meanwhile is not None:
        thread.start()
    try:
        history = trainer.fit((x, y), (x[:50], y[:50]), epochs=6, batch_size=17, seed=1, verbose=False)
    finally:
        over.set()
        if meanwhile is not None:
            thread.join()
    assert not faults, faults
    return model, history["val_loss"] + history.step_loss, count[0]


def predictions(model: minidl.Model, trainer: minidl.Trainer) -> None:
    rng = np.random.default_rng(5)
    for n in (1, 2, 17, 40):
        for images in (rng.random((n, 1, 12, 12), np.float32), rng.integers(0, 256, (n, 1, 12, 12)).astype(np.uint8)):
            scores = model.predict(images)
            assert scores.shape == (n, 4)
            assert np.isfinite(scores).all()
            assert np.abs(scores).max() < 100
    assert len(model.activations(rng.random((3, 1, 12, 12), np.float32))) >= 5
    found = trainer.evaluate((rng.random((30, 1, 12, 12), np.float32), rng.integers(0, 4, 30)), batch_size=13)
    assert 0 < found["loss"] < 20
    assert found["accuracy"] <= 1
    if isinstance(model, minidl.CapsuleNetwork):
        assert model.reconstruct(rng.random((3, 1, 12, 12), np.float32)).shape == (3, 1, 12, 12)


@pytest.mark.parametrize("backend", ["native", "im2col"])
@pytest.mark.parametrize("make", [network, capsules])
def test_the_training_ends_in_the_same_bits(backend: str, make: Callable[[], minidl.Model]) -> None:
    before = minidl.get_num_threads()
    minidl.set_num_threads(2)
    try:
        with kernels.use(backend):
            alone, losses, _ = run(make, None)
            beside, same_losses, count = run(make, predictions)
            assert count > 0
            assert same_losses == losses
            for name, array in alone.state().items():
                assert array.tobytes() == beside.state()[name].tobytes(), name
            x = np.random.default_rng(9).random((5, 1, 12, 12), np.float32)
            assert alone.predict(x).tobytes() == beside.predict(x).tobytes()
    finally:
        minidl.set_num_threads(before)


def test_predictions_beside_each_other_are_those_of_one_thread() -> None:
    with kernels.use("native"):
        model = network()
        rng = np.random.default_rng(5)
        batches = [rng.random((n, 1, 12, 12), np.float32) for n in (1, 40, 3, 17)]
        alone = [model.predict(x).tobytes() for x in batches]
        model = network()  # nothing is planned yet
        found: list[list[bytes]] = [[] for _ in batches]
        start = threading.Barrier(len(batches))

        def work(i: int) -> None:
            start.wait()
            found[i] += [model.predict(batches[i]).tobytes() for _ in range(30)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, scores in enumerate(alone):
            assert found[i] == [scores] * 30


def test_a_twin_remembers_for_itself_and_shares_what_is_learnt(any_backend: Any) -> None:
    model = network()
    twin = model.twin()
    x = np.random.default_rng(9).random((5, 1, 12, 12), np.float32)
    y = model.forward(x, train=True)
    with pytest.raises(RuntimeError, match="call forward before backward"):
        twin.run_backward(kernels.current().enter(y))
    twin.forward(x[:2])
    dx = model.backward(y)
    other = network()
    other.forward(x, train=True)
    assert other.backward(y).tobytes() == dx.tobytes()
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        assert one is two
    model.parameters()[0].data += 1
    assert twin.predict(x).tobytes() == model.predict(x).tobytes()
