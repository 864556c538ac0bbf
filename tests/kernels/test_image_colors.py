"""Colours changed on the way into a batch: the reference against plain formulas, the other backends against it."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, test_image_moves

from minidl import get_num_threads, set_num_threads
from minidl.kernels import im2col, image_moves, reference
from minidl.kernels.image_colors import NOISE_DEVIATION, NOISE_MEAN, Colors, noise_steps
from minidl.kernels.image_moves import BOTTOM, RIGHT, SHIFTED, SOURCE

IMAGES = ((3, 4, 5), (1, 28, 3), (2, 1, 1), (1, 1, 7), (3, 5, 17), (5, 3, 4))
sources, dtypes, columns_of = test_image_moves.sources, test_image_moves.dtypes, test_image_moves.columns_of


def batch(rng, image, source, dtype, n, columns):
    """As for moves, with images in the range of their kind."""
    images, index, _, _, rows = test_image_moves.batch(rng, image, source, dtype, n, columns)
    if source != np.uint8:
        images = rng.random(images.shape).astype(source)
    scale, shift = (cases.random(rng, image[:1], dtype) for _ in range(2))
    return images, index, scale, shift, rows


def random_colors(rng, n, channels, kind):
    """Maps that leave the range now and then, noise, fills."""
    maps = None
    if "gain" in kind:
        maps = np.stack([rng.uniform(0, 2, n), rng.uniform(-0.5, 0.5, n)], axis=-1)[:, None]
    if "mix" in kind:
        maps = rng.uniform(-0.7, 1, (n, 3, 4)) if channels == 3 else rng.uniform(-0.2, 1.2, (n, 1, 2))
    keys = rng.integers(0, 2**64, n, dtype=np.uint64) if "noise" in kind else None
    fill = rng.random((n, channels)) if "fill" in kind else None
    return Colors(maps, keys, 0.1 if keys is not None else 0.0, fill)


KINDS = ("gain", "mix", "noise", "fill", "mix noise fill", "gain noise")


def recolored(image, colors, rows=None, dtype=np.float64):
    """The reference's result for one image (C, H, W), not scaled."""
    one, none = np.ones(len(image), dtype), np.zeros(len(image), dtype)
    rows = image_moves.blank(1) if rows is None else rows
    return reference.gather(image[None], np.zeros(1, np.intp), one, none, moves=rows, colors=colors)[0]


def test_a_map_is_a_matrix_and_an_offset_then_a_clip(rng):
    image = rng.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    numbers = rng.uniform(-0.5, 1, (3, 4))
    image[:, 0, 0], numbers[:2, 3] = 0, (-0.1, 1.1)  # black becomes the offset: below 0 and above 255
    expected = np.tensordot(numbers[:, :3], image.astype(float), 1) + 255 * numbers[:, 3, None, None]
    assert (expected < 0).any()
    assert (expected > 255).any()
    np.testing.assert_allclose(recolored(image, Colors(numbers[None])), np.clip(expected, 0, 255), atol=1e-12)
    unit = image / 255
    np.testing.assert_allclose(recolored(unit, Colors(numbers[None])), np.clip(expected / 255, 0, 1), atol=1e-14)


def test_gain_and_offset_are_those_of_all_channels(rng):
    image = rng.integers(0, 256, (2, 4, 5)).astype(np.uint8)
    got = recolored(image, Colors(np.array([[[1.5, -0.25]]])))
    np.testing.assert_allclose(got, np.clip(1.5 * image - 63.75, 0, 255), atol=1e-12)


def test_what_comes_in_is_black_before_the_map():
    rows = image_moves.blank(1)
    rows[0, SOURCE] = -1
    got = recolored(np.full((1, 2, 2), 100, np.uint8), Colors(np.array([[[0.5, 0.2]]])), rows)
    np.testing.assert_allclose(got, [[[51, 51], [101, 101]]])


def test_a_box_is_filled_after_the_map_and_before_scaling(any_backend):
    images, rows = np.full((1, 2, 1, 3), 100, np.uint8), image_moves.blank(1)
    rows[0, [BOTTOM, RIGHT]] = 1, 2
    scale, shift = np.array([0.5, 1], np.float32), np.array([1, -1], np.float32)
    colors = Colors(np.array([[[2.0, 0.0]]]), fill=np.array([[0.2, 1.0]]))
    y = any_backend.gather(images, np.zeros(1, np.intp), scale, shift, moves=rows, colors=colors)
    np.testing.assert_allclose(any_backend.leave(y), [[[[26.5, 26.5, 101]], [[254, 254, 199]]]], rtol=1e-6)


def test_noise_is_a_sum_of_eight_bytes():
    steps = noise_steps(12345, np.arange(400_000))
    assert abs(steps.mean()) < 5 * NOISE_DEVIATION / np.sqrt(len(steps))
    assert steps.std() == pytest.approx(NOISE_DEVIATION, rel=5e-3)
    assert pytest.approx(209.0215299915298, abs=1e-12) == NOISE_DEVIATION
    assert np.abs(steps).max() <= NOISE_MEAN
    shares = [np.mean(np.abs(steps) < k * NOISE_DEVIATION) for k in (1, 2, 3)]
    assert shares == pytest.approx([0.6827, 0.9545, 0.9973], abs=0.01)  # of a normal distribution
    assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1]) < 5 / np.sqrt(len(steps))
    np.testing.assert_array_equal(noise_steps(7, np.arange(4)), [102, -231, -39, -57])


