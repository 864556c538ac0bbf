"""class_weight="balanced": known from the training labels, the same for validation, also after copies and resumes."""

from __future__ import annotations

import copy
import json
import warnings

import numpy as np
import pytest

import minidl
from minidl.training.position import Position

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    """Two overlapping classes, 1900 of one and 100 of the other, in random order."""
    y = rng.permutation(np.repeat([0, 1], [1900, 100]))
    return rng.standard_normal((2000, 2)) + 1.5 * y[:, None], y


def trainer(class_weight):
    model = minidl.Model(minidl.Linear(2, 2, rng=0), dtype="float64")
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(class_weight=class_weight), minidl.SGD(0.5))


def fit(run, data, validation=None, epochs=30):
    return run.fit(data, validation, epochs=epochs, batch_size=2000, seed=0, verbose=False)


def test_balanced_is_learnt_from_the_training_labels_alone(data):
    x, y = data
    judged = x[y == 1][:70], y[y == 1][:70]  # of other shares
    balanced, given = trainer("balanced"), trainer([2000 / (2 * 1900), 2000 / (2 * 100)])
    first, second = fit(balanced, data, judged), fit(given, data, judged)
    for key in ("train_loss", "val_loss"):
        np.testing.assert_allclose(first[key], second[key], rtol=1e-12)
    assert balanced.evaluate(judged)["loss"] == pytest.approx(given.evaluate(judged)["loss"], rel=1e-12)
    assert copy.deepcopy(balanced).evaluate(judged) == balanced.evaluate(judged)
    some = np.flatnonzero((y == 1) | (np.cumsum(y == 0) <= 300))
    fit(balanced, (x[some], y[some]), epochs=1)
    np.testing.assert_allclose(balanced.loss.factors, [400 / 600, 400 / 200])


def test_the_rare_class_is_seen(data):
    """The classes' centres are 2.12 apart: the middle between them leaves Phi(1.06) = 86 % of each on its side."""
    x, y = data
    found = {}
    for weight in (None, "balanced"):
        run = trainer(weight)
        fit(run, data, epochs=60)
        found[weight] = np.mean(run.model.predict(x)[y == 1].argmax(axis=1))
    assert found[None] < 0.6
    assert found["balanced"] == pytest.approx(0.86, abs=0.1)


def test_without_training_labels_there_is_no_balance(data):
    with pytest.raises(RuntimeError, match="'balanced' is known from training labels"):
        trainer("balanced").evaluate(data)
    with pytest.raises(ValueError, match="must have a training label of each of 2 classes, got none of class 1"):
        fit(trainer("balanced"), (data[0], 0 * data[1]))


def test_checks_before_a_training_know_it(data):
    run = trainer("balanced")
    assert np.isfinite(minidl.find_lr(run, data, steps=5).losses).all()
    x, y = data[0], np.where(np.arange(2000) == 7, 2, data[1])  # a few images will not have all three classes
    model, loss = minidl.Model(minidl.Linear(2, 3)), minidl.SoftmaxCrossEntropyLoss(class_weight="balanced")
    report = minidl.sanity_check(model, loss, (x.astype(np.float32), y), epochs=2)
    assert np.isfinite(report.first_loss)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "shares"])
def test_the_loss_does_not_depend_on_the_batch_size(rng, kind, weighted):
    """Labels: sum w c[y] l / sum w c[y]; rows of probabilities: sum w l / sum w (as PyTorch's cross_entropy)."""
    x, y, c = rng.standard_normal((60, 2)), np.arange(60) // 45, np.array([1.0, 9.0])
    t = np.eye(2)[y] if kind == "labels" else rng.dirichlet([1, 1], 60)
    w = rng.integers(0, 4, 60).astype(float) if weighted else np.ones(60)
    run = trainer(c)
    scores = run.model.predict(x)
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    divisor = (w * c[y]).sum() if kind == "labels" else w.sum()
    wanted = -(w[:, None] * c * t * log_softmax).sum() / divisor
    right = (w * (scores.argmax(axis=1) == t.argmax(axis=1))).sum() / w.sum()
    data = (x, y if kind == "labels" else t, *([w] if weighted else []))
    for size in (1, 7, 25, 60):
        found = run.evaluate(data, batch_size=size)
        assert found["loss"] == pytest.approx(wanted, rel=1e-6)
        if kind == "labels":
            assert found["accuracy"] == pytest.approx(right, rel=1e-12)
        still = minidl.Trainer(run.model, run.loss, minidl.SGD(1e-12))
        history = still.fit(data, batch_size=size, seed=0, verbose=False)
        assert history["train_loss"][0] == pytest.approx(wanted, rel=1e-6)
        if kind == "labels":
            assert history["train_accuracy"][0] == pytest.approx(right, rel=1e-12)


