"""Losses of numbers: values by hand, gradients, targets, messages."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pytest
from layers.numeric import central_differences

import minidl
from minidl.losses import HuberLoss, L1Loss, Loss, MSELoss

X = np.zeros((2, 3))
PREDICTED, WANTED = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[0.0, 4.0], [0.0, 2.0]])  # 1, -2, 0, -3 apart


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


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize(
    ("loss", "value", "gradient", "weighted"),
    [
        (MSELoss(), 14 / 4, [[0.5, -1], [0, -1.5]], (3 * 5 / 2 + 9 / 2) / 4),
        (MSELoss("mean"), 14 / 4, [[0.5, -1], [0, -1.5]], (3 * 5 / 2 + 9 / 2) / 4),
        (L1Loss(), 6 / 4, [[0.25, -0.25], [0, -0.25]], (3 * 3 / 2 + 3 / 2) / 4),
        (HuberLoss(2.0), (0.5 + 2 + 4) / 4, [[0.25, -0.5], [0, -0.5]], (3 * 2.5 / 2 + 4 / 2) / 4),
    ],
    ids=repr,
)
def test_values_by_hand(loss: Loss, value: float, gradient: Any, weighted: float) -> None:
    """Two values a row, for which half the sum and the mean of squares agree; weights 3 and 1."""
    loss = copy(loss)  # which remembers its last forward, and is one object for all backends and threads
    assert loss.forward(PREDICTED, WANTED) == pytest.approx(value)
    assert loss.correct is None
    np.testing.assert_allclose(loss.backward(), gradient)
    assert loss.forward(PREDICTED, WANTED, [3, 1]) == pytest.approx(weighted)
    assert minidl.gradcheck(loss, PREDICTED + 0.1, WANTED)


def test_half_the_sum_and_the_mean(rng: np.random.Generator) -> None:
    """PyTorch's MSELoss() is 2/F of the article's half sum of F values."""
    x, t = rng.standard_normal((7, 5)), rng.standard_normal((7, 5))
    half, mean = MSELoss(), MSELoss(reduction="mean")
    assert half.forward(x, t) == pytest.approx(np.sum((x - t) ** 2) / 14)
    assert mean.forward(x, t) == pytest.approx(np.mean((x - t) ** 2))
    np.testing.assert_allclose(mean.backward(), 2 / 5 * half.backward())
    assert (repr(half), repr(mean)) == ("MSELoss()", "MSELoss('mean')")
    assert repr(HuberLoss(0.5)) == "HuberLoss(0.5)"


def test_outliers_pull_less_on_huber_and_l1() -> None:
    x = np.arange(10.0)[:, None].astype(np.float32) / 10
    y = 2 * x
    y[9] = 30
    found = {}
    for loss in (MSELoss(), HuberLoss(0.1), L1Loss()):
        model = minidl.Model(minidl.Linear(1, 1, bias=False, rng=0))
        minidl.Trainer(model, loss, minidl.SGD(0.1)).fit((x, y), epochs=400, batch_size=10, seed=0, verbose=False)
        found[type(loss).__name__] = float(model.parameters()[0].data[0, 0])
    assert found["MSELoss"] == pytest.approx(float((x * y).sum() / (x * x).sum()), rel=1e-3)
    assert found["HuberLoss"] < 2.5
    assert found["L1Loss"] < 2.2


@pytest.mark.parametrize("kind", [MSELoss, L1Loss, HuberLoss])
def test_targets(kind: Any) -> None:
    name = kind.__name__
    with pytest.raises(ValueError, match=rf"{name}: target must have shape \(2, 3\)"):
        kind().forward(X, np.ones((2, 2)))
    with pytest.raises(TypeError, match=f"{name}: class labels must be integers"):
        kind().forward(X, [0.5, 0.5])
    with pytest.raises(ValueError, match=rf"{name}: target must have shape \(2, 1\) .*y.reshape\(-1, 1\)"):
        kind().forward(X[:, :1], [0, 1])
    with pytest.raises(TypeError, match=f"{name}: target must be an array of float32"):
        kind().forward(X, X.astype(object))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="MSELoss: reduction must be 'half' or 'mean', got 'sum'"):
        MSELoss("sum")
    with pytest.raises(ValueError, match="HuberLoss: delta must be positive, got 0"):
        HuberLoss(0)
    with pytest.raises(TypeError, match="HuberLoss: delta must be a number, got 'x'"):
        HuberLoss("x")  # type: ignore[arg-type]
