"""What holds when a run is resumed by a script with other settings: those of the script, and a line that says so."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 40)
    return (4 * np.eye(3)[y] + rng.standard_normal((40, 3))).astype(np.float32), y


def trainer(optimizer, smoothing=0.0, rate=0.1):
    model = minidl.Model(
        minidl.Linear(3, 8, rng=1), minidl.Relu(), minidl.Dropout(rate, rng=2), minidl.Linear(8, 3, rng=3)
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(smoothing), optimizer)


def fit(run, data, epochs, **arguments):
    return run.fit(data, epochs=epochs, batch_size=10, seed=0, **arguments)


@pytest.fixture
def path(data, tmp_path, capsys):
    """A run of two epochs with lr 0.1."""
    fit(trainer(minidl.SGD(0.1, 0.9)), data, 2, callbacks=minidl.Checkpoint(tmp_path / "f"))
    capsys.readouterr()
    return tmp_path / "f"


def lines(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("epoch")]


def test_another_rate_of_the_script_holds_and_is_told(data, path, capsys):
    run = trainer(minidl.SGD(0.05, 0.9))
    assert fit(run, data, 4, resume=path)["lr"] == [0.1, 0.1, 0.05, 0.05]
    told = lines(capsys)
    assert told[0] == f"going on from {path}: 2 epochs are done"
    assert told[1:] == ["other settings than before, which hold from now on: lr 0.05 (was 0.1)"]


def test_the_same_settings_are_not_worth_a_line(data, path, capsys):
    assert fit(trainer(minidl.SGD(0.1, 0.9)), data, 4, resume=path)["lr"] == [0.1] * 4
    assert len(lines(capsys)) == 1


def test_every_other_setting_holds_too(data, path, capsys):
    run = trainer(minidl.SGD(minidl.Cosine(0.05), 0.5, weight_decay=0.01), 0.1, 0.2)
    fit(run, data, 4, resume=path)
    told = lines(capsys)[-1]
    for text in (
        "lr Cosine(lr=0.05",
        "optimizer.momentum 0.5 (was 0.9)",
        "optimizer.weight_decay 0.01 (was 0.0)",
        "loss.label_smoothing 0.1 (was 0.0)",
        "2 Dropout.rate 0.2 (was 0.1)",
    ):
        assert text in told


def test_settings_of_callbacks_are_told(data, tmp_path, capsys):
    def callbacks(patience):
        return [minidl.EarlyStopping("train_loss", patience), minidl.Checkpoint(tmp_path / "f")]

    fit(trainer(minidl.SGD(0.01)), data, 1, callbacks=callbacks(5))
    fit(trainer(minidl.SGD(0.01)), data, 2, callbacks=callbacks(7), resume=tmp_path / "f")
    assert "EarlyStopping.patience 7 (was 5)" in capsys.readouterr().out


class Halve(minidl.Callback):
    def on_epoch_end(self, trainer, history):
        trainer.optimizer.lr /= 2


def test_a_rate_that_the_run_itself_has_changed_goes_on(data, tmp_path, capsys):
    callbacks = [Halve(), minidl.Checkpoint(tmp_path / "f")]
    fit(trainer(minidl.SGD(0.08)), data, 2, callbacks=callbacks)
    run = trainer(minidl.SGD(0.08))
    assert fit(run, data, 3, callbacks=callbacks, resume=tmp_path / "f")["lr"] == [0.08, 0.04, 0.02]
    assert "other settings" not in capsys.readouterr().out
    # Again, of a run that was resumed; and in the process that has trained.
    assert fit(trainer(minidl.SGD(0.08)), data, 4, resume=tmp_path / "f")["lr"] == [0.08, 0.04, 0.02, 0.01]
    assert fit(run, data, 4, resume=tmp_path / "f")["lr"] == [0.08, 0.04, 0.02, 0.01]
    assert "other settings" not in capsys.readouterr().out
    assert fit(trainer(minidl.SGD(0.3)), data, 4, resume=tmp_path / "f")["lr"] == [0.08, 0.04, 0.02, 0.3]


def test_the_same_rule_for_load_and_in_one_process(data, path, capsys):
    run = trainer(minidl.SGD(0.05, 0.9))
    assert run.load(path).optimizer.lr == 0.05
    assert fit(run, data, 3, resume=True)["lr"] == [0.1, 0.1, 0.05]
    assert "lr 0.05 (was 0.1)" in capsys.readouterr().out
    run.optimizer.lr = 0.02
    assert fit(run, data, 4, resume=True)["lr"][-1] == 0.02
    assert "lr 0.02 (was 0.05)" in capsys.readouterr().out
    same = trainer(minidl.SGD(0.1, 0.9)).load(path)
    assert fit(same, data, 3, resume=True)["lr"] == [0.1] * 3
    assert "other settings" not in capsys.readouterr().out


def test_lookahead_s_own_and_inner_settings(data, tmp_path, capsys):
    def make(lr, alpha, decay):
        return trainer(minidl.Lookahead(minidl.AdamW(lr, weight_decay=decay), alpha=alpha))

    fit(make(0.1, 0.5, 0.01), data, 1, callbacks=[minidl.Checkpoint(tmp_path / "f")])
    run = make(0.2, 0.4, 0.02)
    assert fit(run, data, 2, resume=tmp_path / "f")["lr"] == [0.1, 0.2]
    told = lines(capsys)[-1]
    for text in ("lr 0.2 (was 0.1)", "optimizer.alpha 0.4 (was 0.5)", "optimizer.weight_decay 0.02 (was 0.01)"):
        assert text in told
