"""Checkpoints: a run that was cut off, at any step, goes on to the same bits; files that do not fit change nothing."""

from __future__ import annotations

import errno
import json
import os
import signal

import numpy as np
import pytest

import minidl
from minidl import safetensors
from minidl.data.augment.transforms import Crop, Cutout, Flip
from minidl.training.position import Position

N, BATCH, EPOCHS = 50, 8, 3
STEPS = 7
"""Steps an epoch: six of eight images and one of two."""

OPTIMIZERS = {
    "SGD": lambda: minidl.SGD(0.1),
    "momentum": lambda: minidl.SGD(minidl.OneCycle(0.1), 0.9, nesterov=True),
    "RMSProp": lambda: minidl.RMSProp(0.01),
    "Adam": lambda: minidl.Adam(minidl.Cosine(0.01), weight_decay=0.01),
    "Lookahead": lambda: minidl.Lookahead(minidl.AdamW(minidl.Cosine(0.01), clip_norm=0.5), every=3),
}


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, N)
    x = 60 * y[:, None, None, None] + rng.integers(0, 60, (N, 1, 4, 4))
    return x.astype(np.uint8), y


def trainer(optimizer="momentum", model="", average=None):
    """A network with all that has a state: two dropouts share a generator, one draws from minidl's default one.

    model: what is different about it.
    """
    shared = np.random.Generator(np.random.Philox(7)) if model == "Philox" else np.random.default_rng(7)
    own = 0 if model == "own generator" else None
    hidden = 9 if model == "wider" else 8
    model = minidl.Model(
        *(minidl.Conv2D(1, 4, 3, rng=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten()),
        *(minidl.Dropout(0.3, rng=shared), minidl.Linear(16, hidden, rng=2), minidl.Dropout(0.2, rng=own)),
        *(minidl.Relu(), minidl.Dropout(0.1, rng=shared), minidl.Linear(hidden, 3, rng=3)),
        *([minidl.Linear(3, 3)] if model == "deeper" else []),
        mean=0.4,
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), OPTIMIZERS[optimizer](), average)


def fit(run, data, **arguments):
    arguments = {"validation": data, "epochs": EPOCHS, "batch_size": BATCH, "seed": 0, "verbose": False, **arguments}
    return run.fit(data, **arguments)


def bits(run):
    """All that a run ends with, its wall time apart."""
    arrays = {**run.model.state(), **run.optimizer.state(), **run.history.state()}
    arrays |= {} if run.average is None else run.average.state()
    del arrays["seconds"]
    return {name: array.tobytes() for name, array in arrays.items()}


class Killed(Exception):
    pass


