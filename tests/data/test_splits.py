"""A data set in two: shares of classes, reproducibility, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.data import load_digits_mini, split


def parts(y, fraction, seed=0, **options):
    """The indices of both parts."""
    (i, y_train), (j, y_test) = split(np.arange(len(y)), y, fraction, seed, **options)
    y = np.asarray(y)
    np.testing.assert_array_equal(y_train, y[i])
    np.testing.assert_array_equal(y_test, y[j])
    assert sorted([*i, *j]) == list(range(len(y)))
    assert (np.diff(i) > 0).all()  # both keep the order
    assert (np.diff(j) > 0).all()
    return i, j


def test_images_and_labels_stay_together():
    (x, y), _ = load_digits_mini()
    (x_train, _), (x_test, y_test) = split(x, y, 0.25, seed=3)
    assert x_train.shape == (3000, 1, 28, 28)
    assert x_test.shape == (1000, 1, 28, 28)
    assert np.bincount(y_test).tolist() == [100] * 10
    assert x_test.dtype == np.uint8
    assert y_test.dtype == np.int64
    i, j = parts(y, 0.25, seed=3)
    np.testing.assert_array_equal(x_train, x[i])
    np.testing.assert_array_equal(x_test, x[j])


def test_what_the_whole_lacks_comes_from_the_largest_remainders():
    y = np.repeat([0, 1, 2], [13, 17, 70])  # a tenth: 1.3, 1.7, 7.0; ten in all
    _, j = parts(y, 0.1)
    assert np.bincount(y[j]).tolist() == [1, 2, 7]
    y = np.repeat([0, 1], [5, 5])  # 0.3: 1.5 and 1.5, three in all; the first of equals
    assert np.bincount(y[parts(y, 0.3)[1]]).tolist() == [2, 1]


def test_a_small_class_is_in_both_parts():
    y = np.repeat([0, 1, 2], [500, 498, 2])
    _, j = parts(y, 0.01)
    assert np.bincount(y[j]).tolist() == [5, 4, 1]  # 5.0, 4.98 and 0.02: the least of one is taken from 4.98
    _, j = parts(y, 0.99)
    assert np.bincount(y[j]).tolist() == [495, 494, 1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.floats(0.01, 0.99), st.integers(0, 2**63 - 1))
def test_shares_are_within_one_of_the_quota_or_at_the_limit(counts, fraction, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    total = int(np.floor(len(y) * fraction + 0.5))
    if min(total, len(y) - total) < len(counts):
        with pytest.raises(ValueError, match="split: fraction "):
            split(y, y, fraction, seed)
        return
    _, j = parts(y, fraction, seed)
    shares = np.bincount(y[j], minlength=len(counts))
    assert len(j) == total
    assert (shares >= 1).all()
    assert (shares < counts).all()
    quotas = np.array(counts) * fraction
    if (quotas >= 1).all() and (np.array(counts) - quotas >= 1).all():
        assert (np.abs(shares - quotas) < 1 + 1e-9).all()


def test_the_seed_decides_and_nothing_else():
    y = np.arange(1000) % 7
    first, again, other = (parts(y, 0.2, seed)[1] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(parts(y, 0.2, np.int64(5))[1], first)
    np.testing.assert_array_equal(parts(y + 100, 0.2, 5)[1], first)  # the labels' names do not matter


def test_every_image_is_drawn_about_equally_often():
    y = np.arange(20) % 2
    drawn = sum(np.bincount(parts(y, 0.3, seed)[1], minlength=20) for seed in range(1000))
    assert (np.abs(drawn - 300) < 75).all()  # five standard deviations


@pytest.mark.parametrize(
    "y",
    [
        np.arange(10) % 2 == 0,
        np.array(["cat", "dog"] * 5),
        (np.arange(10) % 2).astype(np.uint8),
        [0, 1] * 5,
    ],
)
def test_bools_strings_and_lists_are_labels_too(y):
    _, j = parts(y, 0.4)
    _, counts = np.unique(np.asarray(y)[j], return_counts=True)
    assert counts.tolist() == [2, 2]


@pytest.mark.parametrize("y", [np.eye(4)[np.arange(40) % 4], np.linspace(0, 1, 40), np.zeros((40, 3), np.float32)])
def test_other_targets_are_drawn_without_regard_to_them(y):
    (x_train, y_train), (x_test, y_test) = split(np.arange(40), y, 0.25, 0)
    assert len(x_test) == 10
    np.testing.assert_array_equal(y_test, y[x_test])
    np.testing.assert_array_equal(y_train, y[x_train])
    assert split(np.arange(40), np.zeros(40, int), 0.25, 0, stratify=False)[1][0].tolist() == x_test.tolist()


def test_without_stratify_single_images_are_allowed():
    i, j = parts(np.arange(10), 0.3, stratify=False)
    assert (len(i), len(j)) == (7, 3)


def test_memory_maps_are_read_into_memory_and_indices_leave_them_on_the_disk(tmp_path):
    x = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(30, 1, 4, 4))
    x[:] = np.arange(30)[:, None, None, None]
    y = np.arange(30) % 3
    (x_train, _), (x_test, _) = split(x, y, 0.2, 0)
    assert not isinstance(x_test, np.memmap)
    assert not np.shares_memory(x_train, x)
    _, (j, _) = split(np.arange(30), y, 0.2, 0)
    np.testing.assert_array_equal(x_test[:, 0, 0, 0], j)


def test_classes_that_need_their_minimum_take_it_from_large_ones():
    """Of 26 images 5, though each of three classes of two images must give one: 0.4 of them are its share."""
    y = np.repeat([0, 1, 2, 3], [2, 2, 2, 20])
    (_, y_train), (_, y_test) = split(np.arange(26), y, 0.2, 0)
    assert np.bincount(y_test).tolist() == [1, 1, 1, 2]
    assert np.bincount(y_train).tolist() == [1, 1, 1, 18]


X, Y = np.zeros((10, 1, 2, 2)), np.arange(10) % 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, Y[:9], 0.2, 0), ValueError, r"x and y must have the same length, got shapes \(10, 1, 2, 2\) and \(9,\)"),
        ((X, Y, 0.0, 0), ValueError, r"fraction must be in \(0, 1\), got 0.0"),
        ((X, Y, 1.0, 0), ValueError, r"fraction must be in \(0, 1\), got 1.0"),
        ((X, Y, 5, 0), ValueError, r"fraction must be in \(0, 1\), got 5"),
        ((X, Y, float("nan"), 0), ValueError, "fraction must be in"),
        ((X, Y, "0.2", 0), TypeError, "fraction must be a number in"),
        ((X, Y, True, 0), TypeError, "fraction must be a number in"),
        ((X, Y, 0.01, 0), ValueError, "fraction 0.01 of 10 images leaves a part empty"),
        ((X[:0], Y[:0], 0.5, 0), ValueError, "fraction 0.5 of 0 images leaves a part empty"),
        ((X, Y, 0.2, -1), ValueError, "seed must be at least 0, got -1"),
        ((X, Y, 0.2, None), TypeError, "seed must be an int, got None"),
        ((X, Y, 0.2, 1.5), TypeError, "seed must be an int"),
        ((X, Y, 0.2, 0, "yes"), TypeError, "stratify must be True or False, got 'yes'"),
        (
            (X, [0] * 9 + [1], 0.2, 0),
            ValueError,
            "class 1 has one image, must have two to be in both parts; or stratify",
        ),
        (
            (X, Y, 0.1, 0),
            ValueError,
            "fraction 0.1 gives parts of 9 and 1 images, each part must have an image of each of 2 classes",
        ),
        ((X, Y, 0.9, 0), ValueError, "fraction 0.9 gives parts of 1 and 9 images"),
        ((X, Y[:, np.newaxis], 0.2, 0), ValueError, r"labels must be of shape \(N,\), got \(10, 1\); pass y.ravel\(\)"),
        ((X, np.array([None] * 10), 0.2, 0), TypeError, "y must be an array with one item an image, got ndarray"),
        ((3, Y, 0.2, 0), TypeError, "x must be an array with one item an image, got int"),
        (([[1], [1, 2]], Y, 0.2, 0), ValueError, "x must be an array with one item an image .*inhomogeneous"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=f"split: {message}"):
        split(*arguments)
