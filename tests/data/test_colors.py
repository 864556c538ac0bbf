"""What is drawn for an image's colours, and what known pixels become."""

from __future__ import annotations

import colorsys
import warnings

import numpy as np
import pytest

from minidl import SGD, Conv2D, Flatten, Linear, Model, SoftmaxCrossEntropyLoss, Trainer, kernels
from minidl.data import Affine, ColorJitter, Crop, Cutout, Erase, Flip, Grayscale, Noise
from minidl.data.augment.pipeline import Changes, plan
from minidl.kernels.image_colors import Colors
from minidl.kernels.image_moves import BOTTOM, SHIFTED, SOURCE, TOP

MANY = np.arange(4000)
EVERYTHING = Crop(2), Flip(), ColorJitter(0.4, 0.3, 0.5, 0.1), Grayscale(0.3), Noise(0.05), Erase(0.7)


def changes(*augment, epoch=0, index=MANY, seed=1, shape=(3, 10, 14)):
    return plan(augment, shape, seed).changes(epoch, index)


def equal(a, b):
    np.testing.assert_array_equal(a.moves, b.moves)
    for one, other in zip(a.colors, b.colors, strict=True):
        np.testing.assert_array_equal(one, other)


def seen(images, *augment, dtype=np.float64, seed=1, backend="im2col"):
    """Images as the first epoch of a training sees them, not scaled."""
    one, none = np.ones(images.shape[1], dtype), np.zeros(images.shape[1], dtype)
    moves, colors = changes(*augment, index=np.arange(len(images)), seed=seed, shape=images.shape[1:])
    with kernels.use(backend):
        found = kernels.current()
        y = found.gather(images, np.arange(len(images)), one, none, moves=moves, colors=colors)
        return found.leave(y)


def pixels(*values, n=1):
    """(n, C, 1, W) uint8 images of these pixels side by side."""
    return np.tile(np.array(values, np.uint8).T[None, :, None], (n, 1, 1, 1))


# ---- draws -----------------------------------------------------------------------------------------------------------


def test_draws_depend_on_seed_epoch_and_place_alone():
    whole = changes(*EVERYTHING, epoch=5)
    order = np.random.default_rng(0).permutation(len(MANY))
    shuffled = changes(*EVERYTHING, epoch=5, index=order)
    equal(
        shuffled,
        type(whole)(whole.moves[order], Colors(*(each[order] if np.ndim(each) else each for each in whole.colors))),
    )
    equal(changes(*EVERYTHING, epoch=5, index=MANY[7:9]), whole.part(slice(7, 9)))
    equal(changes(*EVERYTHING[::-1], epoch=5), whole)
    for other in (changes(*EVERYTHING, epoch=6), changes(*EVERYTHING, epoch=5, seed=2)):
        assert not (other.colors.keys == whole.colors.keys).any()
        assert (other.colors.maps == whole.colors.maps).all(axis=(1, 2)).mean() < 0.01
        assert not (other.colors.fill == whole.colors.fill).all(axis=1).any()


def test_a_transform_draws_the_same_with_and_without_others():
    whole = changes(*EVERYTHING)
    np.testing.assert_array_equal(changes(Noise(0.05)).colors.keys, whole.colors.keys)
    np.testing.assert_array_equal(changes(Erase(0.7)).colors.fill, whole.colors.fill)
    np.testing.assert_array_equal(changes(Erase(0.7)).moves[:, TOP:SOURCE], whole.moves[:, TOP:SOURCE])
    np.testing.assert_array_equal(changes(Crop(2), Flip()).moves[:, SOURCE:], whole.moves[:, SOURCE:])
    assert changes(Crop(2), Flip(), Cutout(3)).colors is None
    assert changes(ColorJitter(0.1)).moves.shape[1] == SHIFTED


def test_factors_are_even_within_their_bounds():
    gain, offset = changes(ColorJitter(0.4, (0.5, 2))).colors.maps[:, 0].T
    contrast = 1 - 2 * offset
    bright = gain / contrast
    for factor, low, high in ((bright, 0.6, 1.4), (contrast, 0.5, 2)):
        counts, _ = np.histogram(factor, 10, (low, high))
        assert counts.sum() == len(MANY)
        assert np.abs(counts - 400).max() < 5 * 20
    assert abs(np.corrcoef(bright, contrast)[0, 1]) < 5 / np.sqrt(len(MANY))
    assert changes(ColorJitter(3)).colors.maps[:, 0, 0].min() >= 0


