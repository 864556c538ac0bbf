"""Predictions averaged over mirrored and shifted views, against the same views made with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import SGD, Conv2D, Flatten, Linear, Model, MSELoss, Relu, SoftmaxCrossEntropyLoss, Trainer
from minidl.data import Views

DIAGONAL = ((0, 0), (0, 0), (-1, -1), (1, 1))


def network(dtype="float32"):
    layers = Conv2D(2, 3, 3, rng=0), Relu(), Flatten(), Linear(3 * 4 * 5, 4, rng=1)
    return Model(*layers, mean=(0.3, 0.5), std=(0.5, 0.25), dtype=dtype)


def shifted(x, down, right, mode):
    padded = np.pad(x, ((0, 0), (0, 0), (5, 5), (5, 5)), {"zero": "constant"}.get(mode, mode))
    return padded[:, :, 5 - down : 11 - down, 5 - right : 12 - right]


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("views", [Views(), Views(True, DIAGONAL, "reflect"), Views(False, ((0, 0), (2, -3)))], ids=str)
def test_scores_are_the_mean_over_the_views(any_backend, kind, views, rng):
    x = rng.integers(0, 256, (19, 2, 6, 7)).astype(kind)
    if kind != np.uint8:
        x /= 255
    model = network()
    flips = (slice(None), slice(None, None, -1)) if views.mirror else (slice(None),)
    each = [model.predict(shifted(x, *s, views.mode)[..., flip]) for s in views.shifts for flip in flips]
    assert len(views) == len(set(views.shifts)) * len(flips)
    for n in (0, 1, 19):
        got = model.predict(x[:n], batch_size=8, views=views)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.mean(each, axis=0)[:n], atol=3e-6)


def test_float64_models_average_in_float64(rng):
    x = rng.standard_normal((3, 2, 6, 7))
    model = network("float64")
    got = model.predict(x, views=Views())
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, (model.predict(x) + model.predict(x[..., ::-1])) / 2, atol=1e-14)


def test_evaluate_takes_the_averaged_scores(any_backend, rng):
    x, y = rng.integers(0, 256, (23, 2, 6, 7)).astype(np.uint8), rng.integers(0, 4, 23)
    trainer = Trainer(network(), SoftmaxCrossEntropyLoss(), SGD(lr=0.1))
    views = Views(True, DIAGONAL)
    scores = trainer.model.predict(x, views=views).astype(np.float64)
    got = trainer.evaluate((x, y), batch_size=9, views=views)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert got["loss"] == pytest.approx(-logs[np.arange(23), y].mean(), abs=1e-5)
    assert got["accuracy"] == (scores.argmax(axis=1) == y).mean()
    values = rng.standard_normal((23, 4)).astype(np.float32)
    trainer = Trainer(network(), MSELoss(), SGD(lr=0.1))
    before = trainer.model.state()
    expected = 0.5 * ((scores - values) ** 2).sum() / 23
    assert trainer.evaluate((x, values), views=views)["loss"] == pytest.approx(expected, rel=1e-5)
    assert all(np.array_equal(before[name], array) for name, array in trainer.model.state().items())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Views(shifts=()), ValueError, "shifts must be a tuple of"),
        (lambda: Views(shifts=((1, 0.5),)), TypeError, "shifts must be an int, got 0.5"),
        (lambda: Views(shifts=((1, 0, 2),)), ValueError, "shifts must be an int or an"),
        (lambda: Views(mode="wrap"), ValueError, "mode must be 'zero' or 'reflect', got 'wrap'"),
        (lambda: Views(mirror=False), ValueError, "a view beside the image itself"),
        (lambda: Views(False, ((0, 0), (0, 0))), ValueError, "a view beside the image itself"),
    ],
)
def test_bad_views(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_views_must_fit_the_images():
    model = network()
    with pytest.raises(ValueError, match=r"shifts must be less than the size of images .* got shape \(3, 2, 6, 7\)"):
        model.predict(np.ones((3, 2, 6, 7), np.uint8), views=Views(shifts=((0, -7),)))
    flat = Model(Linear(12, 4, rng=0))
    with pytest.raises(ValueError, match=r"images \(N, C, H, W\), got shape \(3, 12\)"):
        flat.predict(np.ones((3, 12), np.float32), views=Views())
