"""The arrays by value, the figures by what stands on them. No display is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import plots
from minidl.data import AlternatingFlip, Views

HISTORY = {
    "train_loss": [2.0, 1.0, 0.5],
    "train_accuracy": [0.3, 0.6, 0.8],
    "val_loss": [2.1, 1.2, 0.8],
    "val_accuracy": [0.25, 0.5, 0.75],
}


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def images(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def test_to_unit_stretches_each_image_or_all_together():
    x = np.array([[[0, 5], [10, 10]], [[3, 3], [3, 3]]])
    np.testing.assert_array_equal(plots.to_unit(x), [[[0, 0.5], [1, 1]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(plots.to_unit(x, together=True), [[[0, 0.5], [1, 1]], [[0.3, 0.3], [0.3, 0.3]]])
    assert plots.to_unit(np.zeros((0, 2, 2))).shape == (0, 2, 2)


def test_image_grid_places_images_row_by_row_with_a_gap():
    x = np.stack([np.full((1, 2), value) for value in (1, 2, 3)])
    expected = [
        [1, 1, 9, 2, 2],
        [9, 9, 9, 9, 9],
        [3, 3, 9, 9, 9],
    ]
    np.testing.assert_array_equal(plots.image_grid(x, columns=2, gap=1, fill=9), expected)
    np.testing.assert_array_equal(plots.image_grid(x, gap=1, fill=9), expected)  # three images: a square of 2 x 2
    np.testing.assert_array_equal(plots.image_grid(x, columns=3, gap=0), [[1, 1, 2, 2, 3, 3]])


def test_image_grid_keeps_colours():
    x = np.arange(2 * 2 * 2 * 3, dtype=float).reshape(2, 2, 2, 3)
    grid = plots.image_grid(x, columns=1, gap=1, fill=-1)
    assert grid.shape == (5, 2, 3)
    np.testing.assert_array_equal(grid[:2], x[0])
    np.testing.assert_array_equal(grid[2], np.full((2, 3), -1))
    np.testing.assert_array_equal(grid[3:], x[1])


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2, 4), (0, 2, 2)])
def test_image_grid_refuses_what_is_no_list_of_images(shape):
    with pytest.raises(ValueError, match="image_grid"):
        plots.image_grid(np.zeros(shape))


def test_probabilities_are_a_shifted_softmax():
    p = plots.probabilities(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
    np.testing.assert_allclose(p, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-15)
    assert plots.probabilities(np.zeros((0, 3))).shape == (0, 3)


def test_confusion_counts_have_the_truth_in_rows():
    counts = plots.confusion_counts([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 2, 2], 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [1, 0, 2]])


def test_confusion_counts_refuse_unknown_classes_and_unequal_lengths():
    with pytest.raises(ValueError, match=r"guess must lie in \[0, 2\), got 0 to 2"):
        plots.confusion_counts([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match="one length"):
        plots.confusion_counts([0, 1], [0], 2)


def test_worst_mistakes_come_in_the_order_of_their_truth_s_probability():
    logits = np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.01, 0.99]])
    truth = np.array([0, 0, 1, 0])
    found = plots.worst_mistakes(logits, truth)
    assert [(m.place, m.truth, m.guess) for m in found] == [(3, 0, 1), (1, 0, 1), (2, 1, 0)]
    np.testing.assert_allclose([m.p_truth for m in found], [0.01, 0.2, 0.4])
    np.testing.assert_allclose([m.p_guess for m in found], [0.99, 0.8, 0.6])
    assert plots.worst_mistakes(logits, truth, count=1) == found[:1]
    assert plots.worst_mistakes(logits, np.array([0, 1, 0, 1])) == []


def test_histogram_counts_every_value_and_sets_aside_what_is_not_finite():
    h = plots.histogram(np.array([[0.0, 1.0, 10.0], [np.nan, np.inf, 10.0]]))
    assert h.not_finite == 2
    assert h.counts.sum() == 4
    assert h.edges[0] == 0
    assert h.edges[-1] == 10
    assert h.counts[0] == 1
    assert h.counts[1] == 1
    assert h.counts[-1] == 2
    assert len(plots.histogram(np.arange(10_000)).counts) == 60


def test_feature_maps_are_those_of_the_first_relu():
    conv = minidl.Conv2D(1, 2, 1, init=lambda shape, rng: np.array([1.0, -2.0]).reshape(shape))
    model = minidl.Model(conv, minidl.Relu(), minidl.Flatten(), minidl.Linear(8, 2))
    x = np.array([[[[1.0, -1.0], [0.5, 0.0]]]], np.float32)
    maps = plots.feature_maps(model, x)
    np.testing.assert_array_equal(maps, [[[[1, 0], [0.5, 0]], [[0, 2], [0, 0]]]])
    name = model.activations(x)[0][0]
    np.testing.assert_array_equal(plots.feature_maps(model, x, name)[0, 1], [[-2, 2], [-1, 0]])
    with pytest.raises(ValueError, match="no layer 'nonsense' among"):
        plots.feature_maps(model, x, "nonsense")
    with pytest.raises(ValueError, match=r"must have shape \(N, C, H, W\)"):
        plots.feature_maps(model, x, model.activations(x)[-1][0])


def test_curves_show_both_sets_against_the_epoch():
    figure = plots.curves_figure(HISTORY, "digits")
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "cross-entropy loss"
    assert accuracy.get_ylabel() == "accuracy / %"
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), HISTORY["val_loss"])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), [30, 60, 80])
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["training", "validation"]


def test_the_epoch_axis_has_whole_numbers_even_for_one_epoch():
    axes = plots.curves_figure({key: values[:1] for key, values in HISTORY.items()}).axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1.0]


def test_curves_without_validation_have_one_line():
    figure = plots.curves_figure({**HISTORY, "val_loss": [], "val_accuracy": []})
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]


def test_comparison_draws_one_line_a_model():
    axes = plots.comparison_figure({"MLP": HISTORY, "CNN": {**HISTORY, "val_accuracy": [0.5, 0.9, 1.0]}}).axes[0]
    assert [line.get_label() for line in axes.lines] == ["MLP", "CNN"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [50, 90, 100])


def test_lines_have_names_and_axes():
    axes = plots.lines_figure({"signal": [1, 2, 4], "filtered": [1, 1]}, "sample", "value", "smoothing").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("sample", "value", "smoothing")
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 2, 4], [1, 1]]


def test_images_have_titles_and_empty_places_stay_empty():
    figure = plots.images_figure([np.zeros((2, 2)), np.ones((3, 3, 3)), np.ones((1, 4))], ["a", "b", "c"], columns=2)
    assert titles(figure) == ["a", "b", "c", ""]
    assert [image.shape for image in images(figure)] == [(2, 2), (3, 3, 3), (1, 4)]


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_figure_has_a_row_an_image_and_a_column_an_epoch(channels):
    x = np.random.default_rng(0).integers(0, 256, (2, channels, 6, 5)).astype(np.uint8)
    flip = (AlternatingFlip(),)
    seen = plots.augmented_images(x, flip, epochs=3, seed=4)
    assert seen.shape == (3, *x.shape)
    np.testing.assert_array_equal(seen[0], seen[2])
    np.testing.assert_array_equal(seen[1], seen[0][..., ::-1])
    np.testing.assert_array_equal(np.sort([seen[0], seen[1]], axis=0), np.sort([x, x[..., ::-1]], axis=0))
    figure = plots.augmentation_figure(x, flip, epochs=3, seed=4)
    assert titles(figure) == ["image", "epoch 1", "epoch 2", "epoch 3"] + [""] * 4
    shown = images(figure)
    assert shown[0].shape == ((6, 5) if channels == 1 else (6, 5, 3))
    np.testing.assert_array_equal(shown[1], shown[2][:, ::-1])
    assert min(picture.min() for picture in shown) == 0
    assert max(picture.max() for picture in shown) == 1


def test_feature_maps_figure_has_a_row_a_sample_and_one_scale_a_map():
    maps = np.zeros((2, 3, 4, 4))
    maps[0, 1] = 1.0
    maps[1, 1] = 2.0
    figure = plots.feature_maps_figure(np.zeros((2, 8, 8), np.uint8), maps, ["7", "3"])
    assert len(figure.axes) == 2 * 4
    assert titles(figure)[:4] == ["input", "map 0", "map 1", "map 2"]
    assert [figure.axes[i].get_ylabel() for i in (0, 4)] == ["7", "3"]
    shown = images(figure)
    assert shown[0].shape == (8, 8)
    assert shown[1].shape == (4, 4)
    assert shown[2].max() == 0.0
    assert shown[6].max() == 1.0  # 1 is the least, 2 the most that map 1 holds


def test_filters_of_one_channel_share_a_scale_around_zero():
    w = np.zeros((8, 1, 3, 3))
    w[5] = -0.5
    figure = plots.filters_figure(w)
    image = figure.axes[0].get_images()[0]
    assert image.get_clim() == (-0.5, 0.5)
    assert image.get_array().shape == (3, 8 * 4 - 1)
    assert figure.axes[1].get_ylabel() == "weight"


def test_filters_of_three_channels_are_colour_pictures():
    grid = images(plots.filters_figure(np.random.default_rng(0).normal(size=(5, 3, 7, 7))))[0]
    assert grid.shape == (7, 5 * 8 - 1, 3)


def test_filters_of_many_channels_have_a_row_an_output():
    axes = plots.filters_figure(np.ones((4, 2, 3, 5))).axes[0]
    assert axes.get_images()[0].get_array().shape == (4 * 4 - 1, 2 * 6 - 1)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["out 0", "out 1", "out 2", "out 3"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["in 0", "in 1"]


def test_confusion_figure_writes_the_counts():
    axes = plots.confusion_figure(np.array([[9, 1], [0, 10]]), ["cat", "dog"]).axes[0]
    written = {t.get_position(): t.get_text() for t in axes.texts}
    assert written == {(0, 0): "9", (1, 0): "1", (1, 1): "10"}
    assert axes.get_title() == "19 of 20 right (95.00 %)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog"]


def test_mistakes_show_the_images_with_both_probabilities():
    data = np.zeros((3, 2, 2), np.uint8)
    data[2, 0, 0] = 255
    figure = plots.mistakes_figure(data, [plots.Mistake(2, 1, 0, 0.001, 0.99)], ["cat", "dog"])
    assert titles(figure) == ["true dog  0.1%\nguess cat  99.0%"]
    tiny = plots.mistakes_figure(data, [plots.Mistake(0, 1, 0, 1e-9, 1.0)])
    assert titles(tiny) == ["true 1  <0.1%\nguess 0  100.0%"]
    np.testing.assert_array_equal(images(figure)[0], [[1, 0], [0, 0]])
    assert plots.mistakes_figure(data, []).texts[0].get_text() == "no mistakes among 3 images"


def test_histograms_have_weights_above_gradients():
    layers = minidl.Conv2D(1, 2, 3), minidl.Linear(4, 5)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    parameters[0].grad[0, 0, 0, 0] = np.nan
    figure = plots.histograms_figure(parameters)
    assert len(figure.axes) == 4
    assert [axes.get_yscale() for axes in figure.axes] == ["log"] * 4
    assert "1 not finite" in titles(figure)[2]
    with pytest.raises(ValueError, match="two or more dimensions"):
        plots.histograms_figure(parameters[1:2])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_report_is_six_pictures(tmp_path, channels):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, channels, 8, 8), np.uint8), np.arange(20) % 4
    model = minidl.Model(minidl.Conv2D(channels, 3, 3), minidl.Relu(), minidl.Flatten(), minidl.Linear(108, 4))
    paths = plots.save_report(model, HISTORY, (x, y), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "curves.png", "filters.png", "feature_maps.png", "confusion.png", "mistakes.png", "histograms.png"
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_the_report_judges_as_the_views_do(tmp_path, monkeypatch):
    x, y = np.zeros((2, 1, 8, 8), np.uint8), np.arange(2)
    model = minidl.Model(minidl.Conv2D(1, 2, 3), minidl.Relu(), minidl.Flatten(), minidl.Linear(72, 2))
    counted = []
    monkeypatch.setattr(model, "predict", lambda x, views=None: np.eye(2)[[1, 0] if views else [0, 1]])
    monkeypatch.setattr(plots.arrays, "confusion_counts", lambda *a: counted.append(a[1]) or np.eye(2, dtype=int))
    for views in (None, Views()):
        plots.save_report(model, HISTORY, (x, y), tmp_path, views=views)
    np.testing.assert_array_equal(counted, [[0, 1], [1, 0]])


def test_matplotlib_is_loaded_only_when_something_is_drawn_and_its_absence_explained():
    program = """
import sys
import minidl.plots
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    minidl.plots.curves_figure({})
except ImportError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "minidl.plots draws with matplotlib: pip install 'minidl[plot]'"
