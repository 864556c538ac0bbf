"""The folder of pictures: what is in it, and what is said of the rest, whatever was trained."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

import minidl
from minidl import plots
from minidl.data import Views
from minidl.plots.judged import judge

HISTORY = {
    "train_loss": [2.0, 1.0, 0.5],
    "train_accuracy": [0.3, 0.6, 0.8],
    "val_loss": [2.1, 1.2, 0.8],
    "val_accuracy": [0.25, 0.5, 0.75],
}
REGRESSION = {**HISTORY, "train_accuracy": [np.nan] * 3, "val_accuracy": [np.nan] * 3}

ALL = ["curves", "filters", "feature_maps", "confusion", "mistakes", "overview", "histograms"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def images(channels=1, n=8):
    return np.random.default_rng(0).integers(0, 256, (n, channels, 8, 8), np.uint8)


def network(channels=1, outputs=4):
    return minidl.Model(
        minidl.Conv2D(channels, 3, 3), minidl.Relu(), minidl.Flatten(), minidl.Linear(108, outputs)
    )  # fmt: skip


def stems(result, folder):
    for path in result:
        assert path.parent == folder
        assert path.read_bytes().startswith(b"\x89PNG")
    return [path.stem for path in result]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_the_report_of_a_classifier_is_seven_pictures(tmp_path, channels):
    folder = tmp_path / "new" / "folder"
    result = plots.save_report(network(channels), HISTORY, (images(channels), np.arange(8) % 4), folder)
    assert stems(result, folder) == ALL
    assert result.left_out == {"prediction": "the targets are classes, not numbers"}


def test_the_report_judges_as_the_views_do(tmp_path, monkeypatch):
    x, y = np.zeros((2, 1, 8, 8), np.uint8), np.arange(2)
    model = network(outputs=2)
    counted = []
    monkeypatch.setattr(model, "predict", lambda x, views=None: np.eye(2)[[1, 0] if views else [0, 1]])
    monkeypatch.setattr(plots.arrays, "confusion_counts", lambda *a: counted.append(a[1]) or np.eye(2, dtype=int))
    for views in (None, Views()):
        plots.save_report(model, HISTORY, (x, y), tmp_path, views=views)
    # Each report counts for the confusion matrix and for the overview.
    np.testing.assert_array_equal(counted, [[0, 1], [0, 1], [1, 0], [1, 0]])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool", "float32"])
def test_labels_of_any_dtype_one_hot_rows_and_columns_are_classes(dtype):
    y = np.arange(8) % 2
    forms = [y.astype(dtype), y.astype(dtype)[:, None]] if dtype != "float32" else []
    for targets in (*forms, np.eye(2)[y].astype(dtype)):
        known = judge(np.zeros((8, 2)), targets, HISTORY)
        assert known.kind == "classes"
        assert known.truth.dtype == np.intp
        assert known.truth.tolist() == y.tolist()


def test_one_hot_training_is_drawn(tmp_path):
    targets = np.eye(4)[np.arange(8) % 4]
    assert stems(plots.save_report(network(), HISTORY, (images(), targets), tmp_path), tmp_path) == ALL


def test_a_model_without_relu_or_images_leaves_out_what_it_does_not_have(tmp_path):
    x, y = np.random.default_rng(0).random((30, 5), np.float32), np.arange(30) % 3
    result = plots.save_report(minidl.Model(minidl.Linear(5, 3)), HISTORY, (x, y), tmp_path)
    assert stems(result, tmp_path) == ["curves", "confusion", "histograms"]
    assert result.left_out == {
        "filters": "the first weights are not those of a convolution",
        "feature_maps": "the inputs (30, 5) are no images",
        "mistakes": "pictures: rows of 5 numbers are no square images",
        "overview": "pictures: rows of 5 numbers are no square images",
        "prediction": "the targets are classes, not numbers",
    }
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert (list(other), other.left_out) == (list(result), result.left_out)
    assert str(result).splitlines()[-1] == "prediction    left out: the targets are classes, not numbers"
    assert "left out: the inputs (30, 5) are no images</td>" in result._repr_html_()


def test_flat_images_and_a_convolution_behind_another_layer_are_drawn(tmp_path):
    x, y = images(), np.arange(8) % 4
    perceptron = minidl.Model(minidl.Linear(64, 4))
    result = plots.save_report(perceptron, HISTORY, (x.reshape(8, 64), y), tmp_path)
    assert stems(result, tmp_path) == [key for key in ALL if key != "feature_maps"]
    normalised = minidl.Model(
        *(minidl.BatchNorm2D(1), minidl.Conv2D(1, 3, 3), minidl.Flatten(), minidl.Linear(108, 4))
    )  # fmt: skip
    assert stems(plots.save_report(normalised, HISTORY, (x, y), tmp_path), tmp_path) == ALL


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_has_predictions_and_no_classes(tmp_path, outputs):
    x, y = images(), np.random.default_rng(1).random((8, outputs))
    result = plots.save_report(network(outputs=outputs), REGRESSION, (x, y), tmp_path, loss=minidl.MSELoss())
    assert stems(result, tmp_path) == ["curves", "filters", "feature_maps", "prediction", "histograms"]
    assert result.left_out == dict.fromkeys(
        ("confusion", "mistakes", "overview"), "the targets are numbers, not classes"
    )


def test_images_as_outputs_are_numbers(tmp_path):
    x = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    model = minidl.Model(minidl.Conv2D(1, 1, 3, padding=1))
    result = plots.save_report(model, REGRESSION, (x, x), tmp_path)
    assert stems(result, tmp_path) == ["curves", "filters", "feature_maps", "prediction", "histograms"]


def test_what_outputs_mean_is_told_by_the_targets():
    z = np.array([[2.0, -1.0], [-3.0, 1.0], [0.5, 0.0]])
    several = np.array([[1, 1], [0, 1], [0, 0]])
    assert judge(z, [0, 1, 0], HISTORY).kind == "classes"
    assert judge(z, np.eye(2)[[0, 1, 0]], HISTORY).truth.tolist() == [0, 1, 0]
    assert judge(z, [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], HISTORY).truth.tolist() == [0, 1, 0]
    assert judge(z, several, HISTORY).kind == "decisions"
    assert judge(z, several, REGRESSION).kind == "numbers"
    assert judge(z, several, REGRESSION, "SigmoidCrossEntropyLoss").kind == "decisions"
    assert judge(z, several + 0.25, HISTORY).kind == "numbers"
    # A single yes or no has the logits 0 and z.
    binary = judge(z[:, :1], np.array([1, 0, 0]), HISTORY)
    assert binary.kind == "classes"
    assert binary.scores.tolist() == [[0, 2], [0, -3], [0, 0.5]]
    assert binary.truth.tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match=r"targets \(2,\) do not go with outputs \(3, 2\)"):
        judge(z, [0, 1], HISTORY)


def test_errors_are_told_by_a_warning_and_the_rest_is_drawn(tmp_path, monkeypatch):
    model, x = network(), images()
    with pytest.warns(UserWarning, match=r"left out judgement \(ValueError: targets \(3,\) do not go with outputs"):
        result = plots.save_report(model, HISTORY, (x, np.zeros(3)), tmp_path)
    assert stems(result, tmp_path) == ["curves", "filters", "feature_maps", "histograms"]
    assert result.left_out["confusion"] == "the outputs could not be judged"

    with pytest.warns(UserWarning, match="names must have one name a class, 4, got 2"):
        result = plots.save_report(model, HISTORY, (x, np.arange(8) % 4), tmp_path, names=["a", "b"])
    assert stems(result, tmp_path) == ALL

    def fail(*a, **k):
        raise MemoryError("no room")

    monkeypatch.setattr(plots.figures, "mistakes_figure", fail)
    with pytest.warns(UserWarning, match=r"left out mistakes \(MemoryError: no room\)$"):
        result = plots.save_report(model, HISTORY, (x, np.arange(8) % 4), tmp_path)
    assert stems(result, tmp_path) == [key for key in ALL if key != "mistakes"]


def test_no_input_makes_the_report_fail(tmp_path, monkeypatch):
    model, x, y = network(), images(), np.arange(8) % 4
    (tmp_path / "file").write_text("")
    broken = [
        (model, {}, (x, y), tmp_path / "file" / "below"),
        (model, {"train_loss": ["?"]}, None, tmp_path),
        (model, HISTORY, (x.astype(str), y.astype(str)), tmp_path),
        (model, HISTORY, (x[:, :, :4], y), tmp_path),
        (minidl.Model(minidl.Flatten()), HISTORY, (x, y), tmp_path),
        (object(), HISTORY, (x, y), tmp_path),
    ]
    for arguments in broken:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = plots.save_report(*arguments)
        assert set(plots.report.KEYS) == {path.stem for path in result} | (
            set(result.left_out) & set(plots.report.KEYS)
        )
        assert (
            any("save_report: left out" in str(warning.message) for warning in caught) or "confusion" in result.left_out
        )
    for empty in (x[:0], y[:0]), (x[:1], y[:1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert "curves" in {path.stem for path in plots.save_report(model, HISTORY, empty, tmp_path)}
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "minidl.plots.picture", raising=False)
    with pytest.warns(UserWarning, match=r"pip install 'minidl\[plot\]'"):
        assert plots.save_report(model, HISTORY, (x, y), tmp_path) == []


def test_names_of_any_kind_and_broken_weights_are_drawn(tmp_path):
    model, x, y = network(), images(), np.arange(8) % 4
    model.parameters()[0].data[0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = plots.save_report(model, HISTORY, (x, y), tmp_path, names=np.arange(4) * 10)
    assert stems(result, tmp_path) == ALL


def test_the_overview_has_curves_the_confusion_matrix_and_the_worst_mistakes():
    x, y = images(3, 20), np.arange(20) % 4
    logits = np.eye(4)[y] * 5.0
    logits[:10] = np.roll(logits[:10], 1, axis=1)
    logits[0] *= 2
    figure = plots.overview_figure(
        HISTORY, x, logits, y, ["a", "b", "c", "d"], "small", minidl.SoftmaxCrossEntropyLoss()
    )
    assert figure.get_suptitle() == "small"
    assert [axes.get_ylabel() for axes in figure.axes[:3]] == ["cross-entropy loss", "accuracy / %", "true class"]
    assert figure.axes[2].get_title() == "10 of 20 right (50.00 %)"
    mistakes = [axes for axes in figure.axes if axes.get_title().startswith("true ")]
    assert len(mistakes) == 9
    assert mistakes[0].get_title() == "true a  <0.1%\nguess b  100.0%"
    np.testing.assert_array_equal(mistakes[0].get_images()[0].get_array(), x[0].transpose(1, 2, 0) / 255)
    assert figure.subfigs[2].get_suptitle() == "the worst 9 of 10 mistakes"
    perfect = plots.overview_figure(HISTORY, x, np.eye(4)[y], y)
    assert perfect.subfigs[2].texts[0].get_text() == "no mistakes among 20 images"