def test_draws_are_the_same_for_ever():
    """A run that is repeated with a later version must see the same images."""
    moves, colors = changes(*EVERYTHING, epoch=2, index=np.array([0, 4711]), seed=99)
    np.testing.assert_array_equal(moves, MOVES)
    np.testing.assert_array_equal(colors.keys, KEYS)
    np.testing.assert_allclose(colors.fill, FILL, atol=1e-12)
    np.testing.assert_allclose(colors.maps, MAPS, atol=1e-12)


MOVES = [[0, 0, 5, 0, 10, 2, 0, 1], [0, 0, 3, 0, 7, 10, 0, 1]]
KEYS = np.array([10000847525103817851, 12945717721339774582], np.uint64)
FILL = [[0.010749462177, 0.5012316963403, 0.2803835050436], [0.6593810607446, 0.4685708287871, 0.3985523869051]]
MAPS = [
    [
        [0.5414768269276, 0.1040544168598, 0.0346767186724, 0.0084133259137],
        [0.0657923150923, 0.6001056986349, 0.0143099487326, 0.0084133259137],
        [0.0250922856576, 0.1395417388081, 0.5155739379941, 0.0084133259137],
    ],
    [
        [1.0218411060514, 0.1365595169866, -0.0115416758176, 0.022552835627],
        [0.0359120267685, 1.0689094138981, 0.0420375065538, 0.022552835627],
        [0.1429822350562, 0.0432024603614, 0.9606742518029, 0.022552835627],
    ],
]


# ---- pixels ----------------------------------------------------------------------------------------------------------


def test_brightness_multiplies_and_clips():
    got = seen(pixels([10, 20], [100, 200]), ColorJitter(brightness=(1.5, 1.5)))
    np.testing.assert_allclose(got[0, :, 0].T, [[15, 30], [150, 255]])


def test_contrast_goes_away_from_middle_grey():
    got = seen(pixels([127.5 - 27.5, 200]), ColorJitter(contrast=(0.5, 0.5)))
    np.testing.assert_allclose(got[0, :, 0, 0], [113.75, 163.75])
    got = seen(np.full((1, 1, 1, 1), 0.75), ColorJitter(contrast=(2, 2)))
    np.testing.assert_allclose(got, 1)


def test_brightness_comes_before_contrast():
    got = seen(pixels([100]), ColorJitter(brightness=(0.5, 0.5), contrast=(2, 2)))
    np.testing.assert_allclose(got, 0)
    got = seen(pixels([200]), ColorJitter(brightness=(0.5, 0.5), contrast=(1.5, 1.5)))
    np.testing.assert_allclose(got, 127.5 + 1.5 * (100 - 127.5))


def test_saturation_goes_away_from_the_pixels_own_grey():
    color = np.array([200, 100, 50])
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    for factor in (0, 0.5, 1.2):
        got = seen(pixels(color), ColorJitter(saturation=(factor, factor)))
        np.testing.assert_allclose(got[0, :, 0, 0], np.clip(grey + factor * (color - grey), 0, 255), atol=1e-9)


def test_hue_turns_by_the_angle_in_the_plane_of_chroma():
    color = np.array([140, 120, 100])
    for turn in (-0.25, 0.05, 0.1, 0.5):
        got = seen(pixels(color), ColorJitter(hue=(turn, turn)))[0, :, 0, 0]
        before, after = (np.array(colorsys.rgb_to_yiq(*(each / 255))) for each in (color, got))
        assert after[0] == pytest.approx(before[0], abs=2e-3)  # the tables of YIQ differ in the third place
        chroma = [complex(*each[1:]) for each in (before, after)]
        assert abs(chroma[1]) == pytest.approx(abs(chroma[0]), rel=0.02)
        away = np.angle(chroma[1] / chroma[0]) / (2 * np.pi) + turn
        assert min(away % 1, -away % 1) < 0.004


@pytest.mark.parametrize("hue", [0.1, (0.3, 0.3), 0.5])
def test_hue_and_saturation_leave_grey(hue):
    np.testing.assert_allclose(seen(pixels([90] * 3, n=20), ColorJitter(0, 0, 1, hue)), 90, atol=1e-9)


def test_a_red_turns_to_the_hue_of_yellow_before_green():
    """The direction of the turn, as in HSV: a little forward goes from red to yellow."""
    got = seen(pixels([150, 100, 100]), ColorJitter(hue=(0.1, 0.1)))[0, :, 0, 0]
    assert 0.05 < colorsys.rgb_to_hsv(*got)[0] < 0.2


