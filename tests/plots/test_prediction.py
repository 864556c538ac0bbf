"""Predictions against targets, by the points and the numbers above them."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import plots


def test_one_output_has_its_points_the_diagonal_and_three_numbers():
    truth, predicted = np.array([0.0, 1.0, 2.0, 3.0]), np.array([[0.0], [2.0], [2.0], [3.0]])
    (axes,) = plots.prediction_figure(truth, predicted).axes
    line, points = axes.lines
    assert line.get_label() == "predicted = true"
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    np.testing.assert_array_equal(points.get_xdata(), truth)
    np.testing.assert_array_equal(points.get_ydata(), predicted[:, 0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true value", "predicted value")
    # One error of 1 among four; the targets' squares around their mean sum to 5.
    assert axes.get_title() == "RMSE 0.5, MAE 0.25, R² 0.800"
    assert axes.get_xlim() == axes.get_ylim()


def test_three_outputs_have_a_panel_each():
    truth = np.arange(12.0).reshape(4, 3)
    axes = plots.prediction_figure(truth, truth + np.arange(3), ["x", "y", "angle"]).axes
    assert [panel.get_title() for panel in axes] == [
        "x\nRMSE 0, MAE 0, R² 1.000",
        "y\nRMSE 1, MAE 1, R² 0.911",
        "angle\nRMSE 2, MAE 2, R² 0.644",
    ]
    assert plots.prediction_figure(truth, truth).axes[2].get_title().startswith("output 2\n")


def test_many_outputs_share_a_panel_and_many_points_are_thinned():
    truth = np.zeros((1000, 1, 3, 4))
    (axes,) = plots.prediction_figure(truth, truth + 0.5).axes
    assert axes.get_title() == "all 12 outputs\nRMSE 0.5, MAE 0.5, 5,000 of 12,000 shown"
    assert len(axes.lines[1].get_xdata()) == 5000


def test_what_is_not_finite_is_counted_and_sizes_are_checked():
    (axes,) = plots.prediction_figure([0.0, 1.0, 2.0], [0.0, np.nan, 2.0]).axes
    assert axes.get_title() == "RMSE 0, MAE 0, R² 1.000, 1 not finite"
    assert plots.prediction_figure([0.0], [np.inf]).axes[0].get_title() == "no finite pair"
    with pytest.raises(ValueError, match=r"must have one size, N at least 1, got \(3,\) and \(3, 2\)"):
        plots.prediction_figure(np.zeros(3), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="names must have one name a class, 1, got 2"):
        plots.prediction_figure(np.zeros(3), np.zeros(3), ["a", "b"])
