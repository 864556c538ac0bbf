"""Every operation of the contract on every backend against the reference; more shapes stand in each family's file."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from kernels import cases, compare, operations

from minidl.kernels import reference

TOLERANCE = {np.float32: 5e-5, np.float64: 1e-11}
"""Of the longest chains: three passes of routing, normalisation behind Winograd."""

expected = cache(lambda dtype: operations.results(reference, dtype, 5, 6))


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
def test_results_are_the_references(backend, dtype):
    found = operations.results(backend, dtype, 5, 6)
    assert found.keys() == expected(dtype).keys()
    for name, values in expected(dtype).items():
        with compare.during(name):
            compare.check(found[name], values, tolerance=TOLERANCE[dtype])
