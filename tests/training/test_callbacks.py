"""Logs, the end at a target, step hooks, recorded feature maps; the callbacks about weights are in test_trainer."""

from __future__ import annotations

import io
import json
import math
import os

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    y = np.arange(24) % 3
    x = 60 * y[:, None, None, None] + rng.integers(0, 60, (24, 1, 6, 6))
    return x.astype(np.uint8), y


def trainer():
    model = minidl.Model(
        *(minidl.Conv2D(1, 3, 3, rng=1), minidl.BatchNorm2D(3), minidl.Relu(), minidl.MaxPool2D(2), minidl.Flatten()),
        *(minidl.Dropout(0.2, rng=3), minidl.Linear(12, 3, rng=2)),
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.02))


def fit(run, data, **arguments):
    arguments = {"validation": data, "epochs": 3, "batch_size": 10, "seed": 0, "verbose": False, **arguments}
    return run.fit(data, **arguments)


class Each(minidl.Callback):
    """Notes when it is called."""

    def __init__(self):
        self.calls = []

    def on_fit_begin(self, trainer):
        self.calls.append("begin")

    def on_step_end(self, trainer, history):
        self.calls.append((history.epochs, trainer.run.done, len(history.step_loss)))

    def on_epoch_end(self, trainer, history):
        self.calls.append(("epoch", history.epochs, trainer.run.done))

    def on_fit_end(self, trainer, history):
        self.calls.append("end")


def test_the_order_of_the_calls(data):
    each = Each()
    fit(trainer(), data, epochs=2, callbacks=[each])
    first = [(0, 10, 1), (0, 20, 2), (0, 24, 3), ("epoch", 1, 0)]
    second = [(1, 10, 4), (1, 20, 5), (1, 24, 6), ("epoch", 2, 0)]
    assert each.calls == ["begin", *first, *second, "end"]


# ---- logs ------------------------------------------------------------------------------------------------------------


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_logs_hold_every_number_of_the_history(data, tmp_path):
    history = fit(trainer(), data, validation=None, callbacks=[
        minidl.CSVLog(tmp_path / "log.csv"), minidl.JSONLinesLog(str(tmp_path / "log.jsonl"))])  # fmt: skip
    table = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    records = [json.loads(line) for line in lines(tmp_path / "log.jsonl")]
    assert table["epoch"].tolist() == [record["epoch"] for record in records] == [1, 2, 3]
    for key, values in history.items():
        np.testing.assert_array_equal(table[key], values)
        assert [record[key] for record in records] == [None if value != value else value for value in values]
    assert len(lines(tmp_path / "log.csv")) == 4


def test_logs_grow_epoch_by_epoch_and_begin_anew_with_a_new_run(data, tmp_path):
    path = tmp_path / "log.csv"
    seen = []

    class Count(minidl.Callback):
        def on_epoch_end(self, trainer, history):
            seen.append(len(lines(path)))

    for _ in range(2):
        fit(trainer(), data, callbacks=[minidl.CSVLog(path), Count()])
    assert seen == [2, 3, 4, 2, 3, 4]


@pytest.mark.parametrize("kind", [minidl.CSVLog, minidl.JSONLinesLog])
def test_a_resumed_run_logs_no_epoch_twice(data, tmp_path, kind):
    whole = fit(trainer(), data, epochs=5, callbacks=[kind(tmp_path / "whole")])

    class Kill(minidl.Callback):
        def on_epoch_end(self, trainer, history):
            if history.epochs == 4:
                raise RuntimeError

    checkpoint = minidl.Checkpoint(tmp_path / "run", every_epochs=2)  # the last one is that of epoch 2
    with pytest.raises(RuntimeError):
        fit(trainer(), data, epochs=5, callbacks=[kind(tmp_path / "log"), checkpoint, Kill()])
    assert len(lines(tmp_path / "log")) == 4 + (kind is minidl.CSVLog)
    with (tmp_path / "log").open("a") as file:
        file.write('{"epoch": 5, "train')  # a writer that was killed
    again = fit(trainer(), data, epochs=5, callbacks=[kind(tmp_path / "log")], resume=tmp_path / "run")

    def without_seconds(path):
        if kind is minidl.CSVLog:
            return [line.rpartition(",")[0] for line in lines(path)]
        return [{**json.loads(line), "seconds": 0} for line in lines(path)]

    assert without_seconds(tmp_path / "log") == without_seconds(tmp_path / "whole")
    assert again["val_loss"] == whole["val_loss"]


def test_a_run_without_epochs_left_completes_its_log(data, tmp_path):
    run = trainer()
    fit(run, data)
    fit(run, data, callbacks=[minidl.CSVLog(tmp_path / "log")], resume=True)
    assert len(lines(tmp_path / "log")) == 4


