"""What is drawn for an image, what a training makes of it, and what is refused before the first step."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from minidl import SGD, Conv2D, Flatten, Linear, Model, SoftmaxCrossEntropyLoss, Trainer, kernels
from minidl.data import Affine, AlternatingFlip, Crop, Cutout, Flip, Shift
from minidl.data.augment.pipeline import plan
from minidl.data.augment.randomness import Draw, below, spread
from minidl.kernels.image_moves import BOTTOM, FLIP, LEFT, REFLECT, RIGHT, SHIFTED, SOURCE, TOP, TURNED

SHAPE = (2, 10, 14)
MANY = np.arange(4000)


def moves(*augment, epoch=0, index=MANY, seed=1, shape=SHAPE):
    return plan(augment, shape, seed).moves(epoch, index)


def evenly(values, expected):
    """Every expected value occurs, each as often as chance lets it, to five standard deviations."""
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    mean = len(values) / len(expected)
    assert np.abs(counts - mean).max() < 5 * np.sqrt(mean)


# ---- draws -----------------------------------------------------------------------------------------------------------


def test_draws_depend_on_seed_epoch_and_place_alone():
    everything = Crop(3), Flip(), Cutout(4)
    whole = moves(*everything, epoch=5)
    order = np.random.default_rng(0).permutation(len(MANY))
    np.testing.assert_array_equal(moves(*everything, epoch=5, index=order), whole[order])
    np.testing.assert_array_equal(moves(*everything, epoch=5, index=MANY[7:8]), whole[7:8])
    for other in (moves(*everything, epoch=6), moves(*everything, epoch=5, seed=2)):
        assert 0.2 < (other[:, FLIP] == whole[:, FLIP]).mean() < 0.8
        assert (other[:, SOURCE:] == whole[:, SOURCE:]).all(axis=1).mean() < 0.1


def test_a_transform_draws_the_same_with_and_without_others_in_any_order():
    together = moves(Cutout(4), Flip(), Crop(3, "reflect"))
    np.testing.assert_array_equal(together[:, FLIP], moves(Flip())[:, FLIP])
    np.testing.assert_array_equal(together[:, SOURCE:], moves(Crop(3, "reflect"))[:, SOURCE:])
    np.testing.assert_array_equal(together[:, TOP:SOURCE], moves(Cutout(4))[:, TOP:SOURCE])
    np.testing.assert_array_equal(moves(Affine(5), Cutout(4))[:, TOP:SOURCE], together[:, TOP:SOURCE])


def test_streams_and_neighbours_are_independent():
    draw = Draw(3, 4, MANY)
    series = [spread(bits) for stream in range(5) for bits in draw.pair(stream)]
    series += [spread(draw._replace(epoch=epoch).pair(0)[0]) for epoch in (5, 6)]
    for i, a in enumerate(series):
        assert abs(np.mean(a)) < 5 / np.sqrt(3 * len(a))
        assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 5 / np.sqrt(len(a))
        for b in series[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(a))


def test_draws_are_the_same_for_ever():
    """A run that is repeated with a later version must see the same images."""
    np.testing.assert_array_equal(
        moves(Crop(3, "reflect"), Flip(), Cutout(4), epoch=2, index=np.array([0, 1, 4711]), seed=99),
        EXPECTED,
    )


EXPECTED = [[0, 1, 5, 9, 9, 13, -1, 1], [0, 1, 0, 2, 3, 6, 2, -2], [0, 1, 0, 9, 3, 13, 0, 2]]


def test_numbers_below_and_between():
    most = np.array([0, 2**32 - 1], np.uint64)
    np.testing.assert_array_equal(below(most, 7), [0, 6])
    np.testing.assert_allclose(spread(most), [-1, 1], atol=1e-9)
    assert np.abs(spread(most)).max() < 1


# ---- transforms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_crop_offsets_are_even_and_independent(mode):
    rows = moves(Crop((2, 1), mode))
    evenly(rows[:, SOURCE], range(-2, 3))
    evenly(rows[:, SOURCE + 1], range(-1, 2))
    evenly(rows[:, SOURCE] * 10 + rows[:, SOURCE + 1], [10 * h + w for h in range(-2, 3) for w in range(-1, 2)])
    assert (rows[:, REFLECT] == (mode == "reflect")).all()
    assert not rows[:, [FLIP, TOP, LEFT, BOTTOM, RIGHT]].any()


def test_shift_is_a_crop_of_black_padding():
    assert Shift(3) == Crop((3, 3))
    assert Shift((0, 2)) == Crop((0, 2), "zero")


def test_flip_is_drawn_anew_each_epoch():
    flips = np.stack([moves(Flip(), epoch=epoch)[:, FLIP] for epoch in range(4)])
    for flip in flips:
        evenly(flip, [0, 1])
    for before, after in pairwise(flips):
        evenly(before ^ after, [0, 1])


def test_alternating_flip_changes_every_image_every_epoch():
    flips = np.stack([moves(AlternatingFlip(), epoch=epoch)[:, FLIP] for epoch in range(5)])
    evenly(flips[0], [0, 1])
    for epoch in range(5):
        np.testing.assert_array_equal(flips[epoch], flips[0] ^ (epoch % 2))


def test_cutout_boxes_have_any_pixel_as_centre():
    rows = moves(Cutout((4, 5)))
    top, left, bottom, right = rows[:, TOP:SOURCE].T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= 10).all()
    assert (right <= 14).all()
    assert set(zip(top, bottom, strict=True)) == {(max(c - 2, 0), min(c + 2, 10)) for c in range(10)}
    assert set(zip(left, right, strict=True)) == {(max(c - 2, 0), min(c + 3, 14)) for c in range(14)}
    evenly(left[(left > 0) & (right < 14)], range(1, 9))


def test_affine_is_the_image_turned_scaled_and_shifted():
    """The position of the result's pixels, computed from angle, factor and shift as they were drawn."""
    transform = Affine(rotation=20, scale=0.2, shift=1.5, mode="reflect")
    rows = moves(transform, index=MANY[:50])
    draw = Draw(1, 0, MANY[:50])
    (angle, factor), (down, right) = ([spread(bits) for bits in draw.pair(stream)] for stream in (3, 4))
    assert rows.shape == (50, TURNED)
    assert (rows[:, REFLECT] == 1).all()
    for n, row in enumerate(rows):
        a, b, c, d, e, f = row[SOURCE:] / 2**16
        turn, scale = np.deg2rad(20 * angle[n]), 1 + 0.2 * factor[n]
        for h, w in ((0, 0), (9, 13), (3, 8)):
            # The image's pixel, turned and scaled about the centre (4.5, 6.5), then shifted, comes to (h, w).
            y, x = a * h + b * w + c - 1 / 512, d * h + e * w + f - 1 / 512
            u, v = y - 4.5, x - 6.5
            back_h = 4.5 + scale * (np.cos(turn) * u + np.sin(turn) * v) + 1.5 * down[n]
            back_w = 6.5 + scale * (np.cos(turn) * v - np.sin(turn) * u) + 1.5 * right[n]
            assert (back_h, back_w) == pytest.approx((h, w), abs=2e-3)


