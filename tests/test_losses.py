"""Losses: values by hand, gradients by central differences, targets of every kind, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layers.numeric import central_differences

import minidl
from minidl.losses import Loss, MSELoss, SoftmaxCrossEntropyLoss

LOGITS = np.log(np.array([[1.0, 2.0, 1.0], [6.0, 1.0, 1.0]]))  # softmax: 1/4 1/2 1/4 and 3/4 1/8 1/8


@pytest.mark.usefixtures("any_backend")
class TestSoftmaxCrossEntropy:
    @pytest.mark.parametrize(
        "target",
        [
            [1, 2],
            np.array([1, 2], np.uint8),
            np.array([1, 2], np.int32),
            np.array([[0, 1, 0], [0, 0, 1]]),
            np.array([[0, 1, 0], [0, 0, 1]], bool),
            np.array([[0, 1, 0], [0, 0, 1]], np.float32),
            np.asfortranarray([[0.0, 1, 0], [0, 0, 1]]),
        ],
        ids=["list", "uint8", "int32", "onehot-int", "onehot-bool", "onehot-float32", "onehot-fortran"],
    )
    def test_values_by_hand(self, target: Any) -> None:
        loss = SoftmaxCrossEntropyLoss()
        assert loss.forward(LOGITS, target) == pytest.approx((np.log(2) + np.log(8)) / 2, rel=1e-12)
        assert loss.correct == 1
        expected = np.array([[1 / 4, -1 / 2, 1 / 4], [3 / 4, 1 / 8, -7 / 8]]) / 2
        np.testing.assert_allclose(loss.backward(), expected, rtol=1e-10)

    def test_label_smoothing_mixes_with_the_uniform_distribution(self) -> None:
        smooth = SoftmaxCrossEntropyLoss(label_smoothing=0.3)
        plain = SoftmaxCrossEntropyLoss()
        mixed = 0.7 * np.eye(3)[[1, 2]] + 0.1
        assert smooth.forward(LOGITS, [1, 2]) == pytest.approx(plain.forward(LOGITS, mixed), rel=1e-12)
        np.testing.assert_allclose(smooth.backward(), plain.backward(), rtol=1e-10)

    def test_gradient(self, rng: np.random.Generator) -> None:
        logits = rng.standard_normal((4, 5))
        for target in (rng.integers(0, 5, 4), rng.random((4, 5))):
            loss = SoftmaxCrossEntropyLoss(0.1)
            loss.forward(logits, target)
            analytic = loss.backward()
            numeric = central_differences(lambda t=target, f=loss: f.forward(logits, t), logits)  # type: ignore[misc]
            np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_dtype_and_large_logits(self, dtype: str) -> None:
        loss = SoftmaxCrossEntropyLoss()
        with np.errstate(over="raise"):
            value = loss.forward(np.array([[1e4, 0, -1e4]], dtype), [1])
        assert type(value) is float
        assert value == pytest.approx(1e4)
        assert loss.backward().dtype == dtype
        np.testing.assert_allclose(loss.backward(), [[1, -1, 0]], atol=1e-30)

    def test_a_fresh_classifier_starts_at_log_of_the_classes(self, rng: np.random.Generator) -> None:
        logits = 1e-3 * rng.standard_normal((500, 10))
        assert SoftmaxCrossEntropyLoss().forward(logits, rng.integers(0, 10, 500)) == pytest.approx(
            np.log(10), rel=1e-3
        )

    def test_empty_batch_and_nan(self) -> None:
        loss = SoftmaxCrossEntropyLoss()
        assert loss.forward(np.zeros((0, 3)), np.zeros(0, int)) == 0.0
        assert loss.backward().shape == (0, 3)
        assert loss.correct == 0
        assert np.isnan(loss.forward(np.array([[1.0, np.nan]]), [0]))
        assert loss.correct == 0


@pytest.mark.usefixtures("any_backend")
class TestMSE:
    def test_values_by_hand(self) -> None:
        loss = MSELoss()
        x = np.array([[1.0, 2.0], [0.0, -1.0]])
        assert loss.forward(x, [[0.0, 4.0], [0.0, 2.0]]) == pytest.approx((1 + 4 + 0 + 9) / 4)
        assert loss.correct is None
        np.testing.assert_allclose(loss.backward(), [[0.5, -1], [0, -1.5]])

    def test_labels_stand_for_one_hot_rows(self) -> None:
        x = np.array([[1.0, 2.0, 0.0]])
        assert MSELoss().forward(x, [1]) == MSELoss().forward(x, np.array([[0, 1, 0]]))
        with pytest.raises(ValueError, match=r"MSELoss: labels must lie in \[0, 3\), got 3"):
            MSELoss().forward(x, [3])

    def test_images_and_single_outputs(self, rng: np.random.Generator) -> None:
        x = rng.standard_normal((2, 3, 2, 2))
        assert MSELoss().forward(x, np.zeros_like(x)) == pytest.approx((x**2).sum() / 4)
        assert MSELoss().forward(np.array([[3.0]]), np.array([[1]])) == pytest.approx(2)

    def test_gradient(self, rng: np.random.Generator) -> None:
        x, target = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
        loss = MSELoss()
        loss.forward(x, target)
        analytic = loss.backward()
        numeric = central_differences(lambda: loss.forward(x, target), x)
        np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-9)


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


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropyLoss(), MSELoss()], ids=lambda loss: type(loss).__name__)
def test_backward_before_forward(loss: Loss) -> None:
    with pytest.raises(RuntimeError, match=f"{type(loss).__name__}: call forward before backward"):
        loss.backward()


X = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SoftmaxCrossEntropyLoss(1.0), ValueError, r"label_smoothing must be in \[0, 1\), got 1.0"),
        (lambda: SoftmaxCrossEntropyLoss("x"), TypeError, "label_smoothing must be a number"),  # type: ignore[arg-type]
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0, 3]), ValueError, r"labels must lie in \[0, 3\), got 3"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [-1, 0]), ValueError, r"labels must lie in \[0, 3\), got -1"),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X, [0.0, 1.0]),
            TypeError,
            "labels must be integers, got dtype float64",
        ),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, [0]), ValueError, r"target must have shape \(2,\) .*got \(1,\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X, np.ones((2, 4))), ValueError, r"target must have shape \(2, 3\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X[0], [0]), ValueError, r"logits must have 2 dimensions \(N, K\)"),
        (lambda: SoftmaxCrossEntropyLoss().forward(X[:, :0], [0, 0]), ValueError, "K at least 1"),
        (
            lambda: SoftmaxCrossEntropyLoss().forward(X.astype(int), [0, 0]),
            TypeError,
            "logits must be an array of float32",
        ),
        (lambda: MSELoss().forward(X, np.ones((2, 2))), ValueError, r"MSELoss: target must have shape \(2, 3\)"),
        (lambda: MSELoss().forward(X, [0.5, 0.5]), TypeError, "MSELoss: class labels must be integers"),
        (lambda: MSELoss().forward(X[:, :1], [0, 1]), ValueError, r"MSELoss: target must have shape \(2, 1\)"),
        (lambda: MSELoss().forward(X, X.astype(object)), TypeError, "MSELoss: target must be an array of float32"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


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


@pytest.mark.usefixtures("any_backend")
def test_bools_are_the_labels_0_and_1() -> None:
    for loss in (SoftmaxCrossEntropyLoss(), MSELoss(), minidl.MarginLoss()):
        expected = loss.forward(LOGITS, [1, 0])
        assert loss.forward(LOGITS, np.array([True, False])) == expected
