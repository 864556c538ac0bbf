"""Winograd's two tiles against the direct sums of im2col in float64, over maps that the tiles do not divide."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from kernels import variants

from minidl import kernels

UNIT = ((1, 1), (1, 1))  # stride, dilation
MAPS = [  # shape of x, output channels, padding, groups
    ((5, 8, 13, 11), 12, (1, 1), 1),
    ((17, 16, 8, 9), 16, (0, 0), 1),
    ((2, 24, 7, 30), 20, (2, 1), 1),
    ((3, 12, 4, 5), 13, (1, 0), 1),
    ((17, 70, 9, 6), 66, (1, 1), 1),
    ((16, 72, 5, 7), 50, (0, 2), 2),
    ((33, 33, 3, 3), 40, (1, 1), 1),
    ((100, 20, 3, 4), 24, (1, 1), 1),  # several blocks a task
    ((70, 16, 4, 2), 12, (1, 1), 2),
    ((17, 16, 9, 14), 24, ((2, 0), (0, 3)), 1),
    ((5, 24, 8, 7), 20, ((5, 0), (1, 4)), 2),
    ((3, 16, 6, 9), 18, ((0, 1), (4, 1)), 1),
]
BOUNDS = {(2, "float32"): 1e-6, (4, "float32"): 3e-6, (2, "float64"): 1e-14, (4, "float64"): 1e-13}

pytestmark = pytest.mark.skipif(not variants.NATIVE, reason="this installation has no native backend")


@pytest.fixture(autouse=True)
def settings_again(native):
    threads = native.get_num_threads()
    yield
    native.use_winograd(4)
    native.set_num_threads(threads)


def close(got: np.ndarray, want: np.ndarray, bound: float) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=bound * np.abs(want).max())


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("x_shape", "out_channels", "padding", "groups"), MAPS)
def test_forward_and_gradients(native, rng, tile, dtype, x_shape, out_channels, padding, groups):
    stride, dilation = UNIT
    x, w = rng.standard_normal(x_shape), rng.standard_normal((out_channels, x_shape[1] // groups, 3, 3))
    b = rng.standard_normal(out_channels)
    with kernels.use("im2col") as plain:
        y = plain.conv2d_forward(x, w, b, stride, padding, dilation, groups)
        dy = rng.standard_normal(y.shape)
        want = plain.conv2d_backward(dy, x, w, stride, padding, dilation, groups)
    native.use_winograd(tile)
    x, w, b, dy = (array.astype(dtype) for array in (x, w, b, dy))
    bound = BOUNDS[tile, dtype]
    close(native.leave(native.conv2d_forward(native.enter(x), w, b, stride, padding, dilation, groups)), y, bound)
    dx, dw, db = native.conv2d_backward(native.enter(dy), native.enter(x), w, stride, padding, dilation, groups)
    close(native.leave(dx), want[0], bound)
    close(dw, want[1], bound)
    close(db, want[2], bound)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_starts_from_its_bias(native, rng, tile, groups):
    x, w = rng.standard_normal((5, 24, 13, 11)), rng.standard_normal((24, 18 // groups, 3, 3))
    window = (1, 1), ((1, 1), (0, 2)), (0, 0), (1, 1), groups
    for b in (None, rng.standard_normal(18)):
        with kernels.use("im2col") as plain:
            y = plain.conv_transpose2d_forward(x, w, b, *window)
            dy = rng.standard_normal(y.shape)
            want = plain.conv_transpose2d_backward(dy, x, w, *window)
        native.use_winograd(tile)
        close(native.leave(native.conv_transpose2d_forward(native.enter(x), w, b, *window)), y, 1e-13)
        dx, *rest = native.conv_transpose2d_backward(native.enter(dy), native.enter(x), w, *window)
        for got, expected in zip((native.leave(dx), *rest), want, strict=True):
            close(got, expected, 1e-13)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(("images", "size"), [(40, (9, 8)), (130, (3, 4))], ids=["large", "several blocks a task"])
def test_any_number_of_threads_gives_the_same_bits(native, rng, tile, images, size):
    native.use_winograd(tile)
    x, dy = (native.enter(rng.standard_normal((images, channels, *size))) for channels in (35, 34))
    w = rng.standard_normal((34, 35, 3, 3))
    results = []
    for threads in (1, 2, 3):
        native.set_num_threads(threads)
        dx, dw, db = native.conv2d_backward(dy, x, w, (1, 1), (1, 1), (1, 1), 1)
        results.append((native.leave(dx), dw, db))
    for other in results[1:]:
        for one, more in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, more)


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(6, 16, 11, 14), (70, 16, 4, 3)], ids=["large", "several blocks a task"])
def test_pooled_block_is_the_small_tiles(native, rng, kind, relu, shape):
    pool = (kind, (2, 2), (2, 2), (0, 0))
    x = native.enter(rng.standard_normal(shape))
    w, b = rng.standard_normal((18, 16, 3, 3)), rng.standard_normal(18)
    results = []
    for tile in (2, 4):
        native.use_winograd(tile)
        y, saved = native.conv_block_forward(x, w, b, (1, 1), (1, 1), (1, 1), 1, relu, pool)
        dy = native.enter(np.ones(y.shape))
        gradients = native.conv_block_backward(dy, saved, x, w, (1, 1), (1, 1), (1, 1), 1, relu, pool)
        results.append([native.leave(y), native.leave(gradients[0]), *gradients[1:]])
    for small, large in zip(*results, strict=True):
        close(large, small, 1e-12)


def test_other_tiles_are_refused(native):
    for tile in (6, 1, -1, 3):
        with pytest.raises(ValueError, match=f"must be 0, 2 or 4, got {tile}"):
            native.use_winograd(tile)


def both_ways(native, x, dy, w):
    """y, dx and dw of a padded convolution."""
    window = *UNIT, (1, 1), 1
    dx, dw, _ = native.conv2d_backward(native.enter(dy), native.enter(x), w, *window)
    return native.leave(native.conv2d_forward(native.enter(x), w, None, *window)), native.leave(dx), dw


def direct(x, dy, w):
    """The same by im2col."""
    window = *UNIT, (1, 1), 1
    with kernels.use("im2col") as plain:
        dx, dw, _ = plain.conv2d_backward(dy, x, w, *window)
        return plain.conv2d_forward(x, w, None, *window), dx, dw


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_a_bad_pixel_spoils_its_tiles_and_with_0_its_windows_alone(native, rng, bad):
    """Channels enough for Winograd's form, of y, dx and dw."""
    x, dy = (rng.standard_normal((3, 32, 12, 10)).astype(np.float32) for _ in range(2))
    w = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
    x[1, 4, 5, 6] = dy[1, 4, 5, 6] = bad
    with np.errstate(invalid="ignore", over="ignore"):
        wanted = direct(x, dy, w)
        native.use_winograd(0)
        exact = both_ways(native, x, dy, w)
        native.use_winograd(2)
        tiles = both_ways(native, x, dy, w)
    windows, near = np.zeros((3, 12, 10), bool), np.zeros((3, 12, 10), bool)
    windows[1, 4:7, 5:8] = True
    near[1, 1:10, 1:10] = True  # no tile that reads the pixel is farther away
    far = np.abs(x) < 1e30
    for one, other, want in zip(exact[:2], tiles[:2], wanted[:2], strict=True):
        good = np.isfinite(one) & (np.abs(one) < 1e30)
        assert not good[1, :, 5, 6].any()
        assert good.all(axis=1)[~windows].all()
        close(one[good], want[good], 2e-6)
        with np.errstate(invalid="ignore"):
            spoilt = (~np.isfinite(other) | (np.abs(other - one) > 1)).any(axis=1)
        assert spoilt.sum() > windows.sum()
        assert not spoilt[~near].any()
        close(other.transpose(0, 2, 3, 1)[~near], want.transpose(0, 2, 3, 1)[~near], 2e-6)
    # A weight's gradient sums over all pixels: of the channel with the bad one, and into it, nothing is left.
    kept = np.ones((32, 32), bool)
    kept[4], kept[:, 4] = False, False
    for one in (exact[2], tiles[2]):
        close(one[kept], wanted[2][kept], 5e-6)
    assert far.sum() == far.size - 1


