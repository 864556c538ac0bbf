"""Initialisers: the published variances, bounds, kinds of `init`, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import initializers
from minidl.layers.initializers import draw, fans

CONV = (64, 32, 3, 5)  # fan_in 32 * 15 = 480, fan_out 64 * 15 = 960
LINEAR = (500, 300)


def sample(init: Any, shape: tuple[int, ...] = CONV, groups: int = 1) -> np.ndarray:
    return draw("Layer", init, shape, np.random.default_rng(1), groups)


@pytest.mark.parametrize(
    ("shape", "groups", "expected"),
    [(CONV, 1, (480, 960)), (CONV, 4, (480, 240)), (LINEAR, 1, (300, 500)), ((8, 1, 3, 3), 8, (9, 9))],
)
def test_fans(shape: tuple[int, ...], groups: int, expected: tuple[int, int]) -> None:
    assert fans(shape, groups) == expected


@pytest.mark.parametrize(
    ("init", "conv", "grouped", "linear"),
    [
        ("he_normal", 2 / 480, 2 / 480, 2 / 300),
        ("he_uniform", 2 / 480, 2 / 480, 2 / 300),
        ("glorot_normal", 2 / 1440, 2 / 720, 2 / 800),
        ("glorot_uniform", 2 / 1440, 2 / 720, 2 / 800),
        ("lecun_normal", 1 / 480, 1 / 480, 1 / 300),
        ("lecun_uniform", 1 / 480, 1 / 480, 1 / 300),
        (0.01, 1e-4, 1e-4, 1e-4),
    ],
)
def test_mean_and_variance(init: Any, conv: float, grouped: float, linear: float) -> None:
    for values, variance in ((sample(init), conv), (sample(init, CONV, 4), grouped), (sample(init, LINEAR), linear)):
        assert values.dtype == np.float32
        assert values.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / values.size))
        # the variance of a sample variance is 2/n for a normal distribution, less for a uniform one
        assert values.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / values.size))


@pytest.mark.parametrize(
    ("init", "bound"),
    [("he_uniform", (6 / 480) ** 0.5), ("glorot_uniform", (6 / 1440) ** 0.5), ("lecun_uniform", (3 / 480) ** 0.5)],
)
def test_uniform_bounds(init: str, bound: float) -> None:
    values = np.abs(sample(init))
    assert 0.999 * bound < values.max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("init", ["he_normal", "glorot_normal", "lecun_normal", 0.5])
def test_normals_are_normal_and_not_truncated(init: Any) -> None:
    z = sample(init) / sample(init).std()
    assert (np.abs(z) < 1).mean() == pytest.approx(0.6827, abs=0.01)
    assert np.abs(z).max() > 3.5


class TestOrthogonal:
    @pytest.mark.parametrize(
        ("shape", "groups"),
        [((64, 32, 3, 5), 1), ((64, 8, 3, 5), 4), ((64, 2, 3, 3), 2), ((40, 30), 1), ((30, 40), 1), ((8, 1, 3, 3), 8)],
    )
    def test_rows_or_columns_are_orthonormal(self, shape: tuple[int, ...], groups: int) -> None:
        matrix = sample("orthogonal", shape, groups).astype(np.float64).reshape(groups, shape[0] // groups, -1)
        if matrix.shape[1] > matrix.shape[2]:
            matrix = matrix.swapaxes(1, 2)
        products = matrix @ matrix.swapaxes(1, 2)
        np.testing.assert_allclose(products, np.broadcast_to(np.eye(len(products[0])), products.shape), atol=1e-6)

    def test_groups_are_drawn_one_by_one(self) -> None:
        values = sample("orthogonal", (8, 2, 3, 3), 2)
        assert not np.allclose(values[:4], values[4:])

    def test_it_is_uniform_over_all_rotations(self) -> None:
        """Without the signs of R every Q of LAPACK would have a diagonal of the same sign in its first column."""
        rng = np.random.default_rng(3)
        draws = np.array([initializers.orthogonal((3, 3), rng) for _ in range(2000)])
        # each entry has mean 0 and variance 1/3, each trace mean 0 and variance 1 (the Haar measure)
        np.testing.assert_allclose(draws.mean(0), 0, atol=5 * (1 / 3 / 2000) ** 0.5)
        np.testing.assert_allclose((draws**2).mean(0), 1 / 3, atol=0.05)
        traces = np.trace(draws, axis1=1, axis2=2)
        assert traces.mean() == pytest.approx(0, abs=5 / 2000**0.5)
        assert traces.var() == pytest.approx(1, abs=0.2)

    def test_a_gain_by_a_function(self) -> None:
        init = sample(lambda shape, rng: 2 * initializers.orthogonal(shape, rng), LINEAR)
        np.testing.assert_array_equal(init, 2 * sample("orthogonal", LINEAR))


def test_zeros_and_functions() -> None:
    assert not sample("zeros").any()
    np.testing.assert_array_equal(
        sample(lambda shape, rng: rng.random(shape)), np.random.default_rng(1).random(CONV, "f8").astype("f4")
    )
    kept = np.ones(LINEAR, np.float32)
    values = sample(lambda shape, rng: kept, LINEAR)
    assert values is not kept
    assert not np.shares_memory(values, kept)


def test_every_name_of_the_table_has_its_row() -> None:
    assert initializers.__doc__ is not None
    for name in initializers._NAMED:
        assert f"| {name} |" in initializers.__doc__


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        (
            "kaiming",
            ValueError,
            "Layer: init must be one of he_normal, .*, zeros, a number or a function, got 'kaiming'",
        ),
        (-1.0, ValueError, "Layer: init must be a standard deviation of at least 0, got -1.0"),
        (float("inf"), ValueError, "Layer: init must be a standard deviation of at least 0, got inf"),
        (None, TypeError, "Layer: init must be a number, got None"),
        (lambda shape, rng: np.ones(3), ValueError, r"Layer: the array made by init must have shape \(500, 300\)"),
        (
            lambda shape, rng: np.ones(shape, int),
            TypeError,
            "Layer: the array made by init must be an array of float32",
        ),
    ],
)
def test_bad_arguments(init: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sample(init, LINEAR)
