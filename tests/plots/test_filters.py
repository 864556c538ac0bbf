"""Filters as a grid, and what excites them."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import plots


def images(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


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


def test_more_filters_than_can_be_seen_are_counted_in_the_title():
    figure = plots.filters_figure(np.ones((40, 5, 3, 3)))
    assert figure.get_suptitle() == "filters (16 of 40 shown)"
    assert len(figure.axes[0].get_yticklabels()) == 16
    figure = plots.filters_figure(np.ones((100, 1, 3, 3)), "first")
    assert figure.get_suptitle() == "first (64 of 100 shown)"
    assert images(figure)[0].shape == (8 * 4 - 1, 8 * 4 - 1)
    figure = plots.filters_figure(np.ones((2, 64, 3, 3)))
    assert figure.get_suptitle() == "filters (16 of 64 input channels shown)"
    assert plots.filters_figure(np.ones((16, 1, 3, 3))).get_suptitle() == "filters"
    with pytest.raises(ValueError, match=r"weight must have shape \(O, C, KH, KW\), none of them 0, got \(3, 3\)"):
        plots.filters_figure(np.ones((3, 3)))


@pytest.fixture
def found():
    """Two filters, the pixel itself and its negative, on images with one spot each, of rising brightness."""
    conv = minidl.Conv2D(1, 2, 3, padding=1, init=lambda shape, rng: spots(shape))
    model = minidl.Model(conv, minidl.Relu(), minidl.Flatten(), minidl.Linear(2 * 30, 2))
    x = np.full((5, 1, 6, 5), 100, np.uint8)
    for i in range(5):
        x[i, 0, i, 4 - i] = 150 + 20 * i
    x[1, 0, 5, 0] = 0
    return model, x, plots.strongest_patches(model, x, count=2)


def spots(shape):
    weight = np.zeros(shape)
    weight[:, 0, 1, 1] = [1, -1]
    return weight


def test_the_strongest_patches_are_the_windows_with_the_largest_outputs(found):
    _, x, patches = found
    # The brightest spots are those of images 4 and 3; the window begins one pixel above and left of them.
    np.testing.assert_array_equal(patches.places[0], [[4, 3, -1], [3, 2, 0]])
    np.testing.assert_allclose(patches.responses[0], [230 / 255, 210 / 255], rtol=1e-6)
    np.testing.assert_array_equal(patches.places[1, 0], [1, 4, -1])
    top, left, height, width = patches.window
    assert (top, left, height, width) == (5, 5, 3, 3)
    assert patches.pictures.shape == (2, 2, 13, 13)
    centre = patches.pictures[0, 0, top : top + height, left : left + width]
    np.testing.assert_allclose(centre[:, 1:], x[4, 0, 3:6, 0:2] / 255)
    np.testing.assert_array_equal(centre[:, 0], 0.5)


def test_strongest_patches_follow_stride_dilation_and_the_model_s_scale():
    conv = minidl.Conv2D(3, 1, 2, stride=(2, 3), dilation=2, init=lambda shape, rng: np.ones(shape), bias=False)
    model = minidl.Model(conv, minidl.Flatten(), minidl.Linear(8, 2), mean=[0.5, 0.4, 0.3], std=0.25)
    x = np.zeros((3, 3, 7, 14), np.uint8)
    x[2, :, 0, 5] = 200
    patches = plots.strongest_patches(model, x, count=1)
    np.testing.assert_array_equal(patches.places, [[[2, 0, 3]]])
    np.testing.assert_allclose(patches.responses, (4 * -1.2 + 3 * 200 / 255) / 0.25, rtol=1e-5)
    assert patches.window[2:] == (3, 3)
    assert patches.pictures.shape == (1, 1, 13, 13, 3)


def test_patches_stand_in_strips_with_a_frame_each(found):
    model, _, patches = found
    figure = plots.patches_figure(patches, model.parameters()[0].data, "strongest", most=1)
    assert figure.get_suptitle() == "strongest (1 of 2 shown)"
    strip, bar = figure.axes
    assert strip.get_ylabel() == "filter 0"
    weight, pieces = strip.get_images()
    np.testing.assert_array_equal(weight.get_array(), spots((2, 1, 3, 3))[0, 0])
    assert pieces.get_array().shape == (13, 13 + 1 + 13)
    assert [list(line.get_xdata()) for line in strip.lines] == [
        [4.5, 7.5, 7.5, 4.5, 4.5],
        [18.5, 21.5, 21.5, 18.5, 18.5],
    ]
    assert bar.get_ylabel() == "weight"
    assert len(plots.patches_figure(patches).axes) == 2


def test_a_model_that_does_not_begin_with_a_convolution_has_no_patches():
    model = minidl.Model(minidl.Flatten(), minidl.Linear(4, 2))
    with pytest.raises(ValueError, match=r"the model must begin with a Conv2D, got Flatten"):
        plots.strongest_patches(model, np.zeros((1, 1, 2, 2), np.uint8))
