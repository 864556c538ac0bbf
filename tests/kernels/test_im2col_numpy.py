"""The vectorised operations of the im2col backend against the loops of `reference`, and at the ends of the floats."""

import warnings

import numpy as np
import pytest

from minidl.kernels import im2col, reference


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def close(got, expected, dtype):
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=(2e-6 if dtype == np.float32 else 1e-14))


def test_gather_is_one_multiplication_and_one_addition(dtype, rng):
    images = rng.integers(0, 256, (6, 2, 3, 4)).astype(np.uint8)
    index = np.array([5, 0, 5], np.intp)
    scale, shift = np.array([0.1, 3], dtype), np.array([-1, 0.3], dtype)
    y = im2col.gather(images, index, scale, shift)
    expected = images[index].astype(dtype) * scale[:, None, None] + shift[:, None, None]
    np.testing.assert_array_equal(y, expected, strict=True)


def test_gather_of_flat_images(dtype, rng):
    images = rng.standard_normal((6, 3)).astype(dtype)
    y = im2col.gather(images, np.array([1], np.intp), np.ones(1, dtype), np.zeros(1, dtype))
    np.testing.assert_array_equal(y, images[1:2], strict=True)
    assert im2col.gather(images, np.empty(0, np.intp), np.ones(3, dtype), np.zeros(3, dtype)).shape == (0, 3)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_activations(activation, dtype, rng):
    x, dy = (3 * rng.standard_normal((2, 3, 4, 5)).astype(dtype) for _ in range(2))
    forward, backward = getattr(im2col, f"{activation}_forward"), getattr(im2col, f"{activation}_backward")
    y = forward(x)
    close(y, getattr(reference, f"{activation}_forward")(x), dtype)
    close(backward(dy, y), getattr(reference, f"{activation}_backward")(dy, y), dtype)


def test_activations_at_the_ends(dtype):
    x = np.array([-np.inf, -1e4, -0.0, 0.0, 1e4, np.inf, np.nan], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(im2col.sigmoid_forward(x), [0, 0, 0.5, 0.5, 1, 1, np.nan])
        np.testing.assert_array_equal(im2col.relu_forward(x), [0, 0, 0, 0, 1e4, np.inf, np.nan])
        np.testing.assert_array_equal(
            im2col.relu_backward(np.full(7, np.inf, dtype), x), [0, 0, 0, 0, *[np.inf] * 2, 0]
        )
    assert im2col.sigmoid_forward(np.array([-80], dtype))[0] == pytest.approx(np.exp(-80.0), rel=1e-5)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 3)])
@pytest.mark.parametrize("train", [True, False])
def test_batchnorm(shape, train, dtype, rng):
    x, dy = (2 + 3 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    gamma, beta, mean, var = (rng.random(3).astype(dtype) for _ in range(4))
    results = []
    for backend in (im2col, reference):
        running = mean.copy(), var.copy()
        y, m, s = backend.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-5, train)
        results.append([y, m, s, *running, *backend.batchnorm_backward(dy, x, gamma, m, s, train)])
    for got, expected in zip(*results, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=3e-6)


def test_batchnorm_of_nothing_moves_nothing(dtype):
    x, ones = np.zeros((0, 2, 3, 3), dtype), np.ones(2, dtype)
    running = np.full(2, 5, dtype), np.full(2, 7, dtype)
    y, mean, inv_std = im2col.batchnorm_forward(x, ones, ones, *running, 0.5, 0.25, True)
    assert y.shape == x.shape
    assert mean.tolist() == [0, 0]
    assert inv_std.tolist() == [2, 2]
    assert running[0].tolist() == [5, 5]
    assert running[1].tolist() == [7, 7]
    dx, dgamma, dbeta = im2col.batchnorm_backward(y, x, ones, mean, inv_std)
    assert dx.shape == x.shape
    assert dgamma.tolist() == dbeta.tolist() == [0, 0]