def test_affine_by_nothing_leaves_bytes_as_they_are(any_backend, rng):
    images = rng.integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    rows = moves(Affine(), index=np.arange(5))
    one, none = np.ones(2, np.float32), np.zeros(2, np.float32)
    y = any_backend.leave(any_backend.gather(images, np.arange(5), one, none, moves=rows))
    np.testing.assert_array_equal(y, images)


def test_affine_reaches_every_extreme_within_the_moves_bounds():
    rows = moves(Affine(180, 0.9, 9))
    assert np.abs(rows[:, [SOURCE, SOURCE + 1]]).max() < 2**24
    assert np.abs(rows).max() < 2**48


def test_the_row_is_as_short_as_the_transforms_allow():
    assert moves(Crop(1), Flip(), Cutout(3)).shape[1] == SHIFTED
    assert moves(Affine(5), Flip(), Cutout(3)).shape[1] == TURNED
    assert moves(Flip()).dtype == np.intp


# ---- bad input -------------------------------------------------------------------------------------------------------

BAD_TRANSFORMS = {
    "Crop(-1)": (lambda: Crop(-1), ValueError, "Crop: padding must be at least 0, got -1"),
    "Crop(1.5)": (lambda: Crop(1.5), TypeError, "Crop: padding must be an int, got 1.5"),
    "Crop mode": (lambda: Crop(1, "edge"), ValueError, "Crop: mode must be 'zero' or 'reflect', got 'edge'"),
    "Shift(-1)": (lambda: Shift(-1), ValueError, "Shift: pixels must be at least 0"),
    "Cutout(0)": (lambda: Cutout(0), ValueError, "Cutout: size must be at least 1, got 0"),
    "Affine(-5)": (lambda: Affine(-5), ValueError, "Affine: rotation must be at least 0 and at most 180"),
    "Affine scale": (lambda: Affine(scale=1), ValueError, "Affine: scale must be at least 0 and at most 0.9"),
    "Affine shift": (lambda: Affine(shift="2"), TypeError, "Affine: shift must be a number"),
    "Affine mode": (lambda: Affine(mode="wrap"), ValueError, "Affine: mode must be"),
}


@pytest.mark.parametrize("what", BAD_TRANSFORMS)
def test_bad_transforms(what):
    make, error, message = BAD_TRANSFORMS[what]
    with pytest.raises(error, match=message):
        make()


