"""What all losses share: the backend's arrays, weights of rows, losses of one's own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.losses import (
    HuberLoss,
    L1Loss,
    Loss,
    MarginLoss,
    MSELoss,
    SigmoidCrossEntropyLoss,
    SoftmaxCrossEntropyLoss,
)

LOGITS = np.log(np.array([[1.0, 2.0, 1.0], [6.0, 1.0, 1.0]]))  # softmax: 1/4 1/2 1/4 and 3/4 1/8 1/8


def test_run_works_on_the_backends_arrays(any_backend: Any) -> None:
    logits = LOGITS.astype(np.float32)
    for loss, target in ((SoftmaxCrossEntropyLoss(), [1, 2]), (MSELoss(), np.ones((2, 3)))):
        value = loss.forward(logits, target)
        gradient, correct = loss.backward(), loss.correct
        prepared = loss.prepare(target, (2, 3), np.float32)
        assert loss.run(any_backend.enter(logits), prepared) == value
        np.testing.assert_array_equal(any_backend.leave(loss.dlogits), gradient)
        assert loss.correct == correct


def test_targets_of_a_data_set_are_prepared_once() -> None:
    labels = SoftmaxCrossEntropyLoss().prepare(np.array([3, 0, 9], np.uint8), (3, 10), np.float32)
    assert (labels.dtype, labels.tolist()) == (np.intp, [3, 0, 9])
    rows = MSELoss().prepare(np.array([1, 0], np.uint8), (2, 2), np.float32)
    assert (rows.dtype, rows.tolist()) == (np.float32, [[0, 1], [1, 0]])


ALL = [
    SoftmaxCrossEntropyLoss(),
    SoftmaxCrossEntropyLoss(0.1, [1, 2, 3]),
    SigmoidCrossEntropyLoss([1, 2, 3]),
    MSELoss(),
    MSELoss("mean"),
    L1Loss(),
    HuberLoss(0.5),
    MarginLoss(),
]


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_weights_of_rows(loss: Loss, any_backend: Any, rng: np.random.Generator) -> None:
    """sum w l / sum w of the losses of single rows, and of their gradients."""
    x, y, w = rng.uniform(0, 1, (6, 3)), np.eye(3)[rng.integers(0, 3, 6)], np.array([1, 0, 2, 0.5, 1, 3])
    value = loss.forward(x, y, w)
    gradient, correct = loss.backward(), loss.correct
    losses, gradients, right = [], [], []
    for n in range(6):
        losses.append(loss.forward(x[n : n + 1], y[n : n + 1]))
        gradients.append(loss.backward()[0])
        right.append(loss.correct)
    assert value == pytest.approx(np.average(losses, weights=w), rel=1e-12)
    np.testing.assert_allclose(gradient, np.array(gradients) * w[:, None] / w.sum(), rtol=1e-12, atol=1e-15)
    assert correct == (None if right[0] is None else pytest.approx(float(np.dot(w, right)), rel=1e-12))
    assert loss.forward(x, y, 0 * w) == 0
    assert not loss.backward().any()
    assert loss.forward(x.astype(np.float32), y, w.tolist()) == pytest.approx(value, rel=1e-5)
    assert loss.backward().dtype == np.float32
    assert repr(copy.deepcopy(loss)) == repr(loss)


@pytest.mark.parametrize("kind", [SoftmaxCrossEntropyLoss, SigmoidCrossEntropyLoss, MSELoss, L1Loss, HuberLoss])
def test_backward_before_forward(kind: Any) -> None:
    loss = kind()
    with pytest.raises(RuntimeError, match=f"{type(loss).__name__}: call forward before backward"):
        loss.backward()


@pytest.mark.usefixtures("any_backend")
class TestOwnLosses:
    """A loss of one's own, by a formula on numpy arrays."""

    class L1Loss(Loss):
        def __init__(self, scale: float = 1.0) -> None:
            super().__init__()
            self.scale = scale

        def compute(self, predictions: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
            difference = predictions - target
            return self.scale * np.abs(difference).sum() / len(target), self.scale * np.sign(difference) / len(target)

    def test_it_computes_and_is_checked(self, rng: np.random.Generator) -> None:
        loss = self.L1Loss(2.0)
        value = loss.forward(np.array([[1.0, 2.0], [3.0, -4.0]], np.float32), [[0, 2], [5, -3]])
        assert type(value) is float
        assert value == 2 * (1 + 0 + 2 + 1) / 2
        np.testing.assert_array_equal(loss.backward(), [[1, 0], [-1, -1]])
        assert loss.backward().dtype == np.float32
        assert repr(loss) == "L1Loss(2)"
        assert minidl.gradcheck(loss, rng.standard_normal((4, 3)), rng.standard_normal((4, 3)))

    def test_it_trains(self, rng: np.random.Generator) -> None:
        x = rng.random((60, 3), np.float32)
        y = x @ np.array([[1.0], [-2.0], [3.0]], np.float32)
        layer = minidl.Linear(3, 1, bias=False, rng=0)
        weight, values = layer.weight.data.astype("float64"), []
        for _ in range(20):
            difference = x @ weight.T - y
            values.append(np.abs(difference).mean())
            weight -= 0.5 * (np.sign(difference) * x).mean(axis=0)
        trainer = minidl.Trainer(minidl.Model(layer), self.L1Loss(), minidl.SGD(0.5))
        history = trainer.fit((x, y), epochs=20, batch_size=60, seed=0, verbose=False)
        np.testing.assert_allclose(history["train_loss"], values, rtol=1e-4)
        np.testing.assert_allclose(layer.weight.data, weight, rtol=1e-4)

    def test_weights_of_rows(self, rng: np.random.Generator) -> None:
        x, t, w = rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), np.array([1, 0, 2, 0.5, 1, 3])
        loss = self.L1Loss(3.0)
        rows = 3 * np.abs(x - t).sum(axis=1)
        assert loss.forward(x, t, w) == pytest.approx(np.average(rows, weights=w))
        np.testing.assert_allclose(loss.backward(), 3 * np.sign(x - t) * w[:, None] / w.sum(), rtol=1e-12)
        assert loss.forward(x, t, 0 * w) == 0
        assert not loss.backward().any()

    def test_a_compute_that_takes_weights_is_asked_once(self) -> None:
        asked = []

        class Weighted(Loss):
            def compute(self, x: np.ndarray, t: np.ndarray, weight: Any = None) -> tuple[float, np.ndarray]:
                asked.append(weight)
                return 2.0, np.ones_like(x)

        loss = Weighted()
        assert loss.forward(np.ones((2, 3)), np.ones((2, 3))) == 2
        assert loss.forward(np.ones((2, 3)), np.ones((2, 3)), [1, 2]) == 2
        assert asked[0] is None
        assert asked[1].tolist() == [1, 2]

    def test_what_is_no_mean_over_rows_cannot_be_weighted(self) -> None:
        class Spread(Loss):
            def compute(self, x: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
                return float(np.var(x - t)), 2 * (x - t - np.mean(x - t)) / x.size

        x = np.array([[1.0], [3.0]])
        assert Spread().forward(x, 0 * x) == 1
        with pytest.raises(ValueError, match=r"Spread: only a mean over rows can be weighted, got 1 .* and 0 of its"):
            Spread().forward(x, 0 * x, [1, 2])

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"L1Loss: target must have shape \(2, 3\).*got \(2,\)"):
            self.L1Loss().forward(np.ones((2, 3)), [1, 2])
        with pytest.raises(NotImplementedError, match="Loss must define compute, or run"):
            Loss().forward(np.ones((2, 3)), np.ones((2, 3)))

        class Flat(Loss):
            def compute(self, predictions: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
                return 0.0, np.ones(len(target))

        with pytest.raises(ValueError, match=r"Flat: the gradient must have shape \(2, 3\) .*got \(2,\)"):
            Flat().forward(np.ones((2, 3)), np.ones((2, 3)))
