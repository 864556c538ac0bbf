"""The confusion matrix by its texts, shades and ticks."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import plots


def test_confusion_figure_writes_the_counts():
    axes = plots.confusion_figure(np.array([[9, 1], [0, 10]]), ["cat", "dog"]).axes[0]
    written = {t.get_position(): t.get_text() for t in axes.texts}
    assert written == {(0, 0): "9", (1, 0): "1", (1, 1): "10"}
    assert axes.get_title() == "19 of 20 right (95.00 %)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog"]


def labels(ticks):
    return [t.get_text() for t in ticks]


def test_shades_are_linear_shares_of_the_rows_with_a_scale():
    figure = plots.confusion_figure(np.array([[9, 1], [0, 0]]))
    axes, bar = figure.axes
    image = axes.get_images()[0]
    np.testing.assert_allclose(image.get_array(), [[90, 10], [0, 0]])
    assert image.get_clim() == (0, 100)
    assert image.norm(10.0) == pytest.approx(0.1)
    assert bar.get_ylabel() == "share of the true class / %"


def test_a_hundred_classes_have_names_but_no_counts():
    names = [f"the class with the number {i}" for i in range(100)]
    figure = plots.confusion_figure(np.eye(100, dtype=int), names)
    axes = figure.axes[0]
    assert len(axes.texts) == 0
    assert len(axes.get_xticklabels()) == 100
    assert labels(axes.get_yticklabels())[10:12] == ["the class w…he number 10", "the class w…he number 11"]
    assert min(t.get_fontsize() for t in axes.get_yticklabels()) >= 6
    assert figure.get_figwidth() < 20


def test_of_300_classes_every_third_is_named():
    axes = plots.confusion_figure(np.eye(300, dtype=int)).axes[0]
    assert labels(axes.get_xticklabels())[:3] == ["0", "3", "6"]
    assert axes.get_title() == "300 of 300 right (100.00 %)"


def test_wrong_counts_and_names_are_refused():
    with pytest.raises(ValueError, match=r"counts must have shape \(K, K\), K at least 1, got \(2, 3\)"):
        plots.confusion_figure(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="confusion_figure: names must have one name a class, 2, got 3"):
        plots.confusion_figure(np.eye(2, dtype=int), ["a", "b", "c"])
