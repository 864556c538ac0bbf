"""Sample weights: sum(w l) / sum(w) in losses, accuracies and metrics, and losses that take none."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.losses import Loss

pytestmark = pytest.mark.usefixtures("plain_backend")


class Weighted(Loss):
    """Half the squared error of single numbers; right is what is less than 1 away."""

    def prepare(self, target, shape, dtype):
        return np.asarray(target, dtype).reshape(-1, 1)

    def run(self, logits, target, weight=None):
        w = np.ones(len(target)) if weight is None else weight
        mass = w.sum() or 1.0
        difference = logits - target
        right = np.abs(difference[:, 0]) < 1
        self.correct = float((w * right).sum())
        self.dlogits = (w[:, None] * difference / mass).astype(logits.dtype)
        return float((w * difference[:, 0] ** 2 / 2).sum() / mass)


@pytest.fixture
def data(rng):
    x = rng.standard_normal((30, 2))
    return x, x.sum(axis=1) + 0.1 * rng.standard_normal(30), rng.integers(0, 4, 30).astype(float)


def trainer(loss=None, metrics=None):
    model = minidl.Model(minidl.Linear(2, 1, rng=1), dtype="float64")
    return minidl.Trainer(model, loss or Weighted(), minidl.SGD(0.1), metrics=metrics)


def fit(run, data, **arguments):
    return run.fit(data, **{"batch_size": 8, "seed": 0, "verbose": False, **arguments})


def test_a_weighted_training_is_that_of_repeated_rows(data):
    x, y, w = data
    whole = np.repeat(np.arange(30), w.astype(int))
    weighted, repeated = trainer(), trainer()
    first = fit(weighted, (x, y, w), epochs=3, batch_size=30, validation=(x, y, w))
    second = fit(repeated, (x[whole], y[whole]), epochs=3, batch_size=len(whole), validation=(x[whole], y[whole]))
    for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(first[key], second[key], rtol=1e-12)
    for p, q in zip(weighted.model.parameters(), repeated.model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)


def test_epochs_are_weighted_means_over_their_batches(data):
    x, y, w = data
    run = trainer()
    history = fit(run, (x, y), sample_weight=w)
    order = np.random.default_rng(0).permutation(30)
    masses = [w[order[i : i + 8]].sum() for i in range(0, 30, 8)]
    assert history["train_loss"][0] == pytest.approx(np.average(history.step_loss, weights=masses))
    scores = run.model.predict(x)[:, 0]
    found = run.evaluate((x, y, w), batch_size=7)
    assert found["loss"] == pytest.approx(np.average((scores - y) ** 2 / 2, weights=w))
    assert found["accuracy"] == pytest.approx(np.average(np.abs(scores - y) < 1, weights=w))


def test_all_ways_to_give_weights_are_one(data):
    x, y, w = data
    runs = [trainer() for _ in range(3)]
    fit(runs[0], (x, y), sample_weight=w)
    fit(runs[1], (x, y, w.astype(np.int8)))
    order = np.random.default_rng(0).permutation(30)
    fit(runs[2], [(x[part], y[part], w[part]) for part in np.split(order, [8, 16, 24])])
    for run in runs[1:]:
        np.testing.assert_array_equal(run.model.parameters()[0].data, runs[0].model.parameters()[0].data)
        assert run.history["train_loss"] == pytest.approx(runs[0].history["train_loss"])


def test_weights_of_one_change_nothing(data):
    x, y, _ = data
    plain, ones = trainer(), trainer()
    fit(plain, (x, y), epochs=2)
    fit(ones, (x, y, np.ones(30)), epochs=2)
    np.testing.assert_allclose(ones.model.parameters()[0].data, plain.model.parameters()[0].data, rtol=1e-14)
    np.testing.assert_allclose(ones.history["train_loss"], plain.history["train_loss"], rtol=1e-14)


def test_metrics_that_know_weights_get_them(data):
    x, y, w = data
    metrics = {"mae": minidl.metrics.MeanAbsoluteError(), "plain": lambda s, t: np.abs(s - t).mean()}
    run = trainer(metrics=metrics)
    scores = run.model.predict(x)
    found = run.evaluate((x, y[:, None], w))
    error = np.abs(scores - y[:, None])
    assert found["mae"] == pytest.approx(np.average(error[:, 0], weights=w))
    assert found["plain"] == pytest.approx(error.mean())
    assert run.evaluate((x, y[:, None]))["mae"] == pytest.approx(error.mean())


def test_a_loss_that_counts_no_answers_has_a_weighted_accuracy(rng):
    class Rows(minidl.MSELoss):
        def run(self, logits, target, weight=None):
            return super().run(logits, target)

    x, y, w = rng.standard_normal((20, 3)), rng.integers(0, 3, 20), rng.random(20)
    model = minidl.Model(minidl.Linear(3, 3, rng=1))
    run = minidl.Trainer(model, Rows(), minidl.SGD())
    right = model.predict(x.astype(np.float32)).argmax(axis=1) == y
    assert run.evaluate((x.astype(np.float32), y, w))["accuracy"] == pytest.approx(np.average(right, weights=w))


def test_a_batch_without_weight_says_nothing(data):
    x, y, _ = data
    w = np.ones(30)
    order = np.random.default_rng(0).permutation(30)
    w[order[8:16]] = 0
    history = fit(trainer(), (x, y, w))
    assert history.step_loss[1] == 0
    others = [history.step_loss[i] for i in (0, 2, 3)]
    assert history["train_loss"][0] == pytest.approx(np.average(others, weights=[8, 8, 6]))


def test_a_resumed_run_has_the_same_weights(data, tmp_path):
    x, y, w = data
    whole, run = trainer(), trainer()
    fit(whole, (x, y, w), epochs=2)
    fit(run, (x, y, w), callbacks=minidl.Checkpoint(tmp_path / "f"))
    with pytest.raises(ValueError, match="training data must be those of the run to resume"):
        fit(run, (x, y, w + 1), epochs=2, resume=True)
    again = trainer()
    fit(again, (x, y, w), epochs=2, resume=tmp_path / "f")
    np.testing.assert_array_equal(again.model.parameters()[0].data, whole.model.parameters()[0].data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w[:-1], ValueError, r"weights of training data must have shape \(30,\) \(one a row\), got \(29,\)"),
        (lambda w: w[:, None], ValueError, r"\(30,\) \(one a row; a column: .ravel\(\)\), got \(30, 1\)"),
        (lambda w: w - 1, ValueError, r"must be finite and at least 0, got -1\.0 in row"),
        (lambda w: w * np.nan, ValueError, "must be finite and at least 0, got nan in row 0"),
        (lambda w: ["a"] * 30, TypeError, "weights of training data must be numbers"),
        (lambda w: w * 0, ValueError, "at least one of the weights of training data must be positive"),
    ],
)
def test_weights_that_are_none(data, change, error, message):
    x, y, w = data
    run = trainer()
    with pytest.raises(error, match=message):
        fit(run, (x, y), sample_weight=change(w))
    assert run.history.epochs == 0


def test_what_takes_no_weights_is_named(data):
    x, y, w = data

    class Plain(Weighted):
        def run(self, logits, target):
            return super().run(logits, target)

    with pytest.raises(TypeError, match="the loss Plain takes no sample weights: its run"):
        fit(trainer(Plain()), (x, y, w))
    with pytest.raises(ValueError, match=r"sample_weight must be None for training data that are \(x, y, weight\)"):
        fit(trainer(), (x, y, w), sample_weight=w)
    with pytest.raises(ValueError, match="sample_weight must be None for data in batches"):
        fit(trainer(), [(x, y)], sample_weight=w)


def test_batches_with_and_without_weights_share_their_metrics(data):
    """An image of a batch without weights counts as one, in either order."""
    x, y, w = data
    run = trainer(metrics={"mae": minidl.metrics.MeanAbsoluteError()})
    whole = np.concatenate([w[:12], np.ones(18)])
    errors = np.abs(run.model.predict(x)[:, 0] - y)
    wanted = (whole * errors).sum() / whole.sum()
    y = y.reshape(-1, 1)
    parts = [(x[:12], y[:12], w[:12]), (x[12:], y[12:])]
    alone = run.evaluate((x, y, whole))
    for batches in (parts, parts[::-1]):
        found = run.evaluate(batches)
        assert found["mae"] == pytest.approx(wanted, rel=1e-12)
        assert found == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(("value", "becomes"), [(1e60, "inf"), (1e-60, "0.0")])
def test_weights_that_single_precision_cannot_hold_are_named_by_their_row(data, value, becomes):
    x, y, w = data
    w[7], w[9] = value, 0.0
    assert fit(trainer(), (x, y, w)).epochs == 1  # in double precision
    single = minidl.Trainer(minidl.Model(minidl.Linear(2, 1, rng=1)), minidl.MSELoss(), minidl.SGD(0.1))
    rule = f"must fit into float32, got {value} in row 7, which becomes {becomes}".replace("+", ".")
    for batches in (False, True):
        with pytest.raises(ValueError, match=rule):
            fit(single, [(x, y[:, None], w)] if batches else (x, y[:, None], w))
