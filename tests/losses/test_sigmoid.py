"""Sigmoid cross-entropy: values by hand, targets of every kind, a training, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.losses import SigmoidCrossEntropyLoss

X = np.log([[3.0, 1 / 3], [1, 3]])  # sigmoid: 3/4 1/4 and 1/2 3/4
T = np.array([[1.0, 0], [0.5, 1]])
X32 = X.astype(np.float32)


@pytest.mark.usefixtures("any_backend")
class TestSigmoidCrossEntropy:
    def test_values_by_hand(self) -> None:
        loss = SigmoidCrossEntropyLoss()
        assert loss.forward(X, T) == pytest.approx((3 * np.log(4 / 3) + np.log(2)) / 4, rel=1e-12)
        np.testing.assert_allclose(loss.backward(), np.array([[-0.25, 0.25], [0, -0.25]]) / 4, rtol=1e-10, atol=1e-17)
        assert loss.correct == 1.5  # three decisions out of four, two a row

    def test_weights(self) -> None:
        loss = SigmoidCrossEntropyLoss(pos_weight=[1, 2])
        expected = (3 * 2 * np.log(4 / 3) + 1 * (np.log(2) + 2 * np.log(4 / 3))) / 2 / 4
        assert loss.forward(X, T, [3, 1]) == pytest.approx(expected, rel=1e-12)
        assert loss.correct == (3 * 2 + 1) / 2
        assert SigmoidCrossEntropyLoss(2).forward(X[:, 1:], T[:, 1:]) == pytest.approx(1.5 * np.log(4 / 3))
        assert minidl.gradcheck(loss, X, T)

    @pytest.mark.parametrize("target", [[1, 0], [True, False], [1.0, 0.0], [[1], [0]], np.array([1, 0], np.uint8)])
    def test_labels_for_one_output(self, target: Any) -> None:
        loss = SigmoidCrossEntropyLoss()
        assert loss.forward(X[:, :1], target) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2, rel=1e-12)
        assert loss.correct == 2

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_dtype_and_large_logits(self, dtype: str) -> None:
        loss = SigmoidCrossEntropyLoss()
        with np.errstate(over="raise"):
            assert loss.forward(np.array([[1e4, -1e4]], dtype), [[0, 0]]) == pytest.approx(5e3)
        assert loss.backward().dtype == dtype


def test_two_classes_by_one_output_and_by_two(rng: np.random.Generator) -> None:
    """softmax(x, 0) is sigmoid(x): the same values, the same accuracy."""
    x, y = rng.standard_normal((50, 1)), rng.integers(0, 2, 50)
    one, two = SigmoidCrossEntropyLoss(), minidl.SoftmaxCrossEntropyLoss()
    assert one.forward(x, y) == pytest.approx(two.forward(np.hstack([np.zeros_like(x), x]), y), rel=1e-12)
    assert one.correct == two.correct
    np.testing.assert_allclose(one.backward()[:, 0], two.backward()[:, 1], rtol=1e-10)


def test_a_training_on_several_labels(rng: np.random.Generator) -> None:
    x = rng.standard_normal((200, 4)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0, x[:, 3] < 0], axis=1)
    trainer = minidl.Trainer(minidl.Model(minidl.Linear(4, 3, rng=0)), SigmoidCrossEntropyLoss(), minidl.SGD(5.0))
    history = trainer.fit((x, y), (x, y), epochs=30, batch_size=50, seed=0, verbose=False)
    assert history["val_accuracy"][-1] > 0.97
    scores = trainer.model.predict(x)
    assert trainer.evaluate((x, y))["accuracy"] == pytest.approx(np.mean((scores > 0) == y), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SigmoidCrossEntropyLoss(-1), ValueError, "pos_weight must be at least 0, got -1"),
        (lambda: SigmoidCrossEntropyLoss("a"), TypeError, "pos_weight must be a number, got 'a'"),
        (lambda: SigmoidCrossEntropyLoss([1, np.nan]), ValueError, "pos_weight must be finite"),
        (lambda: SigmoidCrossEntropyLoss([1, 1e60]).forward(X32, T > 0), ValueError, "float32, got 1e.60 in column 1"),
        (
            lambda: SigmoidCrossEntropyLoss(1e-60).forward(X32, T > 0),
            ValueError,
            "pos_weight must fit into float32, got",
        ),
        (lambda: SigmoidCrossEntropyLoss([[1]]), TypeError, "pos_weight must have one number a class"),
        (lambda: SigmoidCrossEntropyLoss([1]).forward(X, T), ValueError, r"pos_weight must have shape \(2,\)"),
        (
            lambda: SigmoidCrossEntropyLoss().forward(X, [0, 1]),
            ValueError,
            r"target must have shape \(2, 2\) \(a number",
        ),
        (lambda: SigmoidCrossEntropyLoss().forward(X[0], [0, 1]), ValueError, "logits must have 2 dimensions"),
        (lambda: SigmoidCrossEntropyLoss().forward(X, 2 * T), ValueError, r"lie in \[0, 1\], got 2 in row 0"),
        (lambda: SigmoidCrossEntropyLoss().forward(X, T - np.nan), ValueError, r"lie in \[0, 1\], got nan in row 0"),
        (
            lambda: SigmoidCrossEntropyLoss().forward(X[:, :1], ["a", "b"]),
            TypeError,
            "target must be an array of float",
        ),
        (lambda: SigmoidCrossEntropyLoss().forward(X, T, [1]), ValueError, r"weight must have shape \(2,\)"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"SigmoidCrossEntropyLoss: .*{message}"):
        make()
