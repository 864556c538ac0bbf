"""Dropout: mask, scale, seeds, modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl.support.random
from minidl import kernels
from minidl.kernels.counter_random import keep_mask
from minidl.layers import Dropout

ONES = np.ones((20, 5, 10, 10), np.float32)


@pytest.mark.usefixtures("any_backend")
class TestTraining:
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
    def test_the_kept_share_and_its_scale(self, rate: float) -> None:
        y = Dropout(rate, rng=3).forward(ONES, train=True)
        np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
        assert (y == 0).mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / y.size))

    def test_backward_has_the_mask_of_the_forward(self) -> None:
        layer = Dropout(0.3, rng=3)
        y = layer.forward(ONES, train=True)
        np.testing.assert_array_equal(layer.backward(ONES), y)

    def test_the_mask_is_that_of_one_key_from_the_generator(self) -> None:
        key = int(np.random.default_rng(3).integers(0, 2**64, dtype=np.uint64))
        y = Dropout(0.3, rng=3).forward(ONES, train=True)
        np.testing.assert_array_equal(y != 0, keep_mask(ONES.shape, 0.3, key))

    def test_each_step_draws_a_new_mask(self) -> None:
        layer = Dropout(0.5, rng=0)
        assert (layer.forward(ONES, train=True) != layer.forward(ONES, train=True)).any()

    def test_the_default_generator_may_be_seeded_after_the_construction(self) -> None:
        layer = Dropout(0.5)
        minidl.support.random.seed(8)
        first = layer.forward(ONES, train=True)
        minidl.support.random.seed(8)
        np.testing.assert_array_equal(layer.forward(ONES, train=True), first)

    def test_rate_zero_keeps_everything_and_draws_nothing(self) -> None:
        layer = Dropout(0.0, rng=5)
        np.testing.assert_array_equal(layer.forward(ONES, train=True), ONES)
        assert layer.rng is not None
        assert layer.rng.integers(1000) == np.random.default_rng(5).integers(1000)

    def test_inference_is_the_identity(self) -> None:
        layer = Dropout(0.9)
        np.testing.assert_array_equal(layer.forward(ONES), ONES)
        np.testing.assert_array_equal(layer.backward(2 * ONES), 2 * ONES)


def test_backends_agree_on_the_mask() -> None:
    masks = []
    for name in kernels.available():
        with kernels.use(name):
            masks.append(Dropout(0.4, rng=1).forward(ONES, train=True) != 0)
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (1.0, ValueError, r"Dropout: rate must be in \[0, 1\), got 1.0"),
        (-0.1, ValueError, r"Dropout: rate must be in \[0, 1\), got -0.1"),
        (None, TypeError, "Dropout: rate must be a number, got None"),
        (True, TypeError, "Dropout: rate must be a number, got True"),
    ],
)
def test_bad_arguments(rate: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Dropout(rate)
