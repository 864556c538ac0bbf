"""Images shifted, turned, flipped and cut on their way into a batch: the reference against numpy's own tools."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare

from minidl import get_num_threads, set_num_threads
from minidl.kernels import im2col, image_moves, reference
from minidl.kernels.image_moves import BOTTOM, FLIP, LEFT, REFLECT, RIGHT, SHIFTED, SOURCE, TOP, TURNED

IMAGES = ((3, 4, 5), (1, 28, 3), (2, 1, 1), (1, 1, 7), (2, 6, 1), (1, 9, 67))
sources = pytest.mark.parametrize("source", [np.uint8, np.float32, np.float64])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS)
images_of = pytest.mark.parametrize("image", IMAGES, ids=str)
columns_of = pytest.mark.parametrize("columns", [SHIFTED, TURNED])


def random_moves(rng, n, size, columns):
    """Flags, boxes and positions of every kind: near, far outside, with and without an empty box."""
    rows = image_moves.blank(n, columns)
    rows[:, :TOP] = rng.integers(0, 2, (n, 2))
    for axis, length in enumerate(size):
        ends = np.sort(rng.integers(0, length + 1, (n, 2)), axis=1)
        rows[:, [TOP + axis, BOTTOM + axis]] = ends
    if columns == SHIFTED:
        rows[:, SOURCE:] = rng.integers(-2, 3, (n, 2))
        rows[::3, SOURCE:] = rng.integers(-3 * max(size), 3 * max(size) + 1, (len(rows[::3]), 2))
    else:
        rows[:, SOURCE:] += rng.integers(-(1 << 15), 1 << 15, (n, 6))
        rows[:, [SOURCE + 2, SOURCE + 5]] += rng.integers(-(1 << 18), 1 << 18, (n, 2))
    return rows


def batch(rng, image, source, dtype, n, columns):
    """Everything that gather takes; scale and shift are exact in float32."""
    images = rng.integers(0, 256, (9, *image)).astype(source)
    if source != np.uint8:
        images = rng.standard_normal((9, *image)).astype(source)
    scale, shift = np.array([0.5, 2, 0.25][: image[0]], dtype), np.arange(image[0]).astype(dtype) - 1
    return images, rng.integers(0, 9, n), scale, shift, random_moves(rng, n, image[1:], columns)


def moved(image, *, flip=0, reflect=0, box=(0, 0, 0, 0), source=(0, 0)):
    """The reference's result for one image (H, W) in float64, neither scaled nor shifted."""
    rows = np.array([[flip, reflect, *box, *source]], np.intp)
    one, none = np.ones(1), np.zeros(1)
    return reference.gather(image[None, None].astype(float), np.zeros(1, np.intp), one, none, moves=rows)[0, 0]


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_shift_is_a_window_of_the_padded_image(mode, rng):
    image = rng.random((5, 7))
    for dy, dx in ((0, 0), (2, -3), (-4, 6), (9, -11), (-20, 17)):
        padded = np.pad(image, ((20, 20), (20, 20)), mode)
        expected = padded[20 + dy : 25 + dy, 20 + dx : 27 + dx]
        np.testing.assert_array_equal(moved(image, reflect=mode == "reflect", source=(dy, dx)), expected)
        flipped = moved(image, reflect=mode == "reflect", source=(dy, dx), flip=1)
        np.testing.assert_array_equal(flipped, expected[:, ::-1])


def test_a_mirror_of_one_pixel_shows_that_pixel(rng):
    image = rng.random((1, 4))
    np.testing.assert_array_equal(moved(image, reflect=1, source=(7, 0)), image)
    np.testing.assert_array_equal(moved(image.T, reflect=1, source=(0, -3)), image.T)


def test_a_box_is_cut_out_of_the_result(rng):
    image = rng.random((5, 7)) + 1
    expected = np.roll(image, -1, axis=0)[:, ::-1].copy()
    expected[4] = 0
    expected[1:3, 2:6] = 0
    np.testing.assert_array_equal(moved(image, source=(1, 0), flip=1, box=(1, 2, 3, 6)), expected)


