"""Every backend against the reference: activations, normalisation, dropout, losses, updates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import reference

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
shapes = pytest.mark.parametrize("shape", cases.SHAPES, ids=str)

LOSS = {np.float32: 1e-6, np.float64: 1e-13}


@dtypes
@shapes
def test_activations(backend, shape, dtype, rng):
    for name in "relu", "sigmoid", "tanh":
        with compare.during(name):
            x, dy = 3 * cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            forward, backward = name + "_forward", name + "_backward"
            y = backend.leave(getattr(backend, forward)(backend.enter(x)))
            exact = name == "relu"
            compare.check(y, getattr(reference, forward)(x.astype(np.float64)), dtype, exact=exact)
            dx = backend.leave(getattr(backend, backward)(backend.enter(dy), backend.enter(y)))
            compare.check(dx, getattr(reference, backward)(*judged.wide(dy, y)), dtype, exact=exact)


@dtypes
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activations_of_special_numbers(backend, name, dtype):
    tiny = np.finfo(dtype).tiny
    x = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4, 88, -88, tiny, -tiny, 1e-6, -1e-6]], dtype)
    with np.errstate(all="raise", under="ignore"):
        y = backend.leave(getattr(backend, name + "_forward")(backend.enter(x)))
    compare.check(y, getattr(reference, name + "_forward")(x.astype(np.float64)), dtype)


@dtypes
def test_sigmoid_and_tanh_keep_their_relative_precision_near_zero(backend, dtype, rng):
    x = (10.0 ** rng.uniform(-6, 1, (4, 100)) * rng.choice([-1, 1], (4, 100))).astype(dtype)
    for name in "sigmoid", "tanh":
        y = backend.leave(getattr(backend, name + "_forward")(backend.enter(x)))
        expected = getattr(reference, name + "_forward")(x.astype(np.float64))
        compare.check((y / expected).astype(dtype), np.ones_like(x), tolerance=8 * np.finfo(dtype).eps)


@dtypes
def test_relu_backward_is_zero_at_zero_and_at_nan(backend, dtype):
    y = np.array([[0.0, -0.0, np.nan, 1.0, -1.0, np.inf]], dtype)
    dx = backend.leave(backend.relu_backward(backend.enter(np.full_like(y, 7)), backend.enter(y)))
    compare.check(dx, np.array([[0, 0, 0, 7, 0, 7]], dtype), exact=True)


@dtypes
@shapes
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_batchnorm(backend, shape, dtype, train, rng):
    x = (4 * rng.standard_normal(shape) + 10).astype(dtype)
    dy = cases.random(rng, shape, dtype)
    channels = (shape[1],)
    gamma, beta, mean = (cases.random(rng, channels, dtype) for _ in range(3))
    running = [mean, rng.uniform(0.5, 2, channels).astype(dtype)]
    expected_running = list(judged.wide(*running))
    expected = reference.batchnorm_forward(*judged.wide(x, gamma, beta), *expected_running, 0.9, 1e-5, train)
    y, mean, inv_std = backend.batchnorm_forward(backend.enter(x), gamma, beta, *running, 0.9, 1e-5, train)
    compare.check(mean, expected[1], dtype)
    # One image of one pixel, or a batch whose variance is 0, would divide rounding errors by sqrt(eps).
    steady = not train or x.size // shape[1] > 1
    if steady:
        compare.check(backend.leave(y), expected[0], dtype, tolerance=1e-5 if dtype == np.float32 else 1e-12)
        compare.check(inv_std, expected[2], dtype)
    for got, wanted in zip(running, expected_running, strict=True):
        compare.check(got, wanted, dtype)

    out = [compare.Guarded(channels, dtype) for _ in range(2)]
    dx, dgamma, dbeta = backend.batchnorm_backward(
        backend.enter(dy), backend.enter(x), gamma, mean, inv_std, train, (out[0].array, out[1].array)
    )
    assert dgamma is out[0].array
    assert dbeta is out[1].array
    expected = reference.batchnorm_backward(*judged.wide(dy, x, gamma, mean, inv_std), train)
    for got, wanted in zip((backend.leave(dx), dgamma, dbeta), expected, strict=True):
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        scale = 1.0 if steady else 1 / np.sqrt(1e-5)
        compare.check(got, wanted, dtype, tolerance=tolerance * scale)
    for guard in out:
        guard.check()


def test_batchnorm_of_an_empty_batch_changes_nothing(backend):
    gamma, beta, mean, var = np.ones(3), np.zeros(3), np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    x = backend.enter(np.zeros((0, 3, 2, 2)))
    y, batch_mean, inv_std = backend.batchnorm_forward(x, gamma, beta, mean, var, 0.9, 1e-5, True)
    assert tuple(y.shape) == (0, 3, 2, 2)
    compare.check(batch_mean, np.zeros(3), exact=True)
    compare.check(inv_std, np.full(3, 1 / np.sqrt(1e-5)))
    compare.check(mean, np.array([1.0, 2, 3]), exact=True)
    compare.check(var, np.array([4.0, 5, 6]), exact=True)


@dtypes
def test_batchnorm_of_a_large_mean_keeps_its_variance(backend, dtype, rng):
    """A variance taken as mean of squares minus square of mean would lose every digit here."""
    x = (rng.integers(-1, 2, (9, 2, 16, 16)) + 4096).astype(dtype)
    ones, zeros = np.ones(2, dtype), np.zeros(2, dtype)
    _, mean, inv_std = backend.batchnorm_forward(
        backend.enter(x), ones, zeros, zeros.copy(), ones.copy(), 0.9, 1e-5, True
    )
    wide = x.astype(np.float64)
    compare.check(mean, wide.mean((0, 2, 3)), dtype, tolerance=1e-6)
    compare.check(inv_std, 1 / np.sqrt(wide.var((0, 2, 3)) + 1e-5), dtype, tolerance=1e-5)


@dtypes
@shapes
def test_dropout(backend, shape, dtype, rng):
    for rate, key in ((0.5, 1), (0.25, 2**64 - 1), (0.9, 123456789), (0.0, 0)):
        with compare.during("rate", rate, "key", key):
            x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
            y = backend.leave(backend.dropout_forward(backend.enter(x), rate, key))
            expected = reference.dropout_forward(x.astype(np.float64), rate, key)
            compare.check(y == 0, expected == 0, exact=True)
            compare.check(y, expected, dtype)
            dx = backend.leave(backend.dropout_backward(backend.enter(dy), rate, key))
            compare.check(dx, reference.dropout_backward(dy.astype(np.float64), rate, key), dtype)


@dtypes
@pytest.mark.parametrize("n", cases.BATCHES)
def test_softmax_cross_entropy(backend, n, dtype, rng):
    kinds = "labels", "one-hot", "probabilities", "weights"
    for smoothing, kind, classes in product([0.0, 0.1], kinds, [1, 2, 10, 33]):
        with compare.during(kind, classes, "classes, smoothing", smoothing):
            softmax_cross_entropy(backend, n, dtype, smoothing, kind, classes, rng)


def softmax_cross_entropy(backend, n, dtype, smoothing, kind, classes, rng):
    logits = 5 * cases.random(rng, (n, classes), dtype)
    target = rng.integers(0, classes, n).astype(np.intp)
    if kind == "one-hot":
        target = np.eye(classes, dtype=dtype)[target]
    elif kind != "labels":
        target = rng.random((n, classes)).astype(dtype)
        if kind == "probabilities":
            target /= target.sum(1, keepdims=True)
    wide_target = target if kind == "labels" else target.astype(np.float64)
    expected = reference.softmax_cross_entropy(logits.astype(np.float64), wide_target, smoothing)
    loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), target, smoothing)
    compare.check_number(loss, expected[0], LOSS[dtype])
    compare.check(backend.leave(dlogits), expected[1], dtype, at_least=1 / max(n, 1))
    assert type(correct) is int
    assert correct == expected[2]


@dtypes
def test_softmax_cross_entropy_at_the_edges(backend, dtype):
    logits = np.array([[1000, 0, -1000], [-1e30, 1e30, 0], [2, 2, 2], [0, -np.inf, 1], [3, 3, 1]], dtype)
    target = np.array([0, 1, 0, 2, 1], np.intp)
    expected = reference.softmax_cross_entropy(logits.astype(np.float64), target)
    one_hot = np.eye(3, dtype=dtype)[target]
    for t in target, one_hot:
        loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), t, 0.0)
        compare.check_number(loss, expected[0], LOSS[dtype])
        compare.check(backend.leave(dlogits), expected[1], dtype)
        assert correct == 4


@dtypes
def test_a_row_with_a_nan_is_never_correct(backend, dtype):
    logits = np.array([[np.nan, 0, 1], [0, 1, 0], [0, np.nan, 9]], dtype)
    for target in (np.array([0, 1, 2], np.intp), np.eye(3, dtype=dtype)):
        loss, dlogits, correct = backend.softmax_cross_entropy(backend.enter(logits), target, 0.0)
        assert np.isnan(loss)
        assert correct == 1
        assert np.isnan(backend.leave(dlogits)).all(1).tolist() == [True, False, True]


@dtypes
@shapes
def test_mse_loss(backend, shape, dtype, rng):
    x, target = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    expected, expected_dx = reference.mse_loss(*judged.wide(x, target))
    loss, dx = backend.mse_loss(backend.enter(x), target)
    compare.check_number(loss, expected, LOSS[dtype])
    compare.check(backend.leave(dx), expected_dx, dtype)


UPDATES = {
    "sgd": ("sgd_update", 1, (0.1, 0.9, 1e-4)),
    "sgd-nesterov": ("sgd_update", 1, (0.1, 0.9, 1e-4, True)),
    "sgd-plain": ("sgd_update", None, (0.1, 0.0, 1e-4)),
    "rmsprop": ("rmsprop_update", 1, (0.01, 0.99, 1e-8, 1e-3)),
    "adam": ("adam_update", 2, (3, 0.01, 0.9, 0.999, 1e-8, 1e-3)),
    "adamw": ("adam_update", 2, (1, 0.01, 0.9, 0.999, 1e-8, 1e-2, True)),
    "sgd-scaled": ("sgd_update", 1, (0.1, 0.9, 1e-4, False, 0.3)),
    "sgd-nesterov-scaled": ("sgd_update", 1, (0.1, 0.9, 1e-4, True, 0.3)),
    "sgd-plain-scaled": ("sgd_update", None, (0.1, 0.0, 1e-4, False, 0.3)),
    "rmsprop-scaled": ("rmsprop_update", 1, (0.01, 0.99, 1e-8, 1e-3, 0.3)),
    "adam-scaled": ("adam_update", 2, (3, 0.01, 0.9, 0.999, 1e-8, 1e-3, False, 0.3)),
    "adamw-scaled": ("adam_update", 2, (1, 0.01, 0.9, 0.999, 1e-8, 1e-2, True, 0.3)),
    "blend": ("blend", 0, (0.3,)),
}


@dtypes
@pytest.mark.parametrize("rule", UPDATES)
def test_updates(backend, rule, dtype, rng):
    for shape in (1,), (3,), (17,), (5, 3), (4, 3, 3, 3), (1025,):
        with compare.during("shape", shape):
            name, slots, settings = UPDATES[rule]
            guards = [compare.Guarded(shape, dtype) for _ in range(1 + (slots or 0))]
            grad = cases.random(rng, shape, dtype)
            for guard in guards:
                guard.array[...] = rng.uniform(0.1, 2, shape)
            state = [guard.array for guard in guards]
            expected = list(judged.wide(*state))
            if slots is None:
                state, expected = [*state, None], [*expected, None]
            before = grad.copy()
            getattr(reference, name)(expected[0], grad.astype(np.float64), *expected[1:], *settings)
            getattr(backend, name)(state[0], grad, *state[1:], *settings)
            for guard, wanted in zip(guards, expected, strict=False):
                compare.check(guard.array, wanted, dtype)
                guard.check()
            compare.check(grad, before, exact=True)


@dtypes
@pytest.mark.parametrize(
    "shape", [(0,), (1,), (5, 3), (15,), (16,), (17,), (4, 3, 3, 3), (16_384,), (40_001,)], ids=str
)
def test_sum_of_squares(backend, shape, dtype, rng):
    a = cases.random(rng, shape, dtype, whole=True)
    total = backend.sum_of_squares(a)
    assert type(total) is float
    assert total == reference.sum_of_squares(a)
    a = cases.random(rng, shape, dtype)
    assert backend.sum_of_squares(a) == pytest.approx(reference.sum_of_squares(a), rel=1e-13)


@dtypes
def test_sum_of_squares_at_the_edges(backend, dtype):
    a = np.ones(100, dtype)
    a[70] = 1e30
    assert backend.sum_of_squares(a) == pytest.approx(1e60, rel=1e-6)
    a[70] = np.inf
    assert backend.sum_of_squares(a) == np.inf
    a[3] = np.nan
    assert np.isnan(backend.sum_of_squares(a))