def test_grey_pictures_are_grey_and_as_many_as_p_says():
    got = seen(pixels([200, 100, 50], n=4000), Grayscale(0.3))[:, :, 0, 0]
    grey = (np.ptp(got, axis=1) < 1e-9).mean()
    assert grey == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / 4000))
    np.testing.assert_allclose(got[np.ptp(got, axis=1) < 1e-9], 124.2)
    np.testing.assert_allclose(got[np.ptp(got, axis=1) > 1], [[200, 100, 50]] * round(4000 * (1 - grey)))
    np.testing.assert_array_equal(seen(pixels([200, 100, 50]), Grayscale(0)), pixels([200, 100, 50]))


def test_grey_comes_after_the_jitter():
    jitter = ColorJitter((0.5, 0.5), 0, (3, 3), (0.2, 0.2))
    np.testing.assert_allclose(seen(pixels([200, 100, 50]), Grayscale(1), jitter), 62.1)
    only = ColorJitter((0.5, 0.5), (0.8, 0.8))
    np.testing.assert_allclose(seen(pixels([200, 100, 50]), Grayscale(1), only), 0.4 * 124.2 + 25.5)


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.float32, 1)])
def test_noise_has_its_deviation_and_is_clipped(kind, top):
    images = np.full((40, 2, 30, 30), top * 0.5).astype(kind)
    noise = (seen(images, Noise(0.1)) - images) / top
    assert noise.mean() == pytest.approx(0, abs=5 * 0.1 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    flat = noise.reshape(80, 900)
    assert np.abs(np.corrcoef(flat)[np.triu_indices(80, 1)]).max() < 6 / np.sqrt(900)
    strong = seen(images, Noise(1))
    assert (strong.min(), strong.max()) == (0, top)


# ---- boxes -----------------------------------------------------------------------------------------------------------


def test_erased_boxes_have_area_ratio_and_place_as_drawn():
    rows = changes(Erase(0.5, (0.1, 0.3), (0.5, 2)), shape=(3, 40, 50)).moves
    chosen = rows[:, BOTTOM] > 0
    assert chosen.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(len(rows)))
    assert not rows[~chosen].any()
    top, left, bottom, right = rows[chosen, TOP:SOURCE].T
    height, width = bottom - top, right - left
    area, ratio = height * width / 2000, height / width
    assert 0.09 < area.min() < 0.12 < 0.28 < area.max() < 0.315
    assert area.mean() == pytest.approx(0.2, abs=0.01)
    assert 0.45 < ratio.min() < 0.55 < 1.8 < ratio.max() < 2.15
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.05)
    assert (np.minimum(top, left) >= 0).all()
    assert bottom.max() == 40
    assert right.max() == 50
    assert (left / (50 - width)).mean() == pytest.approx(0.5, abs=0.03)


def test_a_box_of_the_whole_image_fills_it():
    rows = changes(Erase(1, (1, 1), (1, 1)), shape=(1, 7, 7)).moves
    np.testing.assert_array_equal(rows[:, TOP:SOURCE], [[0, 0, 7, 7]] * len(rows))


