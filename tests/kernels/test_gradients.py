"""Every gradient of the reference against central differences, in float64, with a random gradient from above."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import compare, gradients, numeric


@pytest.mark.parametrize("operation", gradients.CASES)
def test_central_differences(operation, rng):
    for shared, forward, backward in gradients.CASES[operation]:
        arrays = [np.copy(array) for array in shared]  # numeric.gradient moves their numbers a little, one by one
        results = forward(*arrays)
        dy = rng.standard_normal(np.shape(results[0]))
        given = backward(dy, results, *arrays)
        for got, array in zip(given, arrays, strict=True):
            expected = numeric.gradient(lambda _: forward(*arrays)[0], array, dy)  # noqa: B023
            compare.check(got, expected, tolerance=numeric.TOLERANCE)
