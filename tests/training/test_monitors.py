"""Metrics of one's own in history, lines and logs; what callbacks watch; the rate that falls on a plateau."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import minidl
from minidl.metrics import MacroF1, TopKAccuracy
from minidl.training.history import History

pytestmark = pytest.mark.usefixtures("plain_backend")

NAN = float("nan")


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 40)
    return (2 * np.eye(3)[y] + rng.standard_normal((40, 3))).astype(np.float32), y


def trainer(metrics=None, loss=None, lr=0.1, out=3):
    model = minidl.Model(minidl.Linear(3, 8, rng=1), minidl.Relu(), minidl.Linear(8, out, rng=2))
    return minidl.Trainer(model, loss or minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(lr), metrics=metrics)


def fit(run, data, **arguments):
    return run.fit(data, **{"batch_size": 8, "seed": 0, "verbose": False, **arguments})


class Script:
    """A metric whose values are given."""

    def __init__(self, *values, mode=None):
        self.values, self.mode = list(values), mode

    def __call__(self, scores, targets):
        return self.values.pop(0)


# ---- metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_see_all_scores_and_targets_of_the_validation_set(data):
    seen = []

    def keep(scores, targets):
        seen.append((scores, targets))
        return 0.25

    x, y = np.tile(data[0], (20, 1)), np.tile(data[1], 20)  # several batches
    run = trainer({"keep": keep, "top2": TopKAccuracy(2), "f1": MacroF1()})
    history = fit(run, data, validation=(x, y), epochs=2)
    logits = run.model.predict(x)
    np.testing.assert_allclose(seen[-1][0], logits, rtol=1e-6)
    np.testing.assert_array_equal(seen[-1][1], y)
    assert history["val_keep"] == [0.25, 0.25]
    assert history["val_top2"][-1] == TopKAccuracy(2)(logits, y)
    assert history["val_f1"][-1] == pytest.approx(MacroF1()(logits, y))
    assert tuple(history)[-3:] == ("val_keep", "val_top2", "val_f1")
    scores = run.evaluate((x, y), batch_size=7)
    assert list(scores) == ["loss", "accuracy", "keep", "top2", "f1"]
    assert scores["f1"] == history["val_f1"][-1]
    assert seen[-1][0].shape == (800, 3)


def test_metrics_see_targets_as_they_were_given(data):
    seen = []
    run = trainer({"m": lambda scores, targets: seen.append(targets) or 0}, minidl.MSELoss())
    rows = np.eye(3)[data[1]]
    for y in (data[1], rows):
        run.evaluate((data[0], y))
    np.testing.assert_array_equal(seen[0], data[1])
    np.testing.assert_array_equal(seen[1], rows)


def test_metrics_on_the_native_backend(native, data):
    run = trainer({"f1": MacroF1()})
    history = fit(run, data, validation=data, epochs=2)
    assert history["val_f1"][-1] == pytest.approx(MacroF1()(run.model.predict(data[0]), data[1]))


def test_metrics_stand_in_the_line_and_in_the_logs(data, tmp_path, capsys):
    logs = [minidl.CSVLog(tmp_path / "csv"), minidl.JSONLinesLog(tmp_path / "json")]
    run = trainer({"f1": Script(0.123456, NAN)})
    history = fit(run, data, validation=data, epochs=2, callbacks=logs, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert "%  f1 0.1235  lr 0.1" in lines[0]
    assert "f1 nan" in lines[1]
    table = np.genfromtxt(tmp_path / "csv", delimiter=",", names=True)
    np.testing.assert_array_equal(table["val_f1"], history["val_f1"])
    records = [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    assert [record["val_f1"] for record in records] == [0.123456, None]


def test_without_validation_metrics_are_nan(data):
    history = fit(trainer({"f1": MacroF1()}), data)
    assert math.isnan(history["val_f1"][0])


def test_a_resumed_run_may_have_other_metrics(data, tmp_path):
    run = trainer({"old": Script(1, 2)})
    fit(run, data, validation=data, epochs=2, callbacks=minidl.Checkpoint(tmp_path / "f"))
    again = trainer({"new": Script(5)})
    history = fit(again, data, validation=data, epochs=3, resume=tmp_path / "f")
    np.testing.assert_array_equal(history["val_old"], [1, 2, NAN])
    np.testing.assert_array_equal(history["val_new"], [NAN, NAN, 5])
    with pytest.raises(ValueError, match="History: a state must hold exactly"):
        History.from_state({**history.state(), "test_new": np.zeros(3)})


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([MacroF1()], TypeError, "Trainer: metrics must be a dict"),
        ({"f1": MacroF1}, TypeError, "the metric f1 must be a function"),
        ({"f1": 0.5}, TypeError, "the metric f1 must be a function"),
        ({"loss": MacroF1()}, ValueError, "other than loss and accuracy, got 'loss'"),
        ({"a,b": MacroF1()}, ValueError, "letters, digits, _ and -"),
        ({"a": Script(mode="most")}, ValueError, "the metric a must have the mode 'max' or 'min'"),
    ],
)
def test_metrics_are_functions_by_name(metrics, error, message):
    with pytest.raises(error, match=message):
        trainer(metrics)


def test_a_metric_gives_a_number(data):
    with pytest.raises(TypeError, match=r"the metric m must give a number, got \[1, 2\]"):
        trainer({"m": lambda scores, targets: [1, 2]}).evaluate(data)


# ---- monitors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "own", "best"),
    [
        ("f1", None, None, 1),
        ("f1", "min", None, 2),
        ("mae", None, "min", 2),
        ("mae", "max", "min", 1),
        ("my_error", None, None, 2),
        ("my-loss", None, None, 2),
    ],
)
def test_every_callback_watches_metrics_and_knows_which_way_is_better(data, name, mode, own, best):
    run = trainer({name: Script(0.5, 0.9, 0.1, 0.9, mode=own)})
    keep = minidl.KeepBest(f"val_{name}", mode=mode)
    history = fit(run, data, validation=data, epochs=4, callbacks=keep)
    assert keep.best_epoch == best
    assert history.best(f"val_{name}", mode) == best


def test_a_loaded_history_knows_what_is_better(data, tmp_path):
    run = trainer({"mae": Script(0.5, 0.9, 0.1, mode="min")})
    fit(run, data, validation=data, epochs=3)
    run.save(tmp_path / "f")
    assert trainer({"mae": Script(mode="min")}).load(tmp_path / "f").history.best("val_mae") == 2


def test_early_stopping_and_stop_at_watch_metrics(data):
    values = (0.5, 0.4, 0.6, 0.7, 0.8, 0.1)
    run = trainer({"mae": Script(*values, mode="min")})
    assert fit(run, data, validation=data, epochs=6, callbacks=minidl.EarlyStopping("val_mae", 2)).epochs == 4
    run = trainer({"f1": Script(*values)})
    assert fit(run, data, validation=data, epochs=6, callbacks=minidl.StopAt("val_f1", 0.7)).epochs == 4
    run = trainer({"mae": Script(*values, mode="min")})
    assert fit(run, data, validation=data, epochs=6, callbacks=minidl.StopAt("val_mae", 0.4)).epochs == 2
    run = trainer()
    whole = fit(run, data, epochs=6)
    target = whole["train_loss"][3]
    assert fit(trainer(), data, epochs=6, callbacks=minidl.StopAt("train_loss", target)).epochs == 4


@pytest.mark.parametrize("make", [minidl.KeepBest, minidl.EarlyStopping, lambda: minidl.ReduceLROnPlateau(None)])
def test_the_default_monitor_fits_the_loss(data, make):
    callback = make()
    run = trainer(loss=minidl.MSELoss(), lr=0.01, out=1)
    numbers = data[0], data[0][:, :1]
    history = fit(run, numbers, validation=numbers, epochs=3, callbacks=callback)
    assert callback.state()["monitor"] == "val_loss"
    assert min(history["val_loss"]) in callback.state().values()
    fit(run, numbers, validation=numbers, epochs=4, callbacks=callback, resume=True)
    assert callback.state()["monitor"] == "val_loss"
    if callback.monitor is None:
        fit(trainer(), data, validation=data, epochs=1, callbacks=callback)
        assert callback.state()["monitor"] == "val_accuracy"


@pytest.mark.parametrize(
    "make",
    [
        lambda: minidl.KeepBest("val_accuracy"),
        lambda: minidl.EarlyStopping("val_accuracy"),
        lambda: minidl.StopAtAccuracy(0.5),
        lambda: minidl.ReduceLROnPlateau("val_accuracy"),
        lambda: minidl.Checkpoint("f", best_only=True, monitor="val_accuracy"),
    ],
)
def test_a_monitor_that_never_has_a_number_is_an_error_after_the_first_epoch(data, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = trainer(loss=minidl.MSELoss(), lr=0.01, out=1)
    numbers = data[0], data[0][:, :1]
    with pytest.raises(ValueError, match=r"val_accuracy must be a number after the first epoch.* watch val_loss"):
        fit(run, numbers, validation=numbers, epochs=3, callbacks=make())
    assert run.history.epochs == 1


def test_so_is_a_metric_that_gives_nan(data):
    with pytest.raises(ValueError, match=r"KeepBest: monitor val_f1 must be a number .* the metric gave nan"):
        fit(trainer({"f1": Script(NAN)}), data, validation=data, callbacks=minidl.KeepBest("val_f1"))
    keep = minidl.KeepBest("val_f1")
    fit(trainer({"f1": Script(0.5, NAN, 0.75)}), data, validation=data, epochs=3, callbacks=keep)
    assert keep.best_epoch == 2


def test_monitors_that_are_not_there_are_refused_before_the_first_step(data):
    run = trainer({"f1": MacroF1()})
    for make in (minidl.KeepBest, minidl.EarlyStopping, minidl.ReduceLROnPlateau, lambda name: minidl.StopAt(name, 1)):
        with pytest.raises(ValueError, match=r"monitor must be one of train_loss, .*val_f1, got 'val_f2'"):
            fit(run, data, validation=data, callbacks=make("val_f2"))
        with pytest.raises(ValueError, match="monitor is val_f1, but fit has no validation data"):
            fit(run, data, callbacks=make("val_f1"))
    assert run.history.epochs == 0
    for arguments, message in [
        ({"monitor": "f1"}, "KeepBest: monitor must be one of"),
        ({"monitor": "val_f1", "mode": "up"}, "KeepBest: mode must be 'max', 'min' or None, got 'up'"),
        ({"mode": "max"}, "KeepBest: mode needs a monitor"),
    ]:
        with pytest.raises(ValueError, match=message):
            minidl.KeepBest(**arguments)


# ---- the rate on a plateau -------------------------------------------------------------------------------------------


def plateau(data, values, lr=0.8, **arguments):
    """The rates of the epochs."""
    run = trainer({"m": Script(*values, mode="min")}, lr=lr)
    callback = minidl.ReduceLROnPlateau("val_m", factor=0.5, **arguments)
    return fit(run, data, validation=data, epochs=len(values), callbacks=callback)["lr"]


def test_the_rate_falls_after_patience_epochs_without_improvement(data):
    values = [1.0, 0.9, 0.95, 0.92, 0.91, 0.9, 0.8, 0.8]
    assert plateau(data, values, patience=2) == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2]
    assert plateau(data, values, patience=3) == [0.8] * 5 + [0.4] * 3
    # An improvement must be larger than min_delta.
    assert plateau(data, [1.0, 0.95, 0.9, 0.85], patience=2, min_delta=0.2) == [0.8, 0.8, 0.8, 0.4]
    assert plateau(data, [1.0, 0.95, 0.9, 0.7], patience=2, min_delta=0.08) == [0.8] * 4


def test_epochs_of_cooldown_do_not_count_as_waiting(data):
    flat = [1.0] * 9
    assert plateau(data, flat, patience=1) == [0.8, 0.8, 0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625]
    # Reduced after epoch 2; the third epoch cools, the fourth is waited for.
    assert plateau(data, flat, patience=1, cooldown=2) == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.05]


def test_the_rate_has_a_floor_and_a_line(data, capsys):
    assert plateau(data, [1.0] * 5, patience=1, min_lr=0.3) == [0.8, 0.8, 0.4, 0.3, 0.3]
    run = trainer({"m": Script(1, 1, 1)}, lr=0.8)
    callback = minidl.ReduceLROnPlateau("val_m", patience=2)
    fit(run, data, validation=data, epochs=3, callbacks=callback, verbose=True)
    assert "ReduceLROnPlateau: lr 0.08 from epoch 4 on (val_m has not improved for 2 epochs)" in capsys.readouterr().out


def test_a_resumed_run_goes_on_waiting_with_the_rate_it_had(data, tmp_path):
    values = [1.0] * 8

    def run_to(epochs, start, **arguments):
        run = trainer({"m": Script(*values[start:])}, lr=0.8)
        callbacks = [minidl.ReduceLROnPlateau("val_m", 0.5, 3, cooldown=1), minidl.Checkpoint(tmp_path / "f")]
        return fit(run, data, validation=data, epochs=epochs, callbacks=callbacks, **arguments)["lr"]

    whole = run_to(8, 0)
    for epochs in (3, 4, 5):
        run_to(epochs, 0)
        assert run_to(8, epochs, resume=tmp_path / "f") == whole


def test_a_schedule_and_a_plateau_do_not_go_together(data):
    run = trainer(lr=minidl.Cosine(0.1))
    with pytest.raises(ValueError, match="ReduceLROnPlateau: the optimizer's lr must be a number, got Cosine"):
        fit(run, data, validation=data, callbacks=minidl.ReduceLROnPlateau())
    inner = minidl.Lookahead(minidl.SGD(minidl.Cosine(0.1)))
    run = minidl.Trainer(run.model, run.loss, inner)
    with pytest.raises(ValueError, match="must be a number, got Cosine"):
        fit(run, data, validation=data, callbacks=minidl.ReduceLROnPlateau())


@pytest.mark.parametrize(
    "arguments", [{"factor": 1}, {"factor": 0}, {"patience": 0}, {"min_delta": -1}, {"cooldown": -1}, {"min_lr": NAN}]
)
def test_arguments_of_the_plateau(arguments):
    with pytest.raises(ValueError, match=f"ReduceLROnPlateau: {next(iter(arguments))} must be"):
        minidl.ReduceLROnPlateau(**arguments)


def test_a_schedule_that_gives_no_rate_is_named(data):
    for rate in (-0.1, NAN, math.inf):
        run = trainer(lr=lambda epoch, epochs, rate=rate: 0.1 if epoch < 1 else rate)
        with pytest.raises(ValueError, match="SGD: the schedule's rate in epoch 1 must be at least 0, got"):
            fit(run, data, epochs=2)
        assert run.history.epochs == 1


def around(kind):
    """The optimiser of a two-layer network around an `SGD` of rate 0.4; its own rate is 0.8, where it has one."""
    inner = minidl.SGD(0.4)
    return {
        "muon": lambda: minidl.Muon(inner, ["0.weight"], lr=0.8),
        "lookahead": lambda: minidl.Lookahead(inner),
        "both": lambda: minidl.Lookahead(minidl.Muon(inner, ["0.weight"], lr=0.8)),
    }[kind](), inner


@pytest.mark.parametrize(("kind", "own"), [("muon", 0.8), ("lookahead", 0.4), ("both", 0.8)])
def test_the_rate_of_an_optimiser_inside_falls_too(data, kind, own, capsys):
    optimizer, inner = around(kind)
    run = trainer({"m": Script(1.0, 0.9, 0.9, 0.9)})
    run.optimizer = optimizer
    callback = minidl.ReduceLROnPlateau("val_m", factor=0.5, patience=2, min_lr=0.15)
    history = fit(run, data, validation=data, epochs=4, callbacks=callback, verbose=True)
    assert history["lr"] == [own, own, own, own / 2]
    assert (optimizer.lr, inner.lr) == (own / 2, 0.2)
    assert ("lr 0.4, 0.2 from" if own == 0.8 else "lr 0.2 from") in capsys.readouterr().out


def test_each_rate_falls_to_the_least_one_by_itself(data):
    optimizer, inner = around("muon")
    run = trainer({"m": Script(*[1.0] + [0.9] * 5)})
    run.optimizer = optimizer
    callback = minidl.ReduceLROnPlateau("val_m", factor=0.5, patience=1, min_lr=0.15)
    fit(run, data, validation=data, epochs=6, callbacks=callback)
    assert (optimizer.lr, inner.lr) == (0.15, 0.15)


def test_a_schedule_inside_is_refused_beside_a_plateau(data):
    run = trainer()
    run.optimizer = minidl.Muon(minidl.SGD(minidl.Cosine(0.1)), ["0.weight"])
    with pytest.raises(ValueError, match="lr must be a number, got Cosine"):
        fit(run, data, validation=data, callbacks=minidl.ReduceLROnPlateau())


@pytest.mark.parametrize("kind", ["muon", "lookahead", "both"])
def test_the_rates_inside_come_back_with_a_file(data, kind, tmp_path):
    """Cut off after the reduction, a run ends in the same bits and rates; a script's new rate inside holds."""

    def make(inside=0.4):
        optimizer, inner = around(kind)
        inner.lr = inside
        run = trainer({"m": lambda scores, targets: 0.5})
        run.optimizer = optimizer
        return run, inner

    def go(run, epochs, **arguments):
        callbacks = [minidl.ReduceLROnPlateau("val_m", factor=0.5, patience=2), minidl.Checkpoint(tmp_path / "f")]
        fit(run, data, validation=data, epochs=epochs, callbacks=callbacks, **arguments)

    whole, rate = make()
    go(whole, 6)
    go(make()[0], 4)
    second, inner = make()
    go(second, 6, resume=tmp_path / "f")
    assert inner.lr == rate.lr == 0.1
    for name, array in whole.model.state().items():
        np.testing.assert_array_equal(second.model.state()[name], array)
    go(make()[0], 4)
    if kind != "lookahead":
        third, inner = make(0.3)
        third.load(tmp_path / "f")
        assert (third.optimizer.lr, inner.lr) == (0.4, 0.3)