def test_an_epoch_resumed_within_keeps_the_mass_of_its_loss():
    run = Position(8, 4, 1, 0, 0)
    run.order()
    run.add(4, 0.5, 3, 4, 12.0)
    values = run.to_json()
    again = Position.from_json(values)
    again.add(4, 2.0, 1, 4, 4.0)
    assert again.means == (14 / 16, 4 / 8)
    del values["mass"]  # older files have none, and a total by the weights
    values["total"] = 2.0
    assert Position.from_json(values).means == (0.5, 3 / 4)


def test_a_checkpoint_has_the_factors(data, tmp_path):
    run = trainer("balanced")
    fit(run, data, epochs=1)
    run.save(tmp_path / "run.safetensors")
    new = trainer("balanced").load(tmp_path / "run.safetensors")
    np.testing.assert_array_equal(new.loss.factors, run.loss.factors)
    assert new.evaluate(data) == run.evaluate(data)
    given = trainer([1, 2]).load(tmp_path / "run.safetensors")
    np.testing.assert_array_equal(given.loss.factors, [1, 2])


@pytest.mark.parametrize("factors", [3, "ab", [1, -1], [1, None]])
def test_a_damaged_checkpoint_leaves_the_factors(data, tmp_path, factors):
    path = tmp_path / "run.safetensors"
    run = trainer("balanced")
    fit(run, data, epochs=1)
    run.save(path)
    tensors, metadata = minidl.safetensors.load(path)
    state = json.loads(metadata["state"])
    state["loss"] = {"factors": factors}
    minidl.safetensors.save(path, tensors, {**metadata, "state": json.dumps(state)})
    before = run.loss.factors.copy()
    with pytest.raises(ValueError, match="factors of class_weight"):
        run.load(path)
    np.testing.assert_array_equal(run.loss.factors, before)


def test_batches_need_numbers_or_observed_labels(data):
    x, y = data
    batches = [(x[:1000], y[:1000]), (x[1000:], y[1000:])]
    run = trainer("balanced")
    before, asked = run.state, []

    class Begin(minidl.Callback):
        def on_fit_begin(self, trainer):
            asked.append(trainer)

    with pytest.raises(RuntimeError, match=r"for data in batches give numbers, or call loss.observe\(labels, \(N, K\)"):
        run.fit(lambda: asked.append("batch") or iter(batches), epochs=1, callbacks=Begin(), verbose=False)
    assert asked == []  # before the first batch is made
    assert run.state is before
    run.loss.observe(y, (2000, 2))
    fit(run, batches, epochs=1)
    np.testing.assert_allclose(run.loss.factors, [2000 / 3800, 2000 / 200])


def test_a_run_that_is_refused_leaves_the_factors(data):
    x, y = data
    run = trainer("balanced")
    fit(run, data, epochs=1)
    before = run.loss.factors.copy()
    with pytest.raises(ValueError, match="must be those of the run to resume"):
        run.fit((x, 1 - y), epochs=2, batch_size=2000, seed=0, resume=True, verbose=False)
    np.testing.assert_array_equal(run.loss.factors, before)

    class Refusing(minidl.Callback):
        def on_fit_begin(self, trainer):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run.fit((x, 1 - y), batch_size=2000, seed=0, callbacks=Refusing(), verbose=False)
    np.testing.assert_array_equal(run.loss.factors, before)


def test_looking_at_a_model_leaves_the_loss_alone(data):
    """The range test and the sanity check learn the weights of the classes, and steps, on a copy."""
    x, y = data
    run = trainer("balanced")
    was = dict(vars(run.loss))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minidl.find_lr(run, (x, y), steps=4)
        minidl.sanity_check(run.model, run.loss, (x, y), epochs=1)
    assert vars(run.loss) == was
    assert run.loss.factors is None
    run.loss.observe(np.array([0, 1, 1, 1]), (4, 2))
    minidl.find_lr(run, (x, y), steps=2)
    np.testing.assert_allclose(run.loss.factors, [2, 2 / 3])