def test_dropout_masks_are_those_of_reference(dtype, rng):
    x = rng.standard_normal((3, 2, 4, 4)).astype(dtype)
    x[0, 0, 0] = np.inf
    y = im2col.dropout_forward(x, 0.4, 2**64 - 1)
    np.testing.assert_allclose(y, reference.dropout_forward(x, 0.4, 2**64 - 1), rtol=1e-6)
    np.testing.assert_array_equal(im2col.dropout_backward(x, 0.4, 2**64 - 1), y, strict=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
def test_softmax_cross_entropy(kind, smoothing, dtype, rng):
    logits = (5 * rng.standard_normal((7, 4))).astype(dtype)
    labels = rng.integers(0, 4, 7).astype(np.intp)
    target = {
        "labels": labels,
        "one-hot": np.eye(4, dtype=dtype)[labels],
        "probabilities": rng.random((7, 4)).astype(dtype),
    }
    before = target[kind].copy()
    loss, dlogits, correct = im2col.softmax_cross_entropy(logits, target[kind], smoothing)
    expected = reference.softmax_cross_entropy(logits, target[kind], smoothing)
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected[0], rel=1e-6)
    close(dlogits, expected[1], dtype)
    assert correct == expected[2]
    np.testing.assert_array_equal(target[kind], before)


def test_softmax_of_masked_and_huge_logits(dtype):
    logits = np.array([[0, -np.inf], [3e4, -3e4]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, dlogits, correct = im2col.softmax_cross_entropy(logits, np.array([0, 0], np.intp))
    assert loss == 0
    assert not dlogits.any()
    assert correct == 2


def test_a_row_with_nan_is_never_correct(dtype):
    logits = np.array([[np.nan, 1], [2, 1]], dtype)
    loss, _, correct = im2col.softmax_cross_entropy(logits, np.array([0, 0], np.intp))
    assert np.isnan(loss)
    assert correct == 1


def test_losses_of_nothing_are_zero(dtype):
    assert im2col.softmax_cross_entropy(np.zeros((0, 3), dtype), np.zeros(0, np.intp))[::2] == (0, 0)
    assert im2col.mse_loss(np.zeros((0, 3), dtype), np.zeros((0, 3), dtype))[0] == 0


def test_mse_loss(dtype, rng):
    x, target = (rng.standard_normal((5, 3)).astype(dtype) for _ in range(2))
    loss, dx = im2col.mse_loss(x, target)
    expected = reference.mse_loss(x, target)
    assert loss == pytest.approx(expected[0], rel=1e-6)
    close(dx, expected[1], dtype)


@pytest.mark.parametrize(
    ("name", "slots", "arguments"),
    [
        ("sgd_update", 1, (0.1, 0.9, 0.01)),
        ("sgd_update", 1, (0.1, 0.9, 0.01, True)),
        ("rmsprop_update", 1, (0.1, 0.9, 1e-3, 0.01)),
        ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01)),
        ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01, True)),
        ("sgd_update", 1, (0.1, 0.9, 0.01, True, 0.3)),
        ("rmsprop_update", 1, (0.1, 0.9, 1e-3, 0.0, 0.3)),
        ("adam_update", 2, (3, 0.1, 0.9, 0.99, 1e-3, 0.01, True, 0.3)),
        ("blend", 0, (0.3,)),
    ],
)
def test_updates(name, slots, arguments, dtype, rng):
    start = [rng.random((3, 4)).astype(dtype) for _ in range(2 + slots)]
    mine, theirs = ([array.copy() for array in start] for _ in range(2))
    getattr(im2col, name)(*mine, *arguments)
    getattr(reference, name)(*theirs, *arguments)
    np.testing.assert_array_equal(mine[1], start[1])
    assert not np.array_equal(mine[0], start[0])
    for got, expected in zip(mine, theirs, strict=True):
        close(got, expected, dtype)


def test_sgd_without_velocity(dtype, rng):
    p, grad = rng.random(4).astype(dtype), rng.random(4).astype(dtype)
    expected = p - 0.1 * (grad + 0.01 * p)
    im2col.sgd_update(p, grad, None, 0.1, 0.0, 0.01)
    close(p, expected, dtype)
