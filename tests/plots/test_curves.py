"""Curves by their labels and the data of their lines. No display is needed."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import plots

HISTORY = {
    "train_loss": [2.0, 1.0, 0.5],
    "train_accuracy": [0.3, 0.6, 0.8],
    "val_loss": [2.1, 1.2, 0.8],
    "val_accuracy": [0.25, 0.5, 0.75],
}


def test_curves_show_both_sets_against_the_epoch():
    figure = plots.curves_figure(HISTORY, "digits")
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "loss"
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


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        (minidl.SoftmaxCrossEntropyLoss(), "cross-entropy loss"),
        (minidl.SoftmaxCrossEntropyLoss, "cross-entropy loss"),
        (minidl.MSELoss(), "MSE loss"),
        (minidl.MarginLoss(), "margin loss"),
        ("SigmoidCrossEntropyLoss", "binary cross-entropy loss"),
        ("L1Loss", "L1 loss"),
        ("HuberLoss", "Huber loss"),
        ("MyOwnLoss", "my own loss"),
        ("negative log-likelihood / nats", "negative log-likelihood / nats"),
        (None, "loss"),
    ],
)
def test_the_loss_axis_says_which_loss(loss, label):
    assert plots.curves_figure(HISTORY, loss=loss).axes[0].get_ylabel() == label


def test_regression_has_no_accuracy_panel():
    nan = [float("nan")] * 3
    figure = plots.curves_figure({**HISTORY, "train_accuracy": nan, "val_accuracy": nan}, loss=minidl.MSELoss())
    assert [axes.get_ylabel() for axes in figure.axes] == ["MSE loss"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["training", "validation"]


def test_own_metrics_have_a_panel_each():
    history = {**HISTORY, "val_macro_f1": [0.1, 0.2, 0.4], "train_none": [float("nan")] * 3, "lr": [1, 1, 1]}
    axes = plots.curves_figure(history).axes
    assert [panel.get_ylabel() for panel in axes] == ["loss", "accuracy / %", "macro f1"]
    assert [list(line.get_ydata()) for line in axes[2].lines] == [[0.1, 0.2, 0.4]]


def trained(epochs):
    x, y = np.random.default_rng(0).random((40, 4), np.float32), np.arange(40) % 2
    trainer = minidl.Trainer(minidl.Model(minidl.Linear(4, 2)), minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    return trainer.fit((x, y), epochs=epochs, batch_size=10, seed=0, verbose=False)


def test_few_epochs_show_the_loss_of_every_batch():
    history = trained(1)
    epoch, steps = plots.curves_figure(history).axes[0].lines
    assert list(epoch.get_xdata()) == [1]
    assert (steps.get_label(), list(steps.get_xdata())) == ("training, each batch", [0.25, 0.5, 0.75, 1.0])
    assert list(steps.get_ydata()) == history.step_loss
    history = trained(2)
    assert list(plots.curves_figure(history).axes[0].lines[1].get_xdata()) == [i / 4 for i in range(1, 9)]
    assert [axes.get_xlim()[0] for axes in plots.curves_figure(history).axes] == [0, 0]
    assert len(plots.curves_figure(trained(11)).axes[0].lines) == 1


def test_steps_whose_epoch_is_unknown_are_not_drawn_but_those_of_a_first_unfinished_epoch_are():
    history = trained(2)
    history.interrupted = True
    assert len(plots.curves_figure(history).axes[0].lines) == 1
    begun = {"train_loss": [], "train_accuracy": [], "step_loss": [3.0, 2.0, 1.0]}
    (axes,) = plots.curves_figure(begun).axes
    assert axes.get_xlabel() == "step"
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]


def test_one_huge_first_loss_does_not_press_the_others_flat():
    steps = [1e6, *[1.0] * 99]
    axes = plots.curves_figure({"train_loss": [1.0], "step_loss": steps}).axes[0]
    assert axes.get_ylim()[1] == 3


def test_an_empty_history_is_an_empty_panel():
    (axes,) = plots.curves_figure({}).axes
    assert axes.get_xlabel() == "epoch"
    assert axes.get_legend() is None