def test_a_log_stays_if_the_run_does_not_begin(data, tmp_path):
    (tmp_path / "log").write_text("of another run")
    with pytest.raises(ValueError, match="no validation data"):
        fit(trainer(), data, validation=None, callbacks=[minidl.CSVLog(tmp_path / "log"), minidl.KeepBest()])
    assert lines(tmp_path / "log") == ["of another run"]
    with pytest.raises(FileNotFoundError, match=r"CSVLog: the folder of .*nowhere/log' must exist"):
        fit(trainer(), data, callbacks=[minidl.CSVLog(tmp_path / "nowhere" / "log")])


# ---- a target --------------------------------------------------------------------------------------------------------


def test_a_training_ends_at_its_target(data):
    for monitor, validation in (("val_accuracy", data), ("train_accuracy", None)):
        whole = fit(trainer(), data, epochs=12, validation=validation)
        target = max(whole[monitor][:6])
        first = next(i for i, value in enumerate(whole[monitor]) if value >= target)
        callbacks = [minidl.StopAtAccuracy(target, monitor)]
        assert fit(trainer(), data, epochs=12, validation=validation, callbacks=callbacks).epochs == first + 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, r"StopAtAccuracy: target must be in \(0, 1\]"),
        ((97.5,), ValueError, r"StopAtAccuracy: target must be in \(0, 1\]"),
        (("high",), TypeError, "StopAtAccuracy: target must be"),
        ((0.5, "val_loss"), ValueError, "StopAtAccuracy: monitor must be one of val_accuracy, train_accuracy"),
    ],
)
def test_targets_are_shares_of_right_answers(arguments, error, message):
    with pytest.raises(error, match=message):
        minidl.StopAtAccuracy(*arguments)


def test_a_target_for_validation_needs_validation(data):
    with pytest.raises(ValueError, match="StopAtAccuracy: monitor is val_accuracy, but fit has no validation data"):
        fit(trainer(), data, validation=None, callbacks=[minidl.StopAtAccuracy(0.5)])


# ---- feature maps ----------------------------------------------------------------------------------------------------


def recorded(data, tmp_path, **arguments):
    pytest.importorskip("PIL")
    callback = minidl.FeatureMaps(data[0][:2], tmp_path / "maps.gif", **arguments)
    fit(trainer(), data, epochs=2, callbacks=[callback])
    return callback


def test_frames_show_the_first_layer_s_maps(data, tmp_path):
    pytest.importorskip("PIL")
    run = trainer()
    start = minidl.plots.feature_maps(run.model, data[0][:2])
    callback = minidl.FeatureMaps(data[0][:2], tmp_path / "maps.gif")
    fit(run, data, epochs=2, callbacks=[callback])
    maps = [start, None, minidl.plots.feature_maps(run.model, data[0][:2])]
    assert len(callback.frames) == 3
    for frame, expected in zip(callback.frames, maps, strict=True):
        assert frame.shape == (2 * 4 + 1, 4 * 4 + 3)  # two images; the image and three maps, 4 x 4 each
        assert frame.dtype == np.uint8
        if expected is not None:
            for row, column in np.ndindex(2, 3):
                tile = frame[5 * row : 5 * row + 4, 5 * column + 5 : 5 * column + 9]
                unit = minidl.plots.to_unit(expected[:, column], together=True)[row]
                np.testing.assert_array_equal(tile, np.round(255 * unit))


