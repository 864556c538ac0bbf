"""The default generator and what stands for a generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.support import random


def test_seed_restarts_the_default_generator() -> None:
    random.seed(12)
    first = random.generator().integers(0, 2**62, 4)
    random.seed(12)
    np.testing.assert_array_equal(random.generator().integers(0, 2**62, 4), first)
    np.testing.assert_array_equal(np.random.default_rng(12).integers(0, 2**62, 4), first)
    random.seed(13)
    assert (random.generator().integers(0, 2**62, 4) != first).any()
    random.seed()
    assert (random.generator().integers(0, 2**62, 4) != first).any()


def test_generators_and_seeds() -> None:
    given = np.random.default_rng(3)
    assert random.generator(given) is given
    assert random.generator() is random.generator(None)
    assert random.generator(5).integers(1000) == np.random.default_rng(5).integers(1000)
    assert random.generator(np.int64(5)).integers(1000) == np.random.default_rng(5).integers(1000)


@pytest.mark.parametrize("rng", [1.5, "0", True, np.random.RandomState(0)])
def test_other_things_are_refused(rng: Any) -> None:
    with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, an int seed or None, got"):
        random.generator(rng)