def test_the_error_for_images_that_are_not_centred(native, rng):
    """Mean 100, kernels that sum to zero: what is left is small beside what is summed, for any sum in float32."""
    x = (100 + rng.standard_normal((8, 64, 24, 24))).astype(np.float32)
    w = rng.standard_normal((64, 64, 3, 3))
    w = ((w - w.mean(axis=(1, 2, 3), keepdims=True)) / 24).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    want = direct(*(array.astype(np.float64) for array in (x, dy, w)))[0]
    single = direct(x, dy, w)[0]
    found = {}
    for tile in (0, 2):
        native.use_winograd(tile)
        found[tile] = both_ways(native, x, dy, w)[0]
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # the margin of zeros is an edge of height 100
    errors = {key: np.abs(y[inside] - want[inside]).max() / np.abs(want[inside]).max() for key, y in found.items()}
    errors["im2col"] = np.abs(single[inside] - want[inside]).max() / np.abs(want[inside]).max()
    assert all(1e-6 < error < 1e-4 for error in errors.values()), errors
    centred = [both_ways(native, *(x - 100, dy, w))[0]]
    close(centred[0], direct(*((x - 100).astype(np.float64), dy.astype(np.float64), w.astype(np.float64)))[0], 5e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "counts"),
    [
        ((5, 32, 16, 16), (32, 32, 3, 3), (3, 3, 3)),
        ((5, 64, 6, 6), (64, 64, 3, 3), (2, 2, 2)),
        ((5, 32, 2, 2), (32, 32, 3, 3), (1, 1, 1)),  # of nine taps four lie inside
        ((5, 280, 8, 8), (8, 280, 3, 3), (2, 3, None)),  # too many channels for the large tile
        ((5, 3, 20, 20), (16, 3, 3, 3), (3, None, 2)),
        ((5, 1, 20, 20), (16, 1, 3, 3), (1, 1, 1)),
        ((5, 16, 20, 20), (1, 16, 3, 3), (1, 1, 1)),
        ((5, 32, 12, 12), (32, 32, 2, 3), (1, 1, 2)),
        ((5, 32, 12, 12), (32, 32, 5, 3), (1, 1, 2)),
        ((5, 32, 12, 12), (32, 32, 3, 5), (1, 1, 1)),
    ],
    ids=str,
)
def test_the_form_is_taken_where_it_takes_fewer_operations(native, rng, dtype, x_shape, w_shape, counts):
    """How many of the direct sum, the small and the large tiles y, dx and dw come from: their bits tell."""
    x, w = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(w_shape).astype(dtype)
    found = []
    for tile in (0, 2, 4):
        native.use_winograd(tile)
        y = native.leave(native.conv2d_forward(native.enter(x), w, None, *UNIT, (1, 1), 1))
        dy = native.enter(np.cos(np.arange(y.size, dtype=dtype)).reshape(y.shape))
        dx, dw, _ = native.conv2d_backward(dy, native.enter(x), w, *UNIT, (1, 1), 1)
        found.append([array.tobytes() for array in (y, native.leave(dx), dw)])
    for direct_sum, small, large, count in zip(*found, counts, strict=True):
        if count is not None:  # else the width of vectors decides
            assert len({direct_sum, small, large}) == count
            assert (direct_sum != small) == (count > 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (3, 1)])
