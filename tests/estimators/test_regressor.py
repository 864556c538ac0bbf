"""ConvNetRegressor: numbers in their units, one or several a row."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import make_regression
from sklearn.exceptions import DataConversionWarning

import minidl
from minidl.sklearn import ConvNetRegressor


@pytest.fixture
def lines():
    """400 rows of 6 numbers, and numbers far from 0 with a small spread."""
    X, y = make_regression(400, 6, n_informative=6, noise=1, random_state=0)
    return X, 5000 + y / 10


def test_numbers_are_learnt_in_their_unit(lines):
    X, y = lines
    found = ConvNetRegressor(epochs=30, random_state=0).fit(X[:300], y[:300])
    assert found.score(X[300:], y[300:]) > 0.95
    assert found.predict(X).shape == (400,)
    assert found.predict(X).dtype == np.float64
    assert abs(found.predict(X).mean() - 5000) < 5
    assert (found.model_.predict(X)[:, 0] == found.predict(X)).all()
    assert [layer.name for layer in found.model_.layers] == ["standardize", "Linear", "Relu", "Linear", "units"]
    # About the numbers' own variance, 1, and that of what a fresh network gives, 2, more or less by its weights; of
    # numbers that are not divided by their spread it would be above 100, of those far from 0 above 10**4.
    assert found.loss_curve_[0] < 10
    assert y[:300].var() > 100
    standardized = (y - y[:300].mean()) / y[:300].std()
    loss = np.mean((standardized[:300] - (found.predict(X[:300]) - y[:300].mean()) / y[:300].std()) ** 2)
    assert abs(loss - found.loss_curve_[-1]) < 0.05


def test_numbers_far_from_0_keep_their_digits(lines):
    """The unit is put back in float64 where the network computes in it; float32 has a step of 64 at 1e9."""
    X, y = lines
    # Two epochs: after five the rounding of X + 1e9 may have grown to another side of a Relu.
    near = ConvNetRegressor(epochs=2, random_state=0).fit(X, y)
    far = ConvNetRegressor(epochs=2, random_state=0).fit(X, y + 1e9 + 0.3)
    np.testing.assert_allclose(far.predict(X) - 1e9 - 0.3, near.predict(X), atol=1e-3)
    shifted = ConvNetRegressor(epochs=2, random_state=0).fit(X + 1e9, y)
    np.testing.assert_allclose(shifted.predict(X + 1e9), near.predict(X), atol=1e-3)
    mean, std = (y + 1e9 + 0.3).mean(), (y + 1e9 + 0.3).std()
    units = far.model_.layers[-1]
    np.testing.assert_allclose((units.shift.data[0], units.scale.data[0]), (mean, std), rtol=1e-12)


def test_columns_in_any_order_of_memory_give_the_same_bits(lines):
    X, y = lines
    found = [ConvNetRegressor(epochs=1, random_state=0).fit(x, y).predict(X) for x in (X, np.asfortranarray(X))]
    assert (found[0] == found[1]).all()


def test_numbers_and_weights_near_the_largest(lines):
    X, y = lines
    with pytest.raises(ValueError, match=r"y contains a value too large for dtype\('float32'\)"):
        ConvNetRegressor(epochs=1).fit(X.astype(np.float32).reshape(-1, 2, 3), y * 1e39)
    weights = 1.0 + np.arange(400) % 3
    options = {"epochs": 1, "random_state": 0}
    far = ConvNetRegressor(**options).fit(X, y, sample_weight=weights * 2.0**1021)
    assert (far.predict(X) == ConvNetRegressor(**options).fit(X, y, sample_weight=weights).predict(X)).all()


def test_several_numbers_of_different_size(lines):
    X, y = lines
    Y = np.stack([y, 1e-4 * X[:, 0], 1e6 * X[:, 1] ** 2], axis=1)
    # After 40 epochs three of 31 seeds were above 0.05, after 100 none above 0.034.
    found = ConvNetRegressor(epochs=100, random_state=0).fit(X, Y)
    assert found.predict(X).shape == (400, 3)
    residual = ((found.predict(X) - Y) ** 2).mean(axis=0) / Y.var(axis=0)
    assert (residual < 0.05).all()
    with pytest.raises(ValueError, match=r"y must have 3 numbers a row, as in the first fit, got shape \(400, 2\)"):
        found.partial_fit(X, Y[:, :2])


def test_a_column_counts_as_a_vector(lines):
    X, y = lines
    with pytest.warns(DataConversionWarning):
        found = ConvNetRegressor(epochs=1, random_state=0).fit(X, y[:, None])
    assert (found.predict(X) == ConvNetRegressor(epochs=1, random_state=0).fit(X, y).predict(X)).all()


def test_constant_numbers_and_columns(lines):
    X = lines[0].copy()
    X[:, 2] = 7
    # After 3 epochs five of 31 seeds were above 1, as a fresh network is; after 10 none above 0.4.
    found = ConvNetRegressor(epochs=10, random_state=0).fit(X, np.full(400, 3.0))
    assert np.isfinite(found.predict(X)).all()
    assert abs(found.predict(X) - 3).max() < 1


def test_partial_fit_and_weights(lines):
    X, y = lines
    found = ConvNetRegressor(random_state=0)
    for _ in range(30):
        found.partial_fit(X, y)
    assert found.n_iter_ == 30
    assert found.score(X, y) > 0.9
    w = (np.arange(400) % 2).astype(float)
    half = ConvNetRegressor(epochs=2, random_state=0).fit(X, y, sample_weight=w)
    assert (half.predict(X) == ConvNetRegressor(epochs=2, random_state=0).fit(X[1::2], y[1::2]).predict(X)).all()


def test_positions_in_images_move_with_them(digits):
    """Augmentation gets what `Trainer.fit` gets; targets that are not said to be positions are refused."""
    X, _ = digits
    images = X.reshape(-1, 8, 8)
    mass = images.sum(axis=(1, 2))
    column = (images.sum(axis=1) * np.arange(8)).sum(axis=1) / mass
    found = ConvNetRegressor(epochs=10, random_state=0).fit(images, column)
    assert found.score(images, column) > 0.8
    assert found.model_.dtype == np.float32
    with pytest.raises(ValueError, match="coordinates"):
        ConvNetRegressor(augment=(minidl.data.Shift(1),)).fit(images, column)
