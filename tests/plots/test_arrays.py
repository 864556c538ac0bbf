"""What the pictures show, by value."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import plots


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


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64"])
def test_confusion_counts_do_not_wrap_in_the_labels_dtype(dtype):
    labels = np.arange(47).astype(dtype)
    counts = plots.confusion_counts(labels, labels, 47)
    np.testing.assert_array_equal(counts, np.eye(47, dtype=int))
    np.testing.assert_array_equal(plots.confusion_counts(labels, labels[::-1], 47), np.eye(47, dtype=int)[::-1])


def test_confusion_counts_of_300_classes_and_of_booleans():
    labels = np.arange(300).astype(np.uint16)
    assert np.trace(plots.confusion_counts(labels, labels, 300)) == 300
    # Fewer labels than classes, in a dtype that cannot hold the number of classes.
    few = np.array([0, 5, 200], np.uint8)
    counts = plots.confusion_counts(few, few, 300)
    assert [tuple(at) for at in np.argwhere(counts)] == [(0, 0), (5, 5), (200, 200)]
    yes = np.array([True, False, True])
    np.testing.assert_array_equal(plots.confusion_counts(yes, np.array([1, 1, 1], np.int8), 2), [[0, 1], [0, 2]])
    np.testing.assert_array_equal(plots.confusion_counts([], [], 2), np.zeros((2, 2)))


def test_labels_that_are_no_integers_are_refused_with_the_remedy():
    with pytest.raises(
        TypeError, match=r"confusion_counts: truth must be integers, got dtype float64; .*astype\(int\)"
    ):
        plots.confusion_counts([0.0, 1.0], [0, 1], 2)
    with pytest.raises(ValueError, match=r"truth must lie in \[0, 2\), got -1 to 1"):
        plots.confusion_counts(np.array([-1, 1], np.int8), [0, 1], 2)
    with pytest.raises(ValueError, match=r"truth must lie in \[0, 2\), got 0 to 18446744073709551615"):
        plots.confusion_counts(np.array([0, 2**64 - 1], np.uint64), [0, 1], 2)
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        plots.confusion_counts([], [], 0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "bool"])
def test_worst_mistakes_take_labels_of_any_integer_dtype(dtype):
    logits = np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = plots.worst_mistakes(logits, np.array([1, 1, 1]).astype(dtype))
    assert [(m.place, m.truth, m.guess) for m in found] == [(0, 1, 0), (2, 1, 0)]
    np.testing.assert_allclose([m.p_truth for m in found], [0.1, 0.4])


def test_worst_mistakes_refuse_columns_and_unknown_labels_and_put_nan_first():
    logits = np.log([[0.9, 0.1], [0.2, 0.8]])
    with pytest.raises(ValueError, match=r"one label a row, got \(2, 2\) and \(2, 1\)"):
        plots.worst_mistakes(logits, np.array([[0], [1]]))
    with pytest.raises(ValueError, match=r"truth must lie in \[0, 2\), got -1 to 1"):
        plots.worst_mistakes(logits, [-1, 1])
    broken = np.array([[2.0, 1.0], [np.nan, 0.0]])
    assert [m.place for m in plots.worst_mistakes(broken, [1, 1])] == [1, 0]


def test_pictures_come_from_either_layout():
    x = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5) + 100
    expected = x.transpose(0, 2, 3, 1) / 255
    np.testing.assert_array_equal(plots.pictures(x), expected)
    np.testing.assert_array_equal(plots.pictures(x.transpose(0, 2, 3, 1)), expected)
    np.testing.assert_array_equal(plots.pictures(x[:, :1]), expected[..., 0])
    np.testing.assert_array_equal(plots.pictures(x[:, :1].transpose(0, 2, 3, 1)), expected[..., 0])
    np.testing.assert_array_equal(plots.pictures(x[:, 0]), expected[..., 0])
    # Both could be the channels: (N, C, H, W) is the library's layout.
    both = x[:, :, :, :3]
    np.testing.assert_array_equal(plots.pictures(both), expected[:, :, :3])


def test_pictures_of_other_channels_are_their_mean_and_of_rows_their_square():
    x = np.random.default_rng(0).random((2, 5, 4, 6))
    np.testing.assert_allclose(plots.pictures(x), x.mean(axis=1))
    rows = np.random.default_rng(0).random((2, 64))
    np.testing.assert_array_equal(plots.pictures(rows), rows.reshape(2, 8, 8))
    rows = np.random.default_rng(0).random((2, 192))
    np.testing.assert_array_equal(plots.pictures(rows), rows.reshape(2, 3, 8, 8).transpose(0, 2, 3, 1))
    for size in (4, 65):
        with pytest.raises(ValueError, match=f"pictures: rows of {size} numbers are no square images"):
            plots.pictures(np.zeros((2, size)))
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        plots.pictures(np.zeros(3))


def test_pictures_keep_the_scale_of_bytes_and_shares_and_stretch_the_rest():
    assert plots.pictures(np.array([[[51, 255]]], np.uint8)).tolist() == [[[0.2, 1.0]]]
    assert plots.pictures(np.array([[[0, 4], [16, 8]]], np.uint8)).tolist() == [[[0, 0.25], [1, 0.5]]]
    assert plots.pictures([[[0.25, 0.5]]]).tolist() == [[[0.25, 0.5]]]
    assert plots.pictures(np.array([[[-1.0, 0.0, 1.0]], [[2.0, 2.0, 4.0]]])).tolist() == [[[0, 0.5, 1]], [[0, 0, 1]]]
    assert plots.pictures(np.array([[[np.nan, 1.0]]])).tolist() == [[[0, 1]]]


def test_image_grid_takes_channels_first():
    x = np.arange(2 * 3 * 4 * 2, dtype=float).reshape(2, 3, 4, 2)
    grid = plots.image_grid(x, columns=2, gap=0)
    assert grid.shape == (4, 4, 3)
    np.testing.assert_array_equal(grid[:, 2:], x[1].transpose(1, 2, 0))
    assert plots.image_grid(np.ones((3, 1, 2, 2)), columns=3, gap=0).shape == (2, 6)


def test_feature_maps_without_a_relu_are_those_of_the_first_layer_that_makes_maps():
    conv = minidl.Conv2D(1, 2, 1, init=lambda shape, rng: np.array([1.0, -2.0]).reshape(shape))
    model = minidl.Model(conv, minidl.Tanh(), minidl.Flatten(), minidl.Linear(8, 4), minidl.Relu())
    x = np.array([[[[1.0, -1.0], [0.5, 0.0]]]], np.float32)
    np.testing.assert_array_equal(plots.feature_maps(model, x)[0, 1], [[-2, 2], [-1, 0]])
    with pytest.raises(ValueError, match=r"no layer makes maps \(N, C, H, W\) among 0 Linear, 1 Relu"):
        plots.feature_maps(minidl.Model(minidl.Linear(2, 2), minidl.Relu()), np.zeros((1, 2), np.float32))
