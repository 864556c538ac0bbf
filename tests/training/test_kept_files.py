"""Checkpoints under names that tell the epoch: which are written, which are kept, and never anybody else's removed."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import safetensors
from minidl.training.callbacks.file_names import FileNames

pytestmark = pytest.mark.usefixtures("plain_backend")

PATTERN = "e{epoch:03}.safetensors"


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 20)
    return (2 * np.eye(3)[y] + rng.standard_normal((20, 3))).astype(np.float32), y


class Script:
    """A metric whose values are given."""

    def __init__(self, values):
        self.values = list(values)

    def __call__(self, scores, targets):
        return self.values.pop(0)


def trainer(values=()):
    model = minidl.Model(minidl.Linear(3, 3, rng=1))
    metrics = {"m": Script(values)} if values else None
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1), metrics=metrics)


def fit(run, data, **arguments):
    return run.fit(data, data, **{"epochs": 4, "batch_size": 8, "seed": 0, "verbose": False, **arguments})


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_an_epoch(data, tmp_path):
    run = trainer()
    fit(run, data, callbacks=minidl.Checkpoint(tmp_path / PATTERN))
    assert names(tmp_path) == [f"e{i:03}.safetensors" for i in (1, 2, 3, 4)]
    for epoch in (1, 4):
        assert trainer().load(tmp_path / f"e{epoch:03}.safetensors").history.epochs == epoch
    final = trainer().load(tmp_path / "e004.safetensors")
    np.testing.assert_array_equal(final.model.parameters()[0].data, run.model.parameters()[0].data)


def test_names_with_numbers(data, tmp_path):
    run = trainer([0.25, 0.5])
    history = fit(run, data, epochs=2, callbacks=minidl.Checkpoint(tmp_path / "{epoch}-{val_m:.2f}-{train_loss:.4f}"))
    losses = history["train_loss"]
    assert names(tmp_path) == [f"1-0.25-{losses[0]:.4f}", f"2-0.50-{losses[1]:.4f}"]


def test_best_only_writes_the_epochs_that_are_better(data, tmp_path):
    values = [0.5, 0.4, 0.6, 0.6, 0.9, 0.1]
    callback = minidl.Checkpoint(tmp_path / PATTERN, best_only=True, monitor="val_m")
    fit(trainer(values), data, epochs=6, callbacks=callback)
    assert names(tmp_path) == [f"e{i:03}.safetensors" for i in (1, 3, 5)]
    for name in names(tmp_path):
        os.remove(tmp_path / name)
    callback = minidl.Checkpoint(tmp_path / "best", best_only=True, monitor="val_m", mode="min")
    fit(trainer(values), data, epochs=6, callbacks=callback)
    assert trainer().load(tmp_path / "best").history.epochs == 6
    callback = minidl.Checkpoint(tmp_path / "best", every_epochs=2, best_only=True, monitor="val_m")
    fit(trainer(values), data, epochs=6, callbacks=callback)
    assert trainer().load(tmp_path / "best").history.epochs == 4


def test_the_last_ones_are_kept_and_others_files_left_alone(data, tmp_path):
    for name in ("e000.safetensors", "e009.safetensors", "notes"):
        (tmp_path / name).write_text("mine")
    fit(trainer(), data, epochs=5, callbacks=minidl.Checkpoint(tmp_path / PATTERN, keep=2))
    assert names(tmp_path) == [*(f"e{i:03}.safetensors" for i in (0, 4, 5, 9)), "notes"]
    # Another run does not know the files of this one.
    fit(trainer(), data, epochs=1, callbacks=minidl.Checkpoint(tmp_path / PATTERN, keep=1))
    assert names(tmp_path) == [*(f"e{i:03}.safetensors" for i in (0, 1, 4, 5, 9)), "notes"]


def test_keep_with_best_only(data, tmp_path):
    callback = minidl.Checkpoint(tmp_path / PATTERN, best_only=True, monitor="val_m", keep=2)
    fit(trainer([1, 2, 0, 3, 4, 0]), data, epochs=6, callbacks=callback)
    assert names(tmp_path) == ["e004.safetensors", "e005.safetensors"]


def test_a_resumed_run_goes_on_with_the_list_and_the_best(data, tmp_path):
    def callback():
        return minidl.Checkpoint(tmp_path / PATTERN, best_only=True, monitor="val_m", keep=2)

    fit(trainer([1, 2, 3]), data, epochs=3, callbacks=callback())
    assert names(tmp_path) == ["e002.safetensors", "e003.safetensors"]
    resumed = callback()
    fit(trainer([2.5, 4]), data, epochs=5, callbacks=resumed, resume=tmp_path / "e003.safetensors")
    assert names(tmp_path) == ["e003.safetensors", "e005.safetensors"]
    other = minidl.Checkpoint(tmp_path / PATTERN, best_only=True, monitor="val_loss")
    with pytest.raises(ValueError, match="Checkpoint: monitor must be val_m, as in the run to resume, got val_loss"):
        fit(trainer([1]), data, epochs=6, callbacks=other, resume=tmp_path / "e005.safetensors")


def test_a_state_cannot_make_a_run_remove_what_the_pattern_does_not_name(data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("mine")
    fit(trainer(), data, epochs=1, callbacks=minidl.Checkpoint(tmp_path / "run" / PATTERN, keep=1))
    path = tmp_path / "run" / "e001.safetensors"
    tensors, metadata = safetensors.load(path)
    state = json.loads(metadata["state"])
    state["callbacks"][0]["values"]["files"] = ["../precious", str(tmp_path / "precious"), "e001.safetensors/../x", 7]
    safetensors.save(path, tensors, {**metadata, "state": json.dumps(state)})
    fit(trainer(), data, epochs=2, callbacks=minidl.Checkpoint(tmp_path / "run" / PATTERN, keep=1), resume=path)
    assert (tmp_path / "precious").read_text() == "mine"
    assert names(tmp_path / "run") == ["e001.safetensors", "e002.safetensors"]


def test_an_old_one_goes_only_after_the_new_one_is_there(data, tmp_path, monkeypatch):
    callback = minidl.Checkpoint(tmp_path / PATTERN, keep=1)
    run, sync = trainer(), os.fsync

    class Fill(minidl.Callback):
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3:
                monkeypatch.setattr(os, "fsync", full)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        fit(run, data, callbacks=[Fill(), callback])
    assert names(tmp_path) == ["e002.safetensors"]
    monkeypatch.setattr(os, "fsync", sync)
    fit(run, data, callbacks=callback, resume=True)
    assert names(tmp_path) == ["e004.safetensors"]


def test_within_an_epoch_the_name_is_that_of_the_running_one(data, tmp_path):
    class Press(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 4:  # the first of three steps of the second epoch
                signal.raise_signal(signal.SIGINT)

    fit(trainer(), data, callbacks=[Press(), minidl.Checkpoint(tmp_path / PATTERN)])
    assert names(tmp_path) == ["e001.safetensors", "e002.safetensors"]
    second = trainer().load(tmp_path / "e002.safetensors")
    assert (second.history.epochs, second.run.done) == (1, 8)
    # A complete epoch is not replaced by a part of the next; Ctrl-C writes nothing where only the best is wanted.
    assert trainer().load(tmp_path / "e001.safetensors").run.done == 0
    callbacks = [Press(), minidl.Checkpoint(tmp_path / "best{epoch}", best_only=True)]
    fit(trainer(), data, callbacks=callbacks)
    assert "best2" not in names(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "{epochs}"}, "with fields epoch, lr, train_..., val_..., got {epochs}"),
        ({"path": "{epoch"}, "the name '{epoch' must be one such as e{epoch:03}.safetensors: expected '}'"),
        ({"path": "{epoch.real}"}, "got {epoch.real}"),
        ({"path": "{val_loss:d}"}, "Unknown format code 'd'"),
        ({"path": "{epoch}/f"}, "only the last part of the path must have fields"),
        ({"path": "f", "keep": 2}, "keep needs a name with a field such as {epoch}, got 'f'"),
        ({"path": "{epoch}", "keep": 0}, "keep must be at least 1"),
        ({"path": "f", "monitor": "val_loss"}, "monitor must go with best_only=True"),
        ({"path": "f", "best_only": True, "every_seconds": 1}, "best_only must not go with every_seconds"),
        ({"path": "f", "best_only": True, "monitor": "lr"}, "monitor must be one of"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"Checkpoint: .*{re.escape(message)}"):
        minidl.Checkpoint(**arguments)


def test_fields_and_monitors_are_known_before_the_first_step(data, tmp_path):
    run = trainer()
    with pytest.raises(ValueError, match=r"Checkpoint: fields of the name must be of epoch, .*, got {val_f1}"):
        fit(run, data, callbacks=minidl.Checkpoint(tmp_path / "{val_f1}"))
    with pytest.raises(ValueError, match="Checkpoint: monitor is val_accuracy, but fit has no validation data"):
        run.fit(data, callbacks=minidl.Checkpoint(tmp_path / "f", best_only=True), verbose=False)
    assert run.history.epochs == 0
    assert names(tmp_path) == []


def test_braces_that_are_meant():
    assert FileNames("x", Path("a{{b}}{epoch}"), None).name(3, {}) == "a{b}3"


def test_of_two_checkpoints_each_goes_on_with_its_own_state(data, tmp_path):
    last, best = tmp_path / "last", tmp_path / "best"

    def both():  # in the order in which the first is written before the second has seen the epoch
        return [minidl.Checkpoint(last), minidl.Checkpoint(best, best_only=True, monitor="val_m", mode="max")]

    fit(trainer([0.5, 0.9]), data, epochs=2, callbacks=both())
    assert trainer([0]).load(best).history["val_m"] == [0.5, 0.9]
    written = best.read_bytes()
    resumed = both()
    fit(trainer([0.7, 0.8]), data, callbacks=resumed, resume=last)
    assert best.read_bytes() == written
    assert trainer([0]).load(last).history["val_m"] == [0.5, 0.9, 0.7, 0.8]
    assert [each.state() for each in resumed] == [{}, {"files": ["best"], "monitor": "val_m", "best": 0.9}]


def test_an_empty_state_takes_its_turn_and_is_not_loaded(data, tmp_path):
    class Keeps(minidl.Callback):
        def __init__(self, kept):
            self.kept, self.loaded = kept, []

        def state(self):
            return self.kept

        def load_state(self, state):
            self.loaded.append(state["n"])

    path = tmp_path / "f"
    fit(trainer(), data, callbacks=[Keeps({}), Keeps({"n": 2}), minidl.Checkpoint(path)])
    resumed = [Keeps({}), Keeps({})]
    fit(trainer(), data, epochs=5, callbacks=resumed, resume=path)
    assert [callback.loaded for callback in resumed] == [[], [2]]


def test_resume_takes_the_newest_file_of_a_pattern(data, tmp_path, capsys):
    whole = trainer()
    fit(whole, data, epochs=5)
    for pattern in (PATTERN, "{val_loss:.2f}-{epoch}-{lr:.1e}.st"):
        path = tmp_path / pattern
        fit(trainer(), data, epochs=2, callbacks=minidl.Checkpoint(path))
        for name in ("e999x.safetensors", "earlier.safetensors", "nearly-9-1e-1.st"):
            (tmp_path / name).write_bytes(b"of somebody else")
        (tmp_path / "e998.safetensors").mkdir(exist_ok=True)
        capsys.readouterr()
        run = trainer()
        fit(run, data, epochs=5, resume=path, verbose=True)
        assert re.search("going on from .*2.*: 2 epochs are done", capsys.readouterr().out)
        assert len(run.history.step_loss) == 15
        for name, array in whole.model.state().items():
            np.testing.assert_array_equal(run.model.state()[name], array)


def test_the_newest_is_the_one_written_last(data, tmp_path):
    for epoch in (1, 2, 10):
        (tmp_path / f"e{epoch}").touch()
        os.utime(tmp_path / f"e{epoch}", ns=(0, 100 - epoch))
    assert FileNames("Test", tmp_path / "e{epoch}", None).newest() == tmp_path / "e1"
    assert FileNames("Test", tmp_path / "f{epoch}", None).newest() is None
    assert FileNames("Test", tmp_path / "none" / "e{epoch}", None).newest() is None


def test_a_pattern_without_files_begins_anew_and_a_wrong_one_is_refused(data, tmp_path, monkeypatch, capsys):
    assert fit(trainer(), data, epochs=1, resume=tmp_path / PATTERN).epochs == 1
    with pytest.raises(ValueError, match=r"Trainer: resume: the name 'e\{seed\}' must be one such as e\{epoch:03\}"):
        fit(trainer(), data, resume=tmp_path / "e{seed}")
    fit(trainer(), data, epochs=1, callbacks=minidl.Checkpoint(tmp_path / "plain"))
    os.rename(tmp_path / "plain", tmp_path / "{odd}")  # what is there has the name
    assert len(fit(trainer(), data, epochs=2, resume=tmp_path / "{odd}").step_loss) == 6
    monkeypatch.setenv("HOME", str(tmp_path))
    os.rename(tmp_path / "{odd}", tmp_path / "e7.st")
    for home in ("~/e7.st", "~/e{epoch}.st"):
        fit(trainer(), data, epochs=2, resume=home, verbose=True)
        assert "e7.st: 1 epochs are done" in capsys.readouterr().out