def test_noise_of_a_value_depends_on_its_image_and_place(any_backend, rng):
    images = np.full((1, 3, 9, 11), 128, np.uint8)
    keys = rng.integers(0, 2**64, 21, dtype=np.uint64)
    one, none = np.ones(3, np.float32), np.zeros(3, np.float32)
    args = images, np.zeros(21, np.intp), one, none
    y = any_backend.leave(
        any_backend.gather(*args, moves=image_moves.blank(21), colors=Colors(keys=keys, deviation=0.1))
    )
    places = np.arange(3 * 9 * 11).reshape(3, 9, 11)
    for n, key in enumerate(keys):
        expected = 128 + noise_steps(int(key), places) * (25.5 / NOISE_DEVIATION)
        np.testing.assert_allclose(y[n], expected.clip(0, 255), atol=1e-4)


@sources
@dtypes
@pytest.mark.parametrize("image", IMAGES, ids=str)
@columns_of
def test_backends_agree_to_rounding(backend, source, dtype, image, columns, rng):
    for n in (0, 1, 8, 17):
        for kind in ("gain", "noise", "mix noise fill"):
            with compare.during("batch", n, kind):
                *args, rows = batch(rng, image, source, dtype, n, columns)
                colors = random_colors(rng, n, image[0], kind)
                expected = reference.gather(*args, moves=rows, colors=colors)
                largest = 2 * (255 if source == np.uint8 else 1) * np.abs(args[2]).max()
                for infer in (False, True):
                    got = backend.leave(backend.gather(*args, infer, rows, colors))
                    compare.check(got, expected, tolerance=4 * np.finfo(dtype).eps, at_least=largest)


@pytest.mark.parametrize("image", [(3, 32, 32), (3, 61, 70), (1, 50, 90), (3, 2, 1500)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(native, image, kind, rng):
    threads = get_num_threads()
    *args, rows = batch(rng, image, np.uint8, np.float32, 35, SHIFTED)
    colors = random_colors(rng, 35, image[0], kind)
    expected = im2col.gather(*args, moves=rows, colors=colors)
    try:
        found = []
        for count in (1, 2, 3, 7):
            set_num_threads(count)
            found.append(native.leave(native.gather(*args, moves=rows, colors=colors)))
            compare.check(found[-1], found[0], exact=True)
        compare.check(found[0], expected, tolerance=1e-6)
        part = slice(3, 20)  # another batch, other lanes
        got = native.gather(args[0], args[1][part], *args[2:], moves=rows[part], colors=colors.part(part))
        compare.check(native.leave(got), found[0][part], exact=True)
    finally:
        set_num_threads(threads)


def test_colors_of_nothing_leave_every_bit(any_backend, rng):
    *args, rows = batch(rng, (3, 9, 11), np.uint8, np.float32, 21, SHIFTED)
    before = any_backend.leave(any_backend.gather(*args, moves=rows))
    after = any_backend.leave(any_backend.gather(*args, moves=rows, colors=Colors()))
    np.testing.assert_array_equal(before, after)


def test_a_nan_stays_where_it_is(any_backend):
    images = np.full((1, 3, 1, 2), 0.5, np.float32)
    images[0, 1, 0, 1] = np.nan
    args = images, np.zeros(1, np.intp), np.ones(3, np.float32), np.zeros(3, np.float32)
    colors = Colors(np.array([[[2.0, 0.25]]]))
    y = any_backend.leave(any_backend.gather(*args, moves=image_moves.blank(1), colors=colors))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(images))
    assert (y[~np.isnan(images)] == 1).all()


def test_images_and_colors_at_odd_addresses(native, rng):
    images, index, scale, shift, rows = batch(rng, (3, 9, 11), np.uint8, np.float32, 21, SHIFTED)
    colors = random_colors(rng, 21, 3, "mix noise fill")
    guards = {name: compare.Guarded(getattr(colors, name).shape, np.float64) for name in ("maps", "fill")}
    for name, guard in guards.items():
        guard.array[...] = getattr(colors, name)
    odd = np.empty(images.nbytes + 3, np.uint8)[3:].reshape(images.shape)
    odd[...] = images
    guarded = colors._replace(**{name: guard.array for name, guard in guards.items()})
    got = native.leave(native.gather(odd, index, scale, shift, moves=rows, colors=guarded))
    compare.check(got, reference.gather(images, index, scale, shift, moves=rows, colors=colors), tolerance=1e-6)


BAD = {
    "no moves": (Colors(), ValueError, "colors must come with moves"),
    "two maps": (Colors(np.ones((2, 2, 3))), ValueError, r"colors.maps must have shape \(2, 1, 2\) for images of 2"),
    "three maps": (Colors(np.ones((2, 3, 4))), ValueError, r"colors.maps must have shape \(2, 1, 2\)"),
    "few maps": (Colors(np.ones((1, 1, 2))), ValueError, r"got \(1, 1, 2\)"),
    "flat maps": (Colors(np.ones(4)), ValueError, "colors.maps must have shape"),
    "float32 maps": (Colors(np.ones((2, 1, 2), np.float32)), TypeError, "colors.maps must be an array of"),
    "few keys": (Colors(keys=np.ones(1, np.uint64)), ValueError, "colors.keys must have"),
    "int keys": (Colors(keys=np.ones(2, np.int64)), TypeError, "colors.keys must be an array of"),
    "fill": (Colors(fill=np.ones((2, 3))), ValueError, r"colors.fill must have shape \(2, 2\), got \(2, 3\)"),
    "float32 fill": (Colors(fill=np.ones((2, 2), np.float32)), TypeError, "colors.fill must be an array of"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_colors_are_refused(any_backend, what):
    colors, error, message = BAD[what]
    rows = None if what == "no moves" else image_moves.blank(2)
    ones = np.ones(2, np.float32)
    with pytest.raises(error, match=message):
        any_backend.gather(np.ones((2, 2, 4, 5), np.uint8), np.zeros(2, np.intp), ones, ones, moves=rows, colors=colors)
