"""The figures by what stands on them. No display is needed."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import plots
from minidl.data import AlternatingFlip


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def images(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


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


def test_images_are_taken_with_channels_first_or_last():
    x = np.random.default_rng(0).random((3, 4, 5))
    figure = plots.images_figure([x, x.transpose(1, 2, 0), x[:1], x[0]], list("abcd"))
    shown = images(figure)
    for picture in shown[:2]:
        np.testing.assert_array_equal(picture, x.transpose(1, 2, 0))
    for picture in shown[2:]:
        np.testing.assert_array_equal(picture, x[0])
    with pytest.raises(ValueError, match="titles must have one an image, got 1 and 2 images"):
        plots.images_figure([x, x], ["a"])


def test_mistakes_and_feature_maps_take_both_layouts():
    x = np.random.default_rng(0).integers(128, 256, (2, 3, 4, 5), np.uint8)
    last = x.transpose(0, 2, 3, 1)
    mistake = [plots.Mistake(1, 0, 1, 0.2, 0.8)]
    maps = np.zeros((2, 1, 4, 5))
    for data in (x, last):
        np.testing.assert_array_equal(images(plots.mistakes_figure(data, mistake))[0], last[1] / 255)
        np.testing.assert_array_equal(images(plots.feature_maps_figure(data, maps, "ab"))[0], last[0] / 255)
    figure = plots.strips_figure([last / 255], ["row"])
    np.testing.assert_array_equal(images(figure)[0], images(plots.strips_figure([x / 255], ["row"]))[0])


def test_titles_say_how_many_are_shown_of_how_many():
    maps = np.zeros((1, 32, 4, 4))
    figure = plots.feature_maps_figure(np.zeros((1, 8, 8)), maps, ["7"], "maps")
    assert figure.get_suptitle() == "maps (16 of 32 shown)"
    assert len(figure.axes) == 1 + 16
    figure = plots.feature_maps_figure(np.zeros((1, 8, 8)), maps, ["7"], "maps", most=32)
    assert (figure.get_suptitle(), len(figure.axes)) == ("maps", 33)
    mistake = plots.Mistake(0, 1, 0, 0.1, 0.9)
    texts = [plots.mistakes_figure(np.zeros((1, 2, 2)), [mistake], total=n).get_suptitle() for n in (1, 1234)]
    note = "\nwith the probabilities of the true class and of the guess"
    assert texts == ["worst mistakes" + note, "worst mistakes (1 of 1,234 shown)" + note]


def test_histograms_of_a_deep_network_are_spread_over_its_depth():
    parameters = [minidl.Linear(2, 2).parameters()[0] for _ in range(21)]
    for i, parameter in enumerate(parameters):
        parameter.data[:] = i
    figure = plots.histograms_figure(parameters, most=3)
    assert figure.get_suptitle() == "weights and gradients (3 of 21 shown)"
    assert [title.rpartition(" ")[2] for title in titles(figure)[:3]] == ["0.0e+00", "1.0e+01", "2.0e+01"]


def test_augmentation_shows_the_mean_of_other_channels():
    x = np.random.default_rng(0).random((1, 5, 4, 4)).astype(np.float32)
    shown = images(plots.augmentation_figure(x, (), epochs=1))[0]
    mean = x[0].mean(axis=0)
    np.testing.assert_allclose(shown, (mean - mean.min()) / (mean.max() - mean.min()), rtol=1e-4, atol=1e-6)