def test_the_animation_has_all_frames(data, tmp_path):
    image = pytest.importorskip("PIL.Image")
    callback = recorded(data, tmp_path, every_steps=2, maps=2)
    with image.open(tmp_path / "maps.gif") as gif:
        assert gif.n_frames == len(callback.frames) == 1 + 3  # 6 steps
        scale = -(-640 // callback.frames[0].shape[1])
        assert gif.size == (scale * callback.frames[0].shape[1], scale * callback.frames[0].shape[0] + 18)
        for frame in range(gif.n_frames):
            gif.seek(frame)
            shown = np.asarray(gif.convert("L"))[18:][::scale, ::scale]
            np.testing.assert_allclose(shown, callback.frames[frame], atol=2)
    assert callback._texts[0] == "epoch 0.00"
    assert callback._texts[1].startswith("epoch 0.83   loss ")


def test_recording_changes_nothing_of_the_training(data, tmp_path):
    pytest.importorskip("PIL")
    plain, watched = trainer(), trainer()
    fit(plain, data)
    fit(watched, data, callbacks=[minidl.FeatureMaps(data[0][:2], tmp_path / "maps.gif", every_steps=1)])
    for name, array in plain.model.state().items():
        np.testing.assert_array_equal(watched.model.state()[name], array)


def test_a_resumed_run_has_the_whole_animation(data, tmp_path):
    pytest.importorskip("PIL")

    class Kill(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 5:
                raise RuntimeError

    whole = recorded(data, tmp_path, every_steps=1)
    first = minidl.FeatureMaps(data[0][:2], tmp_path / "maps.gif", every_steps=1)
    again = minidl.FeatureMaps(data[0][:2], tmp_path / "maps.gif", every_steps=1)
    checkpoint = minidl.Checkpoint(tmp_path / "run", every_seconds=0)
    with pytest.raises(RuntimeError):
        fit(trainer(), data, epochs=2, callbacks=[first, Kill(), checkpoint])
    fit(trainer(), data, epochs=2, callbacks=[again], resume=tmp_path / "run")
    assert again.gif() == whole.gif() == (tmp_path / "maps.gif").read_bytes()
    other = minidl.FeatureMaps(data[0][:3], tmp_path / "maps.gif")
    with pytest.raises(ValueError, match="FeatureMaps: frames must have shape"):
        fit(trainer(), data, epochs=2, callbacks=[other], resume=tmp_path / "run")


def test_colour_images_are_shown_in_grey(tmp_path, rng):
    pytest.importorskip("PIL")
    model = minidl.Model(minidl.Conv2D(3, 2, 3, padding=1), minidl.Relu(), minidl.Flatten(), minidl.Linear(50, 2))
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD())
    x = rng.integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    callback = minidl.FeatureMaps(x[:1], tmp_path / "maps.gif", layer="0 Conv2D")
    run.fit((x, [0, 1, 0, 1]), callbacks=[callback], verbose=False)
    grey = minidl.plots.to_unit(x[:1].mean(axis=1))[0]
    np.testing.assert_array_equal(callback.frames[0][:, :5], np.round(255 * grey))


def test_feature_maps_refuse_what_they_cannot_show(data, tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    images = data[0][:2]
    for arguments, message in [
        ({"images": images[0]}, "images must have shape"),
        ({"images": images[:0]}, "N at least 1"),
        ({"images": np.zeros((1, 2, 6, 6), np.uint8)}, "C 1 or 3"),
        ({"every_steps": 1, "every_epochs": 1}, "cannot both be given"),
        ({"every_steps": 0}, "every_steps must be at least 1"),
        ({"maps": 0}, "maps must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=f"FeatureMaps: .*{message}"):
            minidl.FeatureMaps(**{"images": images, "path": tmp_path / "maps.gif", **arguments})
    for arguments, error, message in [
        ({"path": tmp_path / "nowhere" / "maps.gif"}, FileNotFoundError, "FeatureMaps: the folder of"),
        ({"layer": "7 Relu"}, ValueError, "no layer '7 Relu'"),
        ({"images": np.zeros((1, 1, 9, 9), np.uint8)}, ValueError, r"layer 6 \(Linear\)"),
    ]:
        run = trainer()
        callback = minidl.FeatureMaps(**{"images": images, "path": tmp_path / "maps.gif", **arguments})
        with pytest.raises(error, match=message):
            fit(run, data, callbacks=[callback])
        assert run.history.epochs == 0
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"FeatureMaps draws with Pillow: pip install 'minidl\[plot\]'"):
        fit(trainer(), data, callbacks=[minidl.FeatureMaps(images, tmp_path / "maps.gif")])
    assert os.listdir(tmp_path) == []


def test_a_gif_is_a_gif(data, tmp_path):
    image = pytest.importorskip("PIL.Image")
    callback = recorded(data, tmp_path, every_epochs=2)
    assert len(callback.frames) == 2
    with image.open(io.BytesIO(callback.gif())) as gif:
        assert gif.format == "GIF"
        assert gif.info["loop"] == 0


def test_what_is_no_callback_is_refused_by_name(data):
    class Like:
        def on_epoch_end(self, trainer, history):
            return None

        def __repr__(self):
            return "Like()"

    with pytest.raises(TypeError, match=r"callbacks must hold objects such as minidl.KeepBest\(\), got Like\(\)"):
        trainer().fit(data, callbacks=[minidl.KeepBest(), Like()], verbose=False)


def test_a_line_of_json_has_null_for_what_is_no_finite_number():
    line = minidl.JSONLinesLog("unused")._line(
        {"loss": [math.inf], "low": [-math.inf], "no": [math.nan], "a": [1.5]}, 0
    )
    assert json.loads(line) == {"epoch": 1, "loss": None, "low": None, "no": None, "a": 1.5}