BAD_FITS = {
    "no tuple": (Crop(4), (1, 8, 8), TypeError, r"augment must be a tuple of transforms such as .*, got Crop\("),
    "a class": ((Flip,), (1, 8, 8), TypeError, r"augment must hold transforms such as Crop\(4\) or Flip\(\), got"),
    "a name": (("flip",), (1, 8, 8), TypeError, "augment must hold transforms"),
    "two moves": ((Crop(1), Affine(2)), (1, 8, 8), ValueError, "at most one transform that moves, flips and cuts"),
    "two flips": ((Flip(), AlternatingFlip()), (1, 8, 8), ValueError, "at most one transform"),
    "crop": ((Crop((4, 8), "reflect"),), (1, 8, 8), ValueError, r"padding must be less than the images' size \(8, 8\)"),
    "cutout": ((Cutout((8, 9)),), (1, 8, 8), ValueError, r"size must be at most the images' size \(8, 8\)"),
    "affine": ((Affine(shift=8),), (1, 8, 9), ValueError, r"shift must be less than the images' size \(8, 9\)"),
    "flat": ((Flip(),), (64,), ValueError, r"needs images of shape \(N, C, H, W\), got \('N', 64\)"),
}


@pytest.mark.parametrize("what", BAD_FITS)
def test_what_does_not_fit_is_refused_before_the_first_step(what):
    augment, shape, error, message = BAD_FITS[what]
    trainer, data = tiny(shape)
    before = trainer.model.state()
    trainer.fit(data, epochs=1, seed=0, verbose=False)
    history, weights = trainer.history, trainer.model.state()
    assert not all(np.array_equal(before[name], weights[name]) for name in before)
    with pytest.raises(error, match=message):
        trainer.fit(data, epochs=2, seed=0, verbose=False, augment=augment)
    assert trainer.history is history
    assert all(np.array_equal(weights[name], array) for name, array in trainer.model.state().items())


# ---- training --------------------------------------------------------------------------------------------------------


def tiny(shape=(1, 8, 8), count=70):
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, (count, *shape)).astype(np.uint8), rng.integers(0, 3, count)
    body = [Conv2D(shape[0], 2, 3, rng=1)] if len(shape) == 3 else []
    features = 2 * (shape[1] - 2) * (shape[2] - 2) if body else shape[0]
    model = Model(*body, Flatten(), Linear(features, 3, rng=2), mean=0.5, std=0.25)
    return Trainer(model, SoftmaxCrossEntropyLoss(), SGD(lr=0.1)), data


def weights(augment, batch_size=20, epochs=2, seed=7, resume_after=None):
    trainer, data = tiny()
    if resume_after is not None:
        trainer.fit(data, epochs=resume_after, batch_size=batch_size, seed=seed, verbose=False, augment=augment)
    resume = resume_after is not None
    trainer.fit(data, epochs=epochs, batch_size=batch_size, seed=seed, verbose=False, augment=augment, resume=resume)
    return np.concatenate([p.data.ravel() for p in trainer.model.parameters()])


EVERYTHING = (Crop(2, "reflect"), AlternatingFlip(), Cutout(3))
TURNS = (Affine(15, 0.1, 1), Flip())


@pytest.mark.parametrize("augment", [EVERYTHING, TURNS], ids=["crop", "affine"])
def test_backends_train_alike(backend, augment):
    got = weights(augment)
    with kernels.use("reference"):
        expected = weights(augment)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_augmentation_changes_the_training_and_its_seed_the_augmentation():
    runs = [weights(()), weights(EVERYTHING), weights((Flip(),)), weights(EVERYTHING, seed=8)]
    for i, run in enumerate(runs):
        for other in runs[:i]:
            assert np.abs(run - other).max() > 1e-3
    np.testing.assert_array_equal(weights(EVERYTHING), runs[1])


def test_a_resumed_run_goes_on_with_the_same_images():
    np.testing.assert_array_equal(weights(EVERYTHING, epochs=3, resume_after=1), weights(EVERYTHING, epochs=3))


def test_a_batch_of_the_training_is_what_the_plan_says():
    """Seen from a first layer that keeps its input."""
    trainer, data = tiny()
    seen = []
    gather = kernels.current().gather

    def spy(*args, moves=None, **rest):
        seen.append((args[1], moves))
        return gather(*args, moves=moves, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels.current(), "gather", spy)
        trainer.fit(data, validation=data, epochs=2, batch_size=30, seed=3, verbose=False, augment=EVERYTHING)
    expected = [plan(EVERYTHING, (1, 8, 8), 3).moves(epoch, np.arange(70)) for epoch in range(2)]
    steps = [(index, rows) for index, rows in seen if rows is not None]
    assert [len(index) for index, _ in steps] == [30, 30, 10] * 2
    for i, (index, rows) in enumerate(steps):
        np.testing.assert_array_equal(rows, expected[i // 3][index])
    assert len(seen) == 8  # the validation's images stay as they are