class KillAt(minidl.Callback):
    """Ends the run by an error after so many steps, as if it had been killed."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.step:
            raise Killed


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_cut_off_at_any_step_ends_in_the_same_bits(data, tmp_path, optimizer, seed):
    minidl.seed(3)
    whole = trainer(optimizer)
    fit(whole, data, seed=seed, callbacks=[minidl.KeepBest()])
    path = tmp_path / "run.safetensors"
    # The last finished checkpoint is that of the step before: in an epoch, at its last step, after it, in the last one.
    for step in (2, STEPS + 1, STEPS + 2, EPOCHS * STEPS):
        path.unlink(missing_ok=True)
        minidl.seed(3)
        callbacks = [minidl.Checkpoint(path, every_seconds=0), KillAt(step), minidl.KeepBest()]
        with pytest.raises(Killed):
            fit(trainer(optimizer), data, seed=seed, callbacks=callbacks)
        minidl.seed(99)
        again = trainer(optimizer)
        fit(again, data, seed=seed, resume=path, callbacks=[minidl.Checkpoint(path), minidl.KeepBest()])
        assert bits(again) == bits(whole), step


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("step", [3, STEPS + 1, STEPS + 3])
def test_averaged_weights_and_augmentation_go_on_too(data, tmp_path, seed, step):
    def start():
        return trainer("Adam", average=minidl.WeightAverage(0.9, every=2))

    arguments = {"seed": seed, "augment": [Crop(1, "reflect"), Flip(), Cutout(2)]}
    minidl.seed(3)
    whole, again = start(), start()
    fit(whole, data, **arguments)
    minidl.seed(3)
    with pytest.raises(Killed):
        fit(start(), data, **arguments, callbacks=[minidl.Checkpoint(tmp_path / "f", every_seconds=0), KillAt(step)])
    minidl.seed(99)
    fit(again, data, **arguments, resume=tmp_path / "f")
    assert bits(again) == bits(whole)
    for change in ([], [Crop(1)], [Flip()]):
        with pytest.raises(ValueError, match=r"augment must be Crop\(.*Flip\(.*Cutout\(.* as in the run to resume"):
            fit(start(), data, **{**arguments, "augment": change}, resume=tmp_path / "f")


def test_ctrl_c_keeps_the_raw_weights_beside_the_averages(data, tmp_path):
    def start():
        return trainer(average=minidl.WeightAverage(0.9))

    minidl.seed(1)
    whole, run, other = start(), start(), start()
    fit(whole, data)
    minidl.seed(1)
    fit(run, data, callbacks=[Press(10), minidl.Checkpoint(tmp_path / "f")])
    fit(other, data, resume=tmp_path / "f")
    assert bits(other) == bits(whole)


def test_a_checkpoint_between_epochs(data, tmp_path):
    minidl.seed(3)
    whole, first, second = trainer(), trainer(), trainer()
    fit(whole, data, seed=None)
    minidl.seed(3)
    with pytest.raises(Killed):
        fit(first, data, seed=None, callbacks=[minidl.Checkpoint(tmp_path / "f"), KillAt(2 * STEPS + 3)])
    minidl.support.random.generator().random(5)
    assert second.load(tmp_path / "f") is second
    assert (second.history.epochs, second.run.done, len(second.history.step_loss)) == (2, 0, 2 * STEPS)
    fit(second, data, seed=None, resume=True)
    assert bits(second) == bits(whole)


def test_when_checkpoints_are_written(data, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        minidl.Trainer, "save", lambda self, path: written.append((self.history.epochs, len(self.history.step_loss)))
    )
    clock = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    for arguments, expected in [
        ({}, [(1, 7), (2, 14), (3, 21), (4, 28), (5, 35)]),
        ({"every_epochs": 2}, [(2, 14), (4, 28), (5, 35)]),
        ({"every_epochs": 9}, [(5, 35)]),
        # The clock ticks once a question, and once a write.
        ({"every_seconds": 20}, [(2, 18), (5, 35)]),
        ({"every_seconds": 1000}, [(5, 35)]),
    ]:
        written.clear()
        fit(trainer(), data, epochs=5, callbacks=[minidl.Checkpoint(tmp_path / "f", **arguments)])
        assert written == expected, arguments


def test_without_a_file_the_run_begins_anew(data, tmp_path, capsys):
    whole, again = trainer(), trainer()
    minidl.seed(1)
    fit(whole, data)
    again.history.step_loss.append(1.0)
    minidl.seed(1)
    fit(again, data, resume=tmp_path / "none")
    assert bits(again) == bits(whole)
    again.save(tmp_path / "file")
    fit(again, data, resume=str(tmp_path / "file"), verbose=True)
    assert "going on from" in capsys.readouterr().out
    assert bits(again) == bits(whole)


class Press(minidl.Callback):
    """Ctrl-C during step number `at`."""

    def __init__(self, at):
        self.at = at

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("step", [10, STEPS, 2 * STEPS])
def test_after_ctrl_c_the_run_goes_on_where_it_was(data, tmp_path, step):
    minidl.seed(1)
    whole, run, other = trainer(), trainer(), trainer()
    fit(whole, data, callbacks=[minidl.KeepBest()])
    minidl.seed(1)
    history = fit(run, data, callbacks=[Press(step), minidl.Checkpoint(tmp_path / "f", every_epochs=9)])
    # At the last step of an epoch the validation is left to be done.
    assert (history.interrupted, history.epochs, run.run.done) == (True, (step - 1) // STEPS, 24 if step == 10 else N)
    state = minidl.support.random.generator().bit_generator.state
    history = fit(run, data, seed=None, resume=True)
    assert not history.interrupted
    fit(whole, data, resume=True)  # it is complete
    minidl.support.random.generator().bit_generator.state = state
    other.load(tmp_path / "f")
    fit(other, data, seed=None, resume=True)
    assert bits(other) == bits(run)


def test_the_checkpoint_of_ctrl_c_has_the_last_weights_not_the_best(data, tmp_path):
    minidl.seed(1)
    whole, run, other = trainer(), trainer(), trainer()
    fit(whole, data, callbacks=[minidl.KeepBest("train_loss")])
    minidl.seed(1)
    fit(run, data, callbacks=[minidl.Checkpoint(tmp_path / "f"), minidl.KeepBest("train_loss"), Press(18)])
    fit(other, data, callbacks=[minidl.KeepBest("train_loss")], resume=tmp_path / "f")
    assert bits(other) == bits(whole)


def test_early_stopping_goes_on_waiting(data, tmp_path):
    def stopping():
        return minidl.EarlyStopping("val_accuracy", patience=3, min_delta=1.0)

    whole, second = trainer(), trainer()
    minidl.seed(5)
    assert fit(whole, data, epochs=20, callbacks=[stopping()]).epochs == 4
    minidl.seed(5)
    with pytest.raises(Killed):
        fit(trainer(), data, epochs=20, callbacks=[stopping(), minidl.Checkpoint(tmp_path / "f"), KillAt(16)])
    fit(second, data, epochs=20, callbacks=[stopping(), minidl.Checkpoint(tmp_path / "f")], resume=tmp_path / "f")
    assert bits(second) == bits(whole)
    # A run that a callback has ended stays ended, unless that is gone or more epochs are asked for.
    third = trainer()
    assert fit(third, data, epochs=20, callbacks=[stopping()], resume=tmp_path / "f").epochs == 4
    assert bits(third) == bits(whole)
    assert fit(third, data, epochs=21, callbacks=[stopping()], resume=tmp_path / "f").epochs == 5
    assert fit(third, data, epochs=6, resume=tmp_path / "f").epochs == 6


def test_an_ended_run_is_longer_with_more_epochs(data, tmp_path):
    whole, run = trainer("Adam"), trainer("Adam")
    run.optimizer.schedule = whole.optimizer.schedule = None
    for epochs, resume in ((1, False), (3, True)):
        minidl.seed(epochs)
        fit(run, data, epochs=epochs, resume=resume)
    minidl.seed(1)
    fit(whole, data, epochs=1)
    minidl.seed(3)
    fit(whole, data, epochs=3, resume=True)
    assert whole.history.epochs == 3
    assert bits(run) == bits(whole)


def test_a_learning_rate_that_was_changed_comes_back(data, tmp_path):
    run, other = trainer("SGD"), trainer("SGD")
    run.optimizer.lr = 0.03
    run.save(tmp_path / "f")
    assert other.load(tmp_path / "f").optimizer.lr == 0.03


def test_a_full_disk_ends_the_run_and_keeps_the_older_checkpoint(data, tmp_path, monkeypatch):
    minidl.seed(1)
    whole, run, other = trainer(), trainer(), trainer()
    fit(whole, data)
    minidl.seed(1)
    sync = os.fsync

    class Fill(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 12:
                monkeypatch.setattr(os, "fsync", full)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device \(writing a new file.*run'"):
        fit(run, data, callbacks=[Fill(), minidl.Checkpoint(tmp_path / "run", every_seconds=0)])
    monkeypatch.setattr(os, "fsync", sync)
    assert os.listdir(tmp_path) == ["run"]
    assert len(other.load(tmp_path / "run").history.step_loss) == 11
    fit(other, data, resume=True)
    assert bits(other) == bits(whole)
    # And the run itself is as it was after its twelfth step.
    minidl.seed(1)
    run, other = trainer(), trainer()
    with pytest.raises(OSError, match="No space"):
        fit(run, data, callbacks=[Fill(), minidl.Checkpoint(tmp_path / "run", every_seconds=0)])
    fit(run, data, resume=True)
    assert bits(run) == bits(whole)


# ---- what does not fit -----------------------------------------------------------------------------------------------


@pytest.fixture
def good(data, tmp_path):
    """A trained trainer and the file it wrote in the middle of its last epoch."""
    minidl.seed(1)
    run = trainer()
    with pytest.raises(Killed):
        fit(run, data, callbacks=[minidl.Checkpoint(tmp_path / "good", every_seconds=0), KillAt(18), minidl.KeepBest()])
    return run, tmp_path / "good"


def everything(run):
    tensors, metadata = minidl.training.checkpoint.pack(run)
    return {**{name: array.tobytes() for name, array in tensors.items()}, **metadata}


def test_calls_that_do_not_fit_the_run_change_nothing(good, data):
    _, path = good
    x, y = data
    run = trainer()
    fit(run, data, epochs=1)
    before, history = everything(run), run.history
    cases = [
        ({"data": (x[:-1], y[:-1])}, r"number of training images must be 50, as in the run to resume, got 49"),
        ({"data": (x[::-1], y[::-1])}, "training data must be those of the run to resume"),
        ({"data": (x, (y + 1) % 3)}, "training data must be those of the run to resume"),
        ({"batch_size": 9}, "batch_size must be 8, as in the run to resume, got 9"),
        ({"seed": 1}, "seed must be 0, as in the run to resume, or None, got 1"),
        ({"callbacks": [minidl.KeepBest("val_loss")]}, "monitor must be val_accuracy, as in the run to resume"),
        ({"callbacks": [minidl.KeepBest()], "validation": None}, "fit has no validation data"),
        ({"callbacks": [minidl.Checkpoint(path.parent / "nowhere" / "f")]}, "the folder of .* must exist"),
    ]
    for change, message in cases:
        arguments = {"data": data, "resume": path, **change}
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            fit(run, **arguments)
        assert everything(run) == before
        assert run.history is history


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trainer("Adam"), "the optimizer must be SGD with slots velocity, as in the checkpoint, got Adam with"),
        (lambda: trainer("SGD"), "the optimizer must be SGD with slots velocity, .* got SGD with slots none"),
        (
            lambda: trainer(average=minidl.WeightAverage()),
            "no averaged weights, so average of the Trainer must be None",
        ),
        (lambda: trainer(model="wider"), r"the weights do not fit: .*5\.weight must have shape"),
        (lambda: trainer(model="deeper"), r"the weights do not fit: .*missing"),
        (lambda: trainer(model="own generator"), "layers with a generator of their own must be 4, 8, .* got 4, 6, 8"),
        (lambda: trainer(model="Philox"), r"the generator of layer 4 \(Dropout\) must be a PCG64"),
    ],
)
def test_a_checkpoint_of_another_network_or_optimiser_changes_nothing(good, data, make, message):
    _, path = good
    run = make()
    before = everything(run)
    for call in (lambda: run.load(path), lambda: fit(run, data, resume=path)):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert str(path) in str(caught.value)
        assert everything(run) == before


def test_files_that_are_no_checkpoints_change_nothing(good, data):
    run, path = good
    before, history = everything(run), run.history
    tensors, metadata = safetensors.load(path)
    state = json.loads(metadata["state"])
    slot = next(name for name in tensors if name.startswith("optimizer.") and name.endswith(".weight.velocity"))

    def changed(*keys, value):
        text = json.loads(metadata["state"])
        inner = text
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return {**metadata, "state": json.dumps(text)}

    cases = [
        ({}, {}, r"format must be 'minidl checkpoint 1', got none; for weights alone: Model\.load"),
        ({}, {"history": "{}"}, "got none; one of an older minidl"),
        ({}, {**metadata, "format": "minidl checkpoint 2"}, "got minidl checkpoint 2"),
        ({"other": np.zeros(1)}, metadata, "tensor other must belong to one of model"),
        ({"model.0.weight": None}, metadata, r"missing 0\.weight"),
        ({slot: np.zeros(2)}, metadata, r"velocity must have shape \(.*\), got \(2,\)"),
        ({"optimizer.77.weight.velocity": np.zeros(2)}, metadata, "belongs to no parameter"),
        ({slot.replace("velocity", "square"): tensors[slot]}, metadata, "unknown entry"),
        ({"optimizer.steps": None}, metadata, "steps"),
        ({"history.lr": None}, metadata, "History: a state must hold exactly"),
        ({"history.lr": np.zeros(9)}, metadata, "History: a state must hold float64 vectors"),
        ({"average.0.weight.average": np.zeros(9)}, metadata, "it has averaged weights, which need Trainer"),
        ({"callback.7.x": np.zeros(9)}, metadata, "its state is damaged"),
        ({}, {**metadata, "mean": "["}, "mean or std is not JSON"),
        ({}, {**metadata, "state": "["}, "its state is damaged"),
        ({}, {**metadata, "state": "[]"}, "its state is damaged"),
        ({}, changed("run", value=3), "a run must have exactly"),
        ({}, changed("run", "done", value=51), "cannot have 51 of 50 images done"),
        ({}, changed("run", "order", value=None), "lacks their order"),
        ({}, changed("run", "order", value={"bit_generator": "os"}), "must name one of PCG64"),
        ({}, changed("run", "seed", value=True), "must be integers of at least 0"),
        ({}, changed("run", "batch_size", value=0), "must be integers of at least 0"),
        ({}, changed("run", "draw", value="1"), "must be integers of at least 0"),
        ({}, changed("run", "augment", value=3), "must have a text for augment"),
        ({}, changed("run", "total", value="1"), "must be floats"),
        ({}, changed("run", "generator", value=None), "must have a generator if it has a seed"),
        ({}, changed("generators", "default", value={}), "must name one of PCG64"),
        ({}, changed("generators", "layers", value={}), "layers with a generator of their own must be none"),
        ({}, changed("optimizer", "kind", value="Adam"), "the optimizer must be Adam"),
        ({}, changed("optimizer", "lr", value="x"), "its state is damaged"),
        ({}, changed("callbacks", value=[3]), "its state is damaged"),
        ({}, {**metadata, "state": "[" * 2000}, "its state is damaged"),
        ({}, {**metadata, "mean": "[" * 2000}, "mean or std is not JSON"),
        ({}, {**metadata, "std": "1" + 400 * "0"}, "std must be a number, .* positive and finite, got 1000"),
        ({}, changed("run", "total", value=np.nan), "total of a run must be finite, got nan"),
        ({}, changed("run", "total", value=np.inf), "total of a run must be finite, got inf"),
        ({}, changed("run", "mass", value=-1.0), r"mass of a run must be finite and at least 0, got -1\.0"),
        ({}, changed("run", "weight", value=np.nan), "weight of a run must be finite and at least 0, got nan"),
        ({}, changed("run", "right", value=-np.inf), "right of a run must be finite and at least 0, got -inf"),
        ({}, changed("run", "seconds", value=np.nan), "seconds of a run must be finite and at least 0, got nan"),
        ({}, changed("run", "images", value=10**400), r"must be integers of at least 0 and below 2\*\*64"),
        ({}, changed("optimizer", "lr", value=np.nan), "damaged: optimizer: lr must be at least 0, got nan"),
        ({}, changed("optimizer", "lr", value=-1), "damaged: optimizer: lr must be at least 0, got -1"),
        ({}, changed("optimizer", "lr", value=10**400), "damaged: optimizer: lr must be at least 0, got 1000"),
        ({}, changed("optimizer", "lr", value=True), "damaged: optimizer: lr must be a number, got True"),
        ({}, changed("optimizer", "lr", value="0.5"), "damaged: optimizer: lr must be a number, got '0.5'"),
    ]
    for change, text, message in cases:
        content = {name: array for name, array in {**tensors, **change}.items() if array is not None}
        content = {name: array + 1 if name.startswith("model") else array for name, array in content.items()}
        safetensors.save(path.with_name("bad"), content, text)
        with pytest.raises(ValueError, match=message) as caught:
            run.load(path.with_name("bad"))
        assert str(path.with_name("bad")) in str(caught.value), message
    assert everything(run) == before
    assert run.history is history
    assert state["run"]["done"] == 24


def test_a_state_of_a_callback_that_is_damaged_changes_nothing(good, data):
    run, path = good
    before = everything(run)
    tensors, metadata = safetensors.load(path)
    text = json.loads(metadata["state"])
    (kept,) = (entry for entry in text["callbacks"] if entry["kind"] == "KeepBest")
    for damaged in ({}, {"best_value": "0.5"}, {"best_value": [0.5]}):
        kept["values"] = {key: value for key, value in kept["values"].items() if key != "best_value"} | damaged
        safetensors.save(path.with_name("bad"), tensors, {**metadata, "state": json.dumps(text)})
        with pytest.raises(ValueError, match="KeepBest: the state to resume is damaged"):
            fit(run, data, resume=path.with_name("bad"), callbacks=[minidl.KeepBest()])
        assert everything(run) == before


def test_what_cannot_be_saved_is_refused_before_a_file_exists(data, tmp_path):
    class Odd(minidl.Callback):
        def state(self):
            return {"function": print}

    run = trainer()
    fit(run, data, epochs=1, callbacks=[Odd()])
    with pytest.raises(TypeError, match="Trainer: the state of Odd must be arrays and JSON"):
        run.save(tmp_path / "f")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["every_epochs", "every_seconds"])
@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), ("1", TypeError)])
def test_checkpoints_refuse_bad_arguments(name, value, error):
    arguments = {name: value}
    with pytest.raises(error, match="Checkpoint: every_"):
        minidl.Checkpoint("f", **arguments)


def test_a_run_describes_itself_completely():
    run = Position(10, 4, 3, 0, 7)
    run.order()
    run.add(4, 0.5, float("nan"))
    again = Position.from_json(json.loads(json.dumps(run.to_json())))
    assert repr(again.to_json()) == repr(run.to_json())
    np.testing.assert_array_equal(again.order(), run.order())
    again.end_epoch(), run.end_epoch()
    np.testing.assert_array_equal(again.order(), run.order())
