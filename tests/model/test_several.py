"""Models with several inputs and outputs: prediction in batches, training, losses of each output."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.training.samples import prepare


def network(seed: int = 0) -> minidl.Model:
    """A picture and two numbers in; a class and a number out."""
    image, numbers = minidl.Input((1, 6, 6), "image"), minidl.Input(2, "numbers")
    maps = minidl.Relu()(minidl.Conv2D(1, 3, 3, rng=seed)(image))
    rows = minidl.Add()(
        minidl.Linear(48, 8, rng=seed + 1)(minidl.Flatten()(maps)), minidl.Linear(2, 8, rng=seed + 2)(numbers)
    )
    rows = minidl.Tanh()(rows)
    heads = [minidl.Linear(8, 4, rng=seed + 3)(rows), minidl.Linear(8, 1, rng=seed + 4)(rows)]
    return minidl.Model(minidl.Graph([image, numbers], heads))


def data(n: int = 60) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(3)
    images, numbers = rng.integers(0, 256, (n, 1, 6, 6), np.uint8), rng.standard_normal((n, 2)).astype(np.float32)
    classes = 2 * (images[:, 0, :3].mean((1, 2)) > 127).astype(int) + (numbers[:, 0] > 0)
    return [images, numbers], [classes, (images.mean((1, 2, 3)) / 255 + numbers[:, 1])[:, None].astype(np.float32)]


def loss(weights: Any = (1.0, 0.5)) -> minidl.MultiLoss:
    return minidl.MultiLoss([minidl.SoftmaxCrossEntropyLoss(), minidl.MSELoss()], weights)


@pytest.mark.usefixtures("any_backend")
def test_prediction_in_batches() -> None:
    model, (x, _) = network(), data(23)
    scores, number = model.predict(x)
    assert (scores.shape, number.shape) == ((23, 4), (23, 1))
    parts = model.predict(x, batch_size=5)
    np.testing.assert_allclose(parts[0], scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts[1], number, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.forward(x)[0], scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(x)[0].sum(axis=1), 1, rtol=1e-5)
    names = [name for name, _ in model.activations(x)]
    assert len(names) == 9


@pytest.mark.usefixtures("any_backend")
def test_the_loss_is_the_weighted_sum_and_its_gradients_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    x, t = [rng.standard_normal((5, 4)), rng.standard_normal((5, 1))], [[0, 1, 2, 3, 0], rng.standard_normal((5, 1))]
    multi = loss()
    expected = minidl.SoftmaxCrossEntropyLoss().forward(x[0], t[0]) + 0.5 * minidl.MSELoss().forward(x[1], t[1])
    assert multi.forward(x, t) == pytest.approx(expected, rel=1e-12)
    assert multi.correct == (x[0].argmax(axis=1) == t[0]).sum()
    for i, gradient in enumerate(multi.backward()):
        for at in np.ndindex(x[i].shape):
            moved = []
            for step in (1e-6, -1e-6):
                other = copy.deepcopy(x)
                other[i][at] += step
                moved.append(multi.forward(other, t))
            assert gradient[at] == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-8)


@pytest.mark.chosen_numbers
@pytest.mark.usefixtures("any_backend")
def test_training_resuming_and_evaluation(tmp_path: Path) -> None:
    x, y = data()

    def trainer() -> minidl.Trainer:
        return minidl.Trainer(network(), loss(), minidl.SGD(0.1, momentum=0.9))

    whole = trainer()
    history = whole.fit((x, y), validation=(x, y), epochs=6, batch_size=16, seed=1, verbose=False)
    assert history["train_loss"][-1] < 0.7 * history["train_loss"][0]
    assert history["val_accuracy"][-1] > 0.6
    scores, number = whole.model.predict(x)
    expected = minidl.SoftmaxCrossEntropyLoss().forward(scores, y[0]) + 0.5 * minidl.MSELoss().forward(number, y[1])
    assert whole.evaluate((x, y), batch_size=7)["loss"] == pytest.approx(expected, rel=1e-4)
    first = trainer()
    first.fit((x, y), epochs=2, batch_size=16, seed=1, verbose=False)
    first.save(tmp_path / "run")
    second = trainer().load(tmp_path / "run")
    second.fit((x, y), validation=(x, y), epochs=6, batch_size=16, seed=1, verbose=False, resume=True)
    for name, array in whole.model.state().items():
        np.testing.assert_array_equal(second.model.state()[name], array, err_msg=name)
    whole.model.save(tmp_path / "model")
    for one, two in zip(minidl.load_model(tmp_path / "model").predict(x), whole.model.predict(x), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_of_a_training_go_on_alike(how: Any) -> None:
    x, y = data(30)
    trainer = minidl.Trainer(network(), loss(), minidl.SGD(0.1, momentum=0.9))
    trainer.fit((x, y), epochs=1, batch_size=8, seed=1, verbose=False)
    other = how(trainer)
    for each in (trainer, other):
        each.fit((x, y), epochs=3, batch_size=8, seed=1, verbose=False, resume=True)
    for name, array in trainer.model.state().items():
        np.testing.assert_array_equal(other.model.state()[name], array, err_msg=name)


def test_sample_weights_reach_every_loss() -> None:
    x, y = data(8)
    weight = np.array([1, 0, 2, 0, 1, 1, 0, 3], np.float32)
    kept = weight > 0
    trainer = minidl.Trainer(network(), loss(), minidl.SGD(0.1))
    found = trainer.evaluate((x, y, weight))["loss"]
    repeated = np.repeat(np.arange(8)[kept], weight[kept].astype(int))
    expected = trainer.evaluate(([a[repeated] for a in x], [a[repeated] for a in y]))["loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    model, (x, y) = network(), data(8)
    with pytest.raises(TypeError, match="input must be a list of 2 arrays, one for each input, got ndarray"):
        model.predict(x[0])
    with pytest.raises(ValueError, match=r"same number of images, got \[8, 7\]"):
        model.predict([x[0], x[1][:7]])
    with pytest.raises(TypeError, match="model with 2 outputs needs a MultiLoss, got MSELoss"):
        minidl.Trainer(model, minidl.MSELoss(), minidl.SGD(0.1)).fit((x, y), verbose=False)
    trainer = minidl.Trainer(model, loss(), minidl.SGD(0.1))
    with pytest.raises(TypeError, match="training y must be a list of 2 arrays, as the model has so many, got ndarray"):
        trainer.fit((x, y[0]), verbose=False)
    with pytest.raises(ValueError, match="training x and y must have the same length, got 8 and 6"):
        trainer.fit((x, [y[0][:6], y[1][:6]]), verbose=False)
    with pytest.raises(ValueError, match="augment must be"):
        trainer.fit((x, y), augment=[minidl.data.Flip()], verbose=False)
    with pytest.raises(ValueError, match="predict_classes is for a model with one output, got 2"):
        model.predict_classes(x)
    with pytest.raises(TypeError, match="losses must be a list of losses"):
        minidl.MultiLoss([])
    with pytest.raises(ValueError, match="weights must be finite and at least 0, got -1 in loss 1"):
        minidl.MultiLoss([minidl.MSELoss(), minidl.MSELoss()], weights=[1, -1])
    with pytest.raises(ValueError, match="weights must be one for each of 2 losses"):
        loss([1.0])
    one = minidl.Trainer(minidl.Model(minidl.Linear(2, 1)), loss(), minidl.SGD(0.1))
    for targets in (y, y[1]):
        with pytest.raises(TypeError, match=r"model with 1 output needs a loss for one output, got MultiLoss\("):
            one.fit((x[1], targets), verbose=False)


def test_summary_before_the_first_input() -> None:
    lines = network().summary().splitlines()
    assert lines[2].split()[:4] == ["0.0", "Conv2D(1,", "3,", "3)"]
    assert [line.split()[0] for line in lines[2:-2]] == [f"0.{i}" for i in range(9)]
    assert lines[-1].split() == ["total", "491"]  # 1*9*3+3, 48*8+8, 2*8+8, 8*4+4, 8+1


@pytest.mark.parametrize("weights", ["balanced", [1.0, 2.0], [1.0, 1.0]])
def test_weights_of_classes_are_refused_at_once(weights: Any) -> None:
    losses = [minidl.MSELoss(), minidl.SoftmaxCrossEntropyLoss(class_weight=weights)]
    with pytest.raises(ValueError, match=r"MultiLoss: losses must be without weights of classes, got Softmax.* at 1"):
        minidl.MultiLoss(losses)


def test_weights_of_rows_that_no_float_can_add_up() -> None:
    weight = np.array([0.1, 0.2, 0.7, 1e-9], np.float32)
    logits = [np.eye(4, dtype=np.float32), np.zeros((4, 1), np.float32)]
    targets = [np.arange(4), np.arange(4.0)[:, None]]
    expected = [part.forward(x, t, weight) for part, x, t in zip(loss().losses, logits, targets, strict=True)]
    assert loss((1, 0.5)).forward(logits, targets, weight) == expected[0] + 0.5 * expected[1]


def test_memory_mapped_inputs_are_not_read_through(tmp_path: Path) -> None:
    (images, numbers), targets = data(8)
    numbers[3, 1] = np.nan
    np.save(tmp_path / "numbers.npy", numbers)
    mapped = np.load(tmp_path / "numbers.npy", mmap_mode="r")
    assert np.isnan(prepare("training", ([images, mapped], targets), network(), loss()).images.arrays[1][3, 1])
    with pytest.raises(ValueError, match=r"training x must be finite, got nan in row 3 of 8"):
        prepare("training", ([images, numbers], targets), network(), loss())
    images = np.where(np.arange(36).reshape(6, 6) == 7, np.nan, images / 255).astype(np.float32)
    with pytest.raises(ValueError, match=r"training x must be finite, got nan in row 0 of 8"):
        prepare("training", ([images, mapped], targets), network(), loss())


def test_ranges_are_looked_at_once_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    model, looked = network(), []
    monkeypatch.setattr(model, "range_doubt", lambda images: looked.append(images.shape) or "")
    images, numbers = np.zeros((2, 1, 6, 6), np.uint8), np.zeros((2, 2), np.float32)
    for _ in range(3):
        model.predict([images, numbers])
    assert looked == [(2, 1, 6, 6), (2, 2)]
    for _ in range(3):
        model.predict([images.astype(np.float32), numbers])
    assert looked[2:] == looked[:2]


def test_pixels_as_floats_are_a_warning_behind_others_that_are_none() -> None:
    model, numbers = network(), np.zeros((2, 2), np.float32)
    model.predict([np.full((2, 1, 6, 6), 255, np.uint8), numbers])
    with pytest.warns(UserWarning, match="floats from 255 to 255 are taken as they are"):
        model.predict([np.full((2, 1, 6, 6), 255, np.float32), numbers])