def test_what_comes_in_is_scaled_and_what_is_cut_out_is_not(any_backend):
    images = np.full((1, 1, 2, 3), 10, np.uint8)
    rows = np.array([[0, 0, 0, 0, 1, 1, 0, 2]], np.intp)
    scale, shift = np.array([0.5], np.float32), np.array([-3], np.float32)
    y = any_backend.leave(any_backend.gather(images, np.zeros(1, np.intp), scale, shift, moves=rows))
    np.testing.assert_array_equal(y[0, 0], [[0, -3, -3], [2, -3, -3]])


def test_a_turn_by_a_right_angle_is_exact(rng):
    image, one = rng.random((6, 6)), 1 << 16
    np.testing.assert_array_equal(moved(image, source=(one, 0, 0, 0, one, 0)), image)
    np.testing.assert_array_equal(moved(image, source=(0, one, 0, -one, 0, 5 * one)), np.rot90(image))
    np.testing.assert_array_equal(moved(image, source=(0, one, 0, one, 0, 0)), image.T)
    np.testing.assert_array_equal(moved(image, source=(one, 0, 0, 0, one, 0), flip=1), image[:, ::-1])


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_between_pixels_four_are_weighted(mode, rng):
    image = rng.random((5, 7))
    padded, one = np.pad(image, 9, mode), 1 << 16
    for down, right in ((0.25, 0.5), (-1.75, 3 + 1 / 256), (2.5, -4.375)):
        h, w = int(np.floor(down)), int(np.floor(right))
        windows = [padded[9 + h + i : 14 + h + i, 9 + w + k : 16 + w + k] for i in (0, 1) for k in (0, 1)]
        v, u = down - h, right - w
        weights = [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u]
        expected = sum(weight * window for weight, window in zip(weights, windows, strict=True))
        got = moved(image, reflect=mode == "reflect", source=(one, 0, round(down * one), 0, one, round(right * one)))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-15)


def test_a_position_is_floored_to_a_256th_of_a_pixel():
    image, one = np.array([[0.0, 256.0]]), 1 << 16
    for extra, expected in ((0, 0), (255, 0), (256, 1), (511, 1), (-1, 0)):
        assert moved(image, source=(one, 0, 0, 0, one, extra))[0, 0] == expected


@sources
@dtypes
@images_of
@columns_of
def test_backends_agree_bit_for_bit(backend, source, dtype, image, columns, rng):
    """Doubles between pixels alone may differ, in the last bit: compilers may fuse products and sums."""
    for n in (0, 1, 7, 8, 15, 16, 17):
        with compare.during("batch", n):
            *args, rows = batch(rng, image, source, dtype, n, columns)
            expected = reference.gather(*args, moves=rows)
            exact = columns == SHIFTED or source != np.float64 or dtype != np.float64
            for infer in (False, True):
                got = backend.leave(backend.gather(*args, infer, rows))
                compare.check(got, expected, exact=exact, tolerance=4e-16)


@pytest.mark.parametrize("image", [(3, 32, 32), (1, 61, 70), (2, 3, 1500)], ids=str)
@columns_of
def test_large_images_and_any_number_of_threads(native, image, columns, rng):
    """More rows than a task has, scales of any value: equal to a batch whose images were moved before."""
    threads = get_num_threads()
    images, index, _, _, rows = batch(rng, image, np.uint8, np.float32, 35, columns)
    scale, shift = (cases.random(rng, image[:1], np.float32) for _ in range(2))
    one, none = np.ones(image[0], np.float32), np.zeros(image[0], np.float32)
    box = rows[:, TOP:SOURCE].copy()
    rows[:, TOP:SOURCE] = 0
    before = im2col.gather(images, index, one, none, moves=rows)
    if columns == SHIFTED:
        before = before.astype(np.uint8)
    plain = native.leave(native.gather(before, np.arange(35), scale, shift))
    rows[:, TOP:SOURCE] = box
    for n, (top, left, bottom, right) in enumerate(box):
        plain[n, :, top:bottom, left:right] = 0
    try:
        for count in (1, 2, 3, 7):
            set_num_threads(count)
            compare.check(native.leave(native.gather(images, index, scale, shift, moves=rows)), plain, exact=True)
    finally:
        set_num_threads(threads)