def test_colors_of_boxes():
    images = np.full((3000, 3, 1, 1), 9, np.uint8)
    random = seen(images, Erase(1, (1, 1)))[:, :, 0, 0] / 255
    assert random.mean(axis=0) == pytest.approx([0.5] * 3, abs=0.03)
    assert random.std(axis=0) == pytest.approx([12**-0.5] * 3, abs=0.02)
    assert np.abs(np.corrcoef(random.T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(3000)
    np.testing.assert_array_equal(seen(images[:5], Erase(1, (1, 1), color="mean")), 0)
    np.testing.assert_allclose(seen(images[:5], Erase(1, (1, 1), color=0.4)), 102)
    np.testing.assert_allclose(seen(images[:1], Erase(1, (1, 1), color=[1, 0.2, 0])).ravel(), [255, 51, 0])


# ---- backends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 6, 7), (1, 6, 7), (4, 5, 3)], ids=str)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_backends_see_the_same_images(any_backend, shape, kind, rng):
    images = rng.integers(0, 256, (19, *shape)).astype(kind)
    images = images if kind == np.uint8 else images / np.float32(255)
    full = (
        (*EVERYTHING, Affine(10, mode="reflect"))[1:] if shape[0] == 3 else (ColorJitter(0.4, 0.4), Noise(0.1), Erase())
    )
    expected = seen(images, *full, dtype=np.float32, backend="reference")
    got = seen(images, *full, dtype=np.float32, backend=kernels.current().name)
    np.testing.assert_allclose(got, expected, atol=3e-6 * (255 if kind == np.uint8 else 1))


# ---- training --------------------------------------------------------------------------------------------------------


def trained(augment, epochs=2, resume_after=None, streamed=False, source=np.uint8):
    """Weights after a training, and the trainer."""
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 256, (70, 3, 8, 8)).astype(np.uint8), rng.integers(0, 3, 70)
    x = x if source == np.uint8 else (x / 255).astype(source)
    model = Model(Conv2D(3, 2, 3, rng=1), Flatten(), Linear(72, 3, rng=2), mean=0.5, std=0.25)
    run = Trainer(model, SoftmaxCrossEntropyLoss(), SGD(lr=0.1))
    data = [(x[:30], y[:30]), (x[30:], y[30:])] if streamed else (x, y)
    options = {"batch_size": 20, "seed": 7, "verbose": False, "augment": augment}
    for count, resume in ((resume_after, False), (epochs, resume_after is not None)):
        if count is not None:
            run.fit(data, epochs=count, resume=resume, **options)
    return np.concatenate([p.data.ravel() for p in run.model.parameters()]), run


def test_backends_train_alike(backend):
    got, _ = trained(EVERYTHING)
    with kernels.use("reference"):
        expected, _ = trained(EVERYTHING)
    np.testing.assert_allclose(got, expected, atol=5e-6)
    assert np.abs(got - trained(EVERYTHING[:2])[0]).max() > 1e-3


def test_a_training_sees_what_the_plan_says():
    seen, gather = [], kernels.current().gather

    def spy(*args, moves=None, colors=None, **rest):
        seen.append(Changes(moves, colors))
        return gather(*args, moves=moves, colors=colors, **rest)

    for streamed in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels.current(), "gather", spy)
            trained(EVERYTHING, epochs=1, streamed=streamed)
    planned = plan(EVERYTHING, (3, 8, 8), 7)
    order = np.random.default_rng(7).permutation(70)
    for step, start in enumerate(range(0, 70, 20)):
        equal(seen[step], planned.changes(0, order[start : start + 20]))
    equal(seen[4], planned.changes(0, np.arange(30)))
    equal(seen[5], planned.changes(0, np.arange(30, 70)))


def test_a_resumed_run_goes_on_with_the_same_colors_and_refuses_others():
    whole, _ = trained(EVERYTHING, epochs=3)
    got, run = trained(EVERYTHING, epochs=3, resume_after=1)
    np.testing.assert_array_equal(got, whole)
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, (70, 3, 8, 8)).astype(np.uint8), rng.integers(0, 3, 70)
    for other in ((*EVERYTHING[:-1], Erase(0.7, color="mean")), EVERYTHING[:-1]):
        with pytest.raises(ValueError, match=r"augment must be Crop.*Erase\(p=0.7.*color='random'\), as in the run"):
            run.fit(data, epochs=4, batch_size=20, seed=7, verbose=False, augment=other, resume=True)


def test_fit_names_float_images_outside_of_the_range():
    trained((ColorJitter(0.1),), source=np.float32)
    x, y = np.full((4, 3, 8, 8), 2, np.float32), np.zeros(4, int)
    model = Model(Conv2D(3, 2, 3, rng=1), Flatten(), Linear(72, 3, rng=2))
    for data in ((x, y), [(x, y)]):
        run = Trainer(model, SoftmaxCrossEntropyLoss(), SGD(lr=0.1))
        with pytest.raises(ValueError, match=r"Trainer: augment: Noise needs uint8 images, or floats in \[0, 1\]"):
            run.fit(data, verbose=False, augment=(Noise(0.1),))


