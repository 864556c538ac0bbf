"""sanity_check calls healthy models healthy and finds what is wrong with the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    y = rng.integers(0, 4, 120)
    x = np.zeros((120, 1, 4, 4), np.float32)
    x[np.arange(120), 0, y, y] = 2
    return x + 0.3 * rng.standard_normal(x.shape).astype(np.float32), y


def network(*extra):
    return minidl.Model(
        minidl.Conv2D(1, 8, 3, padding=1, rng=1), minidl.BatchNorm2D(8), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Flatten(), minidl.Linear(32, 16, rng=2), minidl.Relu(), *extra,
        minidl.Linear(16, 4, init=0.05, rng=3),
    )  # fmt: skip


def failed(report):
    return [finding.check for finding in report.findings if not finding.passed]


def test_a_healthy_model_passes_and_stays_as_it_is(data):
    model = network(minidl.Dropout(0.5))
    before, grads = model.state(), [p.grad.copy() for p in model.parameters()]
    minidl.seed(3)
    expected = minidl.support.random.generator().random()
    minidl.seed(3)
    loss = minidl.SoftmaxCrossEntropyLoss()
    report = minidl.sanity_check(model, loss, data)
    assert minidl.support.random.generator().random() == expected
    assert report.passed
    assert report, str(report)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
    for p, grad in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad, grad)

    logits = model.predict(data[0])
    assert report.first_loss == pytest.approx(loss.forward(logits, data[1]), rel=1e-5)
    assert report.first_loss == pytest.approx(math.log(4), abs=0.3)
    squares = sum(float(np.sum(p.data.astype(float) ** 2)) for p in model.parameters())
    assert report.losses_with_decay[1e-2] == pytest.approx(report.first_loss + 0.005 * squares)
    assert report.overfit >= 0.99
    assert set(report.dead) == {"2 Relu", "6 Relu"}
    assert set(report.gradients) == {p.name for p in model.parameters()}
    assert "log(classes) = 1.3863" in str(report)
    assert "overfitting 100 images" in str(report)


def test_dead_units_and_their_missing_gradients_are_found(data):
    model = network()
    model.layers[5].weight.data[:12] = 0
    model.layers[5].bias.data[:12] = -1
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert report.dead["6 Relu"] >= 0.75
    assert "dead units of 6 Relu" in failed(report)
    assert "dead units of 2 Relu" not in failed(report)


def test_a_loss_far_from_chance_is_found(data):
    model = network()
    model.layers[-1].weight.data *= 1000
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert "first loss" in failed(report)
    assert "LOOK" in str(report)


def test_a_model_that_cannot_learn_is_found(data):
    model = network(minidl.Linear(16, 16, init="zeros"), minidl.Relu())
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data)
    assert "overfitting 100 images, 60 epochs" in failed(report)
    assert "gradient norm of 0.weight" in failed(report)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_are_no_numbers_are_found(data):
    model = network()
    model.layers[0].weight.data[0] = np.nan
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert {"first loss", "loss with weight decay 0, 1e-4, 1e-2"} <= set(failed(report))
    assert math.isnan(report.overfit)
    assert "layer 0 Conv2D" in str(report)


@pytest.mark.chosen_numbers
def test_numbers_as_targets_have_no_chance_level_but_are_overfitted(rng):
    x = rng.standard_normal((30, 3)).astype(np.float32)
    model = minidl.Model(minidl.Linear(3, 32, rng=1), minidl.Tanh(), minidl.Linear(32, 1, rng=2))
    report = minidl.sanity_check(model, minidl.MSELoss(), (x, x[:, :1]), epochs=150)
    assert report, str(report)
    assert "overfitting 30 images" in str(report)
    assert report.overfit > 0.95


def test_few_images_of_uint8_will_do(rng):
    x = rng.integers(0, 256, (5, 6), dtype=np.uint8)
    model = minidl.Model(minidl.Linear(6, 32, rng=1), minidl.Relu(), minidl.Linear(32, 2, rng=2), mean=0.5, std=0.3)
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), (x, [0, 1, 0, 1, 1]), epochs=200)
    assert report.overfit == 1


# ---- grades ----------------------------------------------------------------------------------------------------------


def graded(report):
    return {finding.check: finding.grade for finding in report.findings if finding.grade != "ok"}


@pytest.mark.chosen_numbers
def test_what_a_training_mends_by_itself_is_a_note_with_advice(data):
    model = network()
    model.layers[-1].weight.data *= 150  # the first loss is some times log(4)
    model.layers[5].weight.data[:10] = 0
    model.layers[5].bias.data[:10] = -1  # 10 of 16 units
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data)
    assert 1.3863 * 1.1 + 0.5 < report.first_loss < 3 * 1.3863
    names = ("first loss", "dead units of 6 Relu", "overfitting 100 images, 60 epochs")
    assert graded(report) == dict.fromkeys(names, "note")
    assert report
    lines = str(report).splitlines()
    assert any(line.startswith("note first loss: start the last layer smaller") for line in lines)
    assert any(line.startswith("note dead units of 6 Relu: it learns with the other units") for line in lines)
    assert "start the last layer smaller" in report._repr_html_()


def test_faults_are_to_be_looked_at_and_come_first(data):
    model = network()
    model.layers[-1].weight.data *= 1000
    model.layers[5].weight.data[...] = 0
    model.layers[5].bias.data[...] = -1
    model.layers[5].bias.data[:2] = 0.01
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert graded(report)["dead units of 6 Relu"] == "note"
    model.layers[5].bias.data[...] = -1
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert graded(report)["dead units of 6 Relu"] == "LOOK"
    assert not report
    advice = [line.split(" ")[0] for line in str(report).splitlines() if line.startswith(("LOOK ", "note "))]
    assert advice == sorted(advice)  # LOOK before note
    assert all(finding.advice for finding in report.findings if not finding.passed)


def test_slow_learning_is_a_note_and_none_a_fault(data):
    def overfitting(epochs):
        report = minidl.sanity_check(network(), minidl.SoftmaxCrossEntropyLoss(), data, epochs=epochs)
        return next(f for f in report.findings if f.check.startswith("overfitting")), report

    assert overfitting(1)[0].grade == "LOOK"
    # How many epochs that takes depends on the data: 8 to 18, and 2 more at least until nothing is noted.
    finding, report = next(each for each in map(overfitting, range(6, 40)) if each[0].grade != "LOOK")
    assert (finding.grade, report.overfit < 0.99) == ("note", True)
    assert "more epochs=" in finding.advice


@pytest.mark.parametrize(
    ("x", "arguments", "grade", "advice"),
    [
        (lambda x: x, {}, "ok", ""),
        (lambda x: x.astype(np.float32), {}, "LOOK", "divide pixels of 0..255 by 255, or give uint8"),
        (lambda x: x.astype(np.float32) / 255, {}, "ok", ""),
        (lambda x: x, {"mean": 0.45, "std": 0.25}, "ok", ""),
        (lambda x: x, {"mean": 120.0, "std": 60.0}, "LOOK", "divide those of 0..255 by 255"),
        (lambda x: x.astype(np.float32) / 255, {"mean": 0.45, "std": 0.25}, "note", "not scaled by the model's mean"),
        (lambda x: (x.astype(np.float32) / 255 - 0.45) / 0.25, {"mean": 0.45, "std": 0.25}, "ok", ""),
        (lambda x: x.reshape(len(x), -1).astype(np.float32), {}, "note", "standardise the columns"),
        (lambda x: np.full_like(x, 7), {}, "note", "the images hardly differ"),
    ],
)
def test_the_scale_of_the_input_is_looked_at(rng, x, arguments, grade, advice):
    images, y = rng.integers(0, 256, (40, 1, 4, 4)).astype(np.uint8), rng.integers(0, 4, 40)
    model = minidl.Model(minidl.Flatten(), minidl.Linear(16, 4, rng=1), **arguments)
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), (x(images), y), epochs=1)
    finding = report.findings[0]
    assert (finding.check, finding.grade) == ("input of the first layer", grade)
    assert advice in finding.advice
    assert bool(advice) == bool(finding.advice)


def test_frozen_parameters_need_no_gradient(data):
    model = network(minidl.Linear(16, 16, init="zeros"), minidl.Relu())
    model.layers[0].freeze()
    report = minidl.sanity_check(model, minidl.SoftmaxCrossEntropyLoss(), data, epochs=1)
    assert "gradient norm of 0.weight" not in graded(report)
    assert "gradient norm of 5.weight" in graded(report)
