"""Gradients of a layer against central differences in float64, with a random upstream gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.layers import Layer

STEP = 1e-5


def central_differences(value: Callable[[], float], array: np.ndarray) -> np.ndarray:
    """d value() / d array: (value(a + STEP) - value(a - STEP)) / (2 STEP), for each number of `array`, in place."""
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + STEP
        above = value()
        array[i] = kept - STEP
        below = value()
        array[i] = kept
        gradient[i] = (above - below) / (2 * STEP)
    return gradient


def check_gradients(
    layer: Layer, x: np.ndarray, rng: np.random.Generator, train: bool, before: Callable[[], Any] = lambda: None
) -> None:
    """Compare dx and every parameter's gradient; `before` runs before each forward (to repeat random numbers)."""
    layer.astype("float64")
    x = x.astype("float64")

    def forward() -> np.ndarray:
        before()
        return layer.forward(x, train)

    upstream = rng.standard_normal(forward().shape)
    dx = layer.backward(upstream)
    analytic = {"dx": dx.copy(), **{p.name: p.grad.copy() for p in layer.parameters()}}
    arrays = {"dx": x, **{p.name: p.data for p in layer.parameters()}}
    for name, array in arrays.items():
        expected = central_differences(lambda: float((forward() * upstream).sum()), array)
        assert analytic[name].shape == expected.shape, name
        np.testing.assert_allclose(analytic[name], expected, rtol=1e-6, atol=1e-7, err_msg=f"{layer!r} {name}")