def test_fit_tells_of_boxes_among_floats_up_to_255():
    """Colours in [0, 1] are black there. Standardised images are all right: 0 to 1 lies in the midst of them."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 3, 8, 8))
    y = np.arange(8) % 3

    def told(x, augment, batches):
        run = Trainer(
            Model(Conv2D(3, 2, 3, rng=1), Flatten(), Linear(72, 3, rng=2)), SoftmaxCrossEntropyLoss(), SGD(1e-4)
        )
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            run.fit([(x, y)] * 3 if batches else (x, y), epochs=2, verbose=False, augment=augment)
        return [str(each.message) for each in found if "augment" in str(each.message)]

    for batches in (False, True):
        for augment in ((Erase(),), (Flip(), Erase(color=0.5)), (lambda images, rng: images, Erase(color=(0, 1, 0)))):
            (message,) = told(pixels.astype(np.float32), augment, batches)
            assert message.startswith("Trainer: augment: Erase fills boxes of float images with colours from 0 to 1")
            assert message.endswith("give uint8, or divide by 255")
        for x in (pixels.astype(np.uint8), pixels / 255, pixels / 64 - 2):
            assert told(x, (Erase(),), batches) == []
        for augment in ((Erase(color="mean"),), (Cutout(2),), ()):
            assert told(pixels.astype(np.float32), augment, batches) == []


# ---- bad input -------------------------------------------------------------------------------------------------------

BAD = {
    "brightness": (lambda: ColorJitter(-0.1), ValueError, "ColorJitter: brightness must be at least 0"),
    "contrast": (lambda: ColorJitter(0, "1"), TypeError, "ColorJitter: contrast must be a number, got '1'"),
    "saturation": (lambda: ColorJitter(saturation=(2, 1)), ValueError, r"saturation must be \(least, most\), in this"),
    "three": (lambda: ColorJitter(saturation=(0, 1, 2)), ValueError, r"saturation must be a \(least, most\) pair"),
    "hue": (lambda: ColorJitter(hue=0.6), ValueError, "ColorJitter: hue must be at least 0 and at most 0.5, got 0.6"),
    "hue pair": (lambda: ColorJitter(hue=(-0.6, 0)), ValueError, r"hue must be within \[-0.5, 0.5\], got -0.6"),
    "nan": (lambda: ColorJitter(float("nan")), ValueError, "brightness must be"),
    "p": (lambda: Grayscale(1.1), ValueError, "Grayscale: p must be at least 0 and at most 1, got 1.1"),
    "std": (lambda: Noise(-1), ValueError, "Noise: std must be at least 0 and at most 1, got -1"),
    "no std": (lambda: Noise(None), TypeError, "Noise: std must be a number, got None"),
    "erase p": (lambda: Erase("x"), TypeError, "Erase: p must be a number"),
    "scale": (lambda: Erase(scale=(0, 0.5)), ValueError, r"Erase: scale must be above 0, got \(0, 0.5\)"),
    "scale number": (lambda: Erase(scale=0.5), ValueError, r"Erase: scale must be a \(least, most\) pair, got 0.5"),
    "scale above": (lambda: Erase(scale=(0.5, 1.5)), ValueError, r"scale must be within \[0, 1\], got 1.5"),
    "ratio": (lambda: Erase(ratio=(2, 1)), ValueError, "ratio must be .least, most., in this order"),
    "color": (lambda: Erase(color="red"), ValueError, "color must be 'random', 'mean' or numbers in .0, 1., got 'red'"),
    "color 255": (lambda: Erase(color=255), ValueError, "Erase: color must be numbers in"),
    "no color": (lambda: Erase(color=()), ValueError, "color must have at least one number"),
    "none": (lambda: Erase(color=None), TypeError, "Erase: color must be a number"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_transforms(what):
    make, error, message = BAD[what]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("augment", "channels", "message"),
    [
        ((ColorJitter(saturation=0.1),), 1, r"ColorJitter\(.*: saturation and hue need images of 3 channels, got 1"),
        ((ColorJitter(hue=0.1),), 4, r"ColorJitter\(.*: saturation and hue need images of 3 channels, got 4"),
        ((Grayscale(),), 1, r"Grayscale\(p=0.1\): needs images of 3 channels, got 1"),
        ((Erase(color=(0, 1)),), 3, r"Erase\(.*: color must be one number or one for each of 3 channels"),
        ((Noise(0.1), Noise(0.2)), 3, "at most one transform that moves, flips and cuts, jitters, makes grey and adds"),
        ((Cutout(2), Erase()), 3, "at most one transform"),
    ],
)
def test_transforms_that_do_not_fit(augment, channels, message):
    with pytest.raises(ValueError, match=message):
        plan(augment, (channels, 8, 8), 0)


def test_float_images_outside_of_the_range_are_refused():
    images = np.array([-1.5, 0.5, 2], np.float32).reshape(3, 1, 1, 1)
    for augment in ((ColorJitter(0.1),), (Noise(0.1),)):
        with pytest.raises(ValueError, match=r"needs uint8 images, or floats in \[0, 1\], got values from -1.5 to 2"):
            plan(augment, (1, 1, 1), 0).check_range(images)
        plan(augment, (1, 1, 1), 0).check_range(images[1:2])
        plan(augment, (1, 1, 1), 0).check_range(np.full((1, 1, 1, 1), 255, np.uint8))
    plan((Flip(), Erase()), (1, 1, 1), 0).check_range(images)


def test_the_transforms_text_says_everything():
    assert repr(ColorJitter(0.1, hue=(0, 0.2))) == (
        "ColorJitter(brightness=0.1, contrast=0.0, saturation=0.0, hue=(0, 0.2))"
    )
    assert repr(Erase(color=[0, 1])) == "Erase(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), color=(0, 1))"
