"""Coordinates among the targets move as the pixels do; without an answer about them nothing moves."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import (
    SGD,
    Conv2D,
    Flatten,
    Linear,
    MarginLoss,
    Model,
    MSELoss,
    SigmoidCrossEntropyLoss,
    SoftmaxCrossEntropyLoss,
    Trainer,
)
from minidl.data import Affine, ColorJitter, Crop, Cutout, Erase, Flip, Noise, Shift
from minidl.data.augment.pipeline import plan
from minidl.data.augment.points import moved_points, moved_targets
from minidl.kernels import im2col, image_moves
from minidl.kernels.image_moves import FLIP, SOURCE, TURNED

SIZE = 8, 12


def test_a_shift_moves_by_whole_pixels():
    rows = image_moves.blank(1)
    rows[0, SOURCE:] = 2, -3  # the result's pixel (h, w) is the image's (h + 2, w - 3)
    np.testing.assert_array_equal(moved_points(rows, [[[5.25, 4]]], SIZE), [[[8.25, 2]]])


def test_a_flip_mirrors_about_the_middle_of_the_image():
    rows = image_moves.blank(1)
    rows[0, FLIP] = 1
    points = [[[0, 0], [11, 7], [5.5, 3], [-0.5, 1]]]
    np.testing.assert_array_equal(moved_points(rows, points, SIZE), [[[11, 0], [0, 7], [5.5, 3], [11.5, 1]]])


def test_a_flip_follows_the_shift():
    rows = image_moves.blank(1)
    rows[0, FLIP], rows[0, SOURCE + 1] = 1, 1
    np.testing.assert_array_equal(moved_points(rows, [[[4, 2]]], SIZE), [[[11 - 3, 2]]])


def test_an_affine_map_is_inverted():
    rows = image_moves.blank(1, TURNED)
    one = 1 << 16
    rows[0, SOURCE:] = 0, one // 2, 3 * one + 128, -one // 2, 0, 5 * one + 128
    # The result's pixel (h, w) is the image's (w / 2 + 3, 5 - h / 2).
    np.testing.assert_allclose(moved_points(rows, [[[2, 7]]], SIZE), [[[8, 6]]], atol=1e-12)


@pytest.mark.parametrize(
    "augment",
    [(Crop(3),), (Flip(),), (Shift((2, 3)), Flip()), (Affine(25, 0.2, 2),), (Affine(90, 0.3, 1), Flip())],
    ids=str,
)
def test_points_follow_the_pixels(augment):
    """Of an image whose pixels say where they stand, the result says at the moved point where the point stood."""
    size, count = (40, 50), 60
    rng = np.random.default_rng(3)
    at = np.stack([rng.uniform(18, 31, count), rng.uniform(14, 25, count)], axis=-1)
    image = np.stack(np.meshgrid(np.arange(50.0), np.arange(40.0)))[None]
    rows = plan(augment, (2, *size), 5).moves(0, np.arange(count))
    seen = im2col.gather(image, np.zeros(count, np.intp), np.ones(2), np.zeros(2), moves=rows)
    found = moved_points(rows, at[:, None], size)[:, 0]
    assert np.abs(found - at).max() > 2
    (w, h), (right, down) = np.floor(found).astype(int).T, (found % 1).T
    total = np.zeros((count, 2))
    for n in range(count):
        weights = np.outer([1 - down[n], down[n]], [1 - right[n], right[n]])
        total[n] = (seen[n, :, h[n] : h[n] + 2, w[n] : w[n] + 2] * weights).sum(axis=(1, 2))
    np.testing.assert_allclose(total, at, atol=1 / 256)  # positions of turned pixels are rounded to this


def test_only_the_named_columns_move():
    rows = image_moves.blank(2)
    rows[0, SOURCE:] = 1, 2
    target = np.arange(10, dtype=np.float32).reshape(2, 5)
    moved = moved_targets(rows, target, [(0, 1), (4, 2)], SIZE)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved, [[-2, 0, 1, 3, 2], [5, 6, 7, 8, 9]])
    np.testing.assert_array_equal(target, np.arange(10).reshape(2, 5))
    np.testing.assert_array_equal(moved_targets(rows, target, [], SIZE), target)


# ---- training --------------------------------------------------------------------------------------------------------


def trainer(columns=3, loss=None):
    model = Model(Conv2D(1, 2, 3, rng=1), Flatten(), Linear(72, columns, rng=2), mean=0.5, std=0.25)
    return Trainer(model, MSELoss() if loss is None else loss, SGD(lr=1e-4))


@pytest.fixture
def data(rng):
    return rng.integers(0, 256, (50, 1, 8, 8)).astype(np.uint8), rng.uniform(0, 8, (50, 3)).astype(np.float32)


def fit(run, data, augment, **arguments):
    run.fit(data, **{"epochs": 2, "batch_size": 20, "seed": 4, "verbose": False, **arguments}, augment=augment)
    return np.concatenate([p.data.ravel() for p in run.model.parameters()])


def by_hand(data, augment, coordinates):
    """The training with images and targets moved outside of it."""
    run, rng, loss = trainer(), np.random.default_rng(4), MSELoss()
    scale, shift = run.model.scaling(data[0])
    for epoch in range(2):
        order = rng.permutation(50)
        for start in range(0, 50, 20):
            index = order[start : start + 20]
            rows = plan(augment, (1, 8, 8), 4).moves(epoch, index)
            images = im2col.gather(data[0], index, scale, shift, moves=rows)
            loss.forward(
                run.model.forward(images, train=True), moved_targets(rows, data[1][index], coordinates, (8, 8))
            )
            run.model.backward(loss.backward())
            run.optimizer.step(run.model.parameters())
    return np.concatenate([p.data.ravel() for p in run.model.parameters()])


@pytest.mark.parametrize("coordinates", [[(0, 1)], ((2, 0),), ()])
@pytest.mark.parametrize("augment", [(Shift(2), Flip()), (Affine(20, 0.1, 1),)], ids=["shift", "affine"])
def test_a_training_moves_its_targets(any_backend, data, augment, coordinates):
    got = fit(trainer(), data, augment, coordinates=coordinates)
    np.testing.assert_allclose(got, by_hand(data, augment, coordinates), atol=1e-5)
    plain = by_hand(data, augment, () if coordinates else [(0, 1)])
    assert np.abs(got - plain).max() > 1e-4


def test_functions_streams_and_resumed_runs_move_them_too(data):
    expected = fit(trainer(), data, (Shift(2), Flip()), coordinates=[(0, 1)])
    same = fit(trainer(), data, (lambda images, rng: images, Shift(2), Flip()), coordinates=[(0, 1)])
    np.testing.assert_array_equal(same, expected)
    resumed = trainer()
    fit(resumed, data, (Shift(2), Flip()), coordinates=[(0, 1)], epochs=1)
    with pytest.raises(ValueError, match=r"augment must be Crop.* coordinates=\[\(0, 1\)\], as in the run to resume"):
        fit(resumed, data, (Shift(2), Flip()), coordinates=[(1, 0)], resume=True)
    got = fit(resumed, data, (Shift(2), Flip()), coordinates=[(0, 1)], resume=True)
    np.testing.assert_array_equal(got, expected)
    x, y = data
    source = [(x[:30], y[:30]), (x[30:], y[30:])]
    stream = fit(trainer(), source, (Shift(2), Flip()), coordinates=[(0, 1)])
    moves = [plan((Shift(2), Flip()), (1, 8, 8), 4).moves(epoch, np.arange(50)) for epoch in range(2)]
    run, loss = trainer(), MSELoss()
    for rows in moves:
        for part in (slice(0, 30), slice(30, 50)):
            images = im2col.gather(x, np.arange(50)[part], *run.model.scaling(x), moves=rows[part])
            targets = moved_targets(rows[part], y[part], [(0, 1)], (8, 8))
            loss.forward(run.model.forward(images, train=True), targets)
            run.model.backward(loss.backward())
            run.optimizer.step(run.model.parameters())
    by_hand = np.concatenate([p.data.ravel() for p in run.model.parameters()])
    np.testing.assert_allclose(stream, by_hand, atol=1e-5)


BAD = {
    "no answer": ((Flip(),), None, ValueError, r"move with the images under Flip\(\): coordinates=\[\(0, 1\)\] if"),
    "a number": ((Flip(),), 0, TypeError, r"coordinates must be a list of pairs of columns \(x, y\), such as .*got 0"),
    "a pair": ((Flip(),), (0, 1), TypeError, "must be a list of pairs"),
    "three": ((Flip(),), [(0, 1, 2)], TypeError, "must be a list of pairs"),
    "names": ((Flip(),), [("x", "y")], TypeError, "coordinates must be an int, got 'x'"),
    "negative": ((Flip(),), [(-1, 0)], ValueError, "coordinates must be at least 0, got -1"),
    "beyond": ((Flip(),), [(2, 3)], ValueError, r"must name columns below 3, of targets \(N, 3\), got \[\(2, 3\)\]"),
    "twice": ((Flip(),), [(0, 1), (1, 2)], ValueError, "must name each column once"),
    "without transforms": ((), [(0, 4)], ValueError, "must name columns below 3"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_coordinates_are_refused_before_the_first_step(what, data):
    augment, coordinates, error, message = BAD[what]
    run = trainer()
    before = run.model.state()
    for given in (data, [data]):
        if what in ("beyond", "without transforms") and given is not data:
            continue  # a stream's targets are known with its batches
        with pytest.raises(error, match=message):
            fit(run, given, augment, coordinates=coordinates)
    assert all(np.array_equal(before[name], array) for name, array in run.model.state().items())


def test_only_moves_of_numbers_need_an_answer(data):
    fit(trainer(), data, (Cutout(2), ColorJitter(0.1), Noise(0.01)))
    fit(trainer(), [data], (Erase(),))
    labels = np.arange(50) % 3
    soft = np.full((50, 3), 1 / 3, np.float32)
    several = np.ones((50, 3), np.float32)
    classes = (SoftmaxCrossEntropyLoss(), labels), (SoftmaxCrossEntropyLoss(), soft), (MSELoss(), labels)
    for loss, y in (*classes, (SigmoidCrossEntropyLoss(), several), (MarginLoss(), several)):
        fit(trainer(loss=loss), (data[0], y), (Flip(),))
        fit(trainer(loss=loss), [(data[0], y)], (Flip(),))
        with pytest.raises(ValueError, match="coordinates must be None for class labels"):
            fit(trainer(loss=loss), (data[0], y), (Flip(),), coordinates=())