def test_the_largest_numbers_a_move_may_have_stay_inside(any_backend, rng):
    images = rng.integers(0, 256, (1, 2, 5, 6)).astype(np.uint8)
    args = images, np.zeros(2, np.intp), np.ones(2, np.float32), np.zeros(2, np.float32)
    far, turn, offset = image_moves.MOST_SHIFT - 1, image_moves.MOST_TURN - 1, image_moves.MOST_OFFSET - 1
    for reflect in (0, 1):
        for numbers in ((far, -far), (turn, -turn, offset, turn, turn, -offset)):
            rows = image_moves.blank(2, SOURCE + len(numbers))
            rows[:, REFLECT] = reflect
            rows[0, SOURCE:], rows[1, SOURCE:] = numbers, [-x for x in numbers]
            expected = reference.gather(*args, moves=rows)
            compare.check(any_backend.leave(any_backend.gather(*args, moves=rows)), expected, exact=True)


@columns_of
def test_images_and_moves_at_odd_addresses(native, columns, rng):
    images, index, scale, shift, rows = batch(rng, (3, 9, 11), np.uint8, np.float32, 21, columns)
    guards = [compare.Guarded(array.shape, array.dtype) for array in (scale, shift)]
    for guard, array in zip(guards, (scale, shift), strict=True):
        guard.array[...] = array
    odd = np.empty(images.nbytes + 3, np.uint8)[3:].reshape(images.shape)
    odd[...] = images
    got = native.leave(native.gather(odd, index, guards[0].array, guards[1].array, moves=rows))
    compare.check(got, reference.gather(images, index, scale, shift, moves=rows), exact=True)


def wrong(column, value, columns=SHIFTED):
    rows = image_moves.blank(2, columns)
    rows[1, column] = value
    return rows


BAD = {
    "too few rows": (image_moves.blank(1), ValueError, r"moves must have shape \(2, 8\) or \(2, 12\), got \(1, 8\)"),
    "nine numbers": (np.zeros((2, 9), np.intp), ValueError, "must have shape"),
    "flat": (np.zeros(16, np.intp), ValueError, "must have shape"),
    "int32": (image_moves.blank(2).astype(np.int32), TypeError, "moves must be an array of"),
    "flip 2": (wrong(FLIP, 2), ValueError, "flags 0 or 1"),
    "reflect -1": (wrong(REFLECT, -1), ValueError, "flags 0 or 1"),
    "box above": (wrong(TOP, -1), ValueError, r"a box inside \(4, 5\)"),
    "box turned over": (wrong(LEFT, 1), ValueError, "a box inside"),
    "box below": (wrong(BOTTOM, 5), ValueError, "a box inside"),
    "box beside": (wrong(RIGHT, 6), ValueError, "a box inside"),
    "shift": (wrong(SOURCE, image_moves.MOST_SHIFT), ValueError, "a position within bounds"),
    "shift back": (wrong(SOURCE + 1, -image_moves.MOST_SHIFT), ValueError, "a position within bounds"),
    "turn": (wrong(SOURCE + 4, image_moves.MOST_TURN, TURNED), ValueError, "a position within bounds"),
    "constant": (wrong(SOURCE + 2, image_moves.MOST_OFFSET, TURNED), ValueError, "a position within bounds"),
    "offset": (wrong(SOURCE + 5, -(2**62), TURNED), ValueError, "a position within bounds"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_moves_are_refused(any_backend, what):
    rows, error, message = BAD[what]
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    with pytest.raises(error, match=message):
        any_backend.gather(np.ones((2, 3, 4, 5), np.uint8), np.zeros(2, np.intp), ones, zeros, moves=rows)


@pytest.mark.parametrize(
    ("shape", "channels"), [((2, 20), 20), ((2, 3, 20), 3), ((2, 3, 4, 5), 1), ((2, 3, 0, 5), 3)], ids=str
)
def test_only_images_with_a_scale_a_channel_move(any_backend, shape, channels):
    ones = np.ones(channels, np.float32)
    with pytest.raises(ValueError, match="images"):
        any_backend.gather(np.ones(shape, np.uint8), np.zeros(2, np.intp), ones, ones, moves=image_moves.blank(2))
