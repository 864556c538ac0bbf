"""Windows drawn by hypothesis, and whole numbers to put under them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 4), st.integers(1, 4))
paddings = st.tuples(st.integers(0, 4), st.integers(0, 4))
dilations = st.tuples(st.integers(1, 3), st.integers(1, 3))
dtypes = st.sampled_from([np.float32, np.float64])


def fits(size, kernel, padding, dilation):
    return all(d * (k - 1) + 1 <= n + 2 * p for n, k, p, d in zip(size, kernel, padding, dilation, strict=True))


def whole(rng, shape, dtype):
    """Small whole numbers, so that every order of summation gives the same float."""
    return rng.integers(-4, 5, shape).astype(dtype)