@pytest.mark.parametrize("images", [5, 40])
def test_without_a_gradient_none_comes_out(native, rng, dtype, kernel, images):
    """Zeros, to the bit: sums that start from what memory held would show."""
    x, w = rng.standard_normal((images, 32, 12, 12)).astype(dtype), rng.standard_normal((32, 32, *kernel)).astype(dtype)
    for tile in (0, 2, 4):
        native.use_winograd(tile)
        y = native.conv2d_forward(native.enter(x), w, None, *UNIT, (1, 1), 1)
        dw, db = np.full(w.shape, np.nan, dtype), np.full(32, np.nan, dtype)
        dy = native.enter(np.zeros(y.shape, dtype))
        dx, *_ = native.conv2d_backward(dy, native.enter(x), w, *UNIT, (1, 1), 1, out=(dw, db))
        for gradient in (native.leave(dx), dw, db):
            np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize(("x_shape", "out_channels", "padding", "groups"), MAPS)
def test_a_new_thread_has_no_memory_of_larger_maps(native, rng, x_shape, out_channels, padding, groups):
    """Scratch belongs to a thread and grows: a size that is taken too small shows in a thread that starts with it."""
    x = rng.standard_normal(x_shape)
    w = rng.standard_normal((out_channels, x_shape[1] // groups, 3, 3))
    window = UNIT[0], padding, UNIT[1], groups
    native.set_num_threads(1)

    def compute(found):
        y = native.conv2d_forward(native.enter(x), w, None, *window)
        dx, dw, db = native.conv2d_backward(native.enter(native.leave(y)), native.enter(x), w, *window)
        found.append([array.tobytes() for array in (native.leave(y), native.leave(dx), dw, db)])

    found = []
    compute(found)
    for tile in (2, 4):
        native.use_winograd(tile)
        thread = threading.Thread(target=compute, args=(found,))
        thread.start()
        thread.join()
    assert len(found) == 3
    assert found[0] == found[2]
