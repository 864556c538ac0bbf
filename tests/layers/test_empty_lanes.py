"""Batches that leave lanes empty, behind layers that divide, or take logarithms, of what stands there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minidl
from minidl import kernels

BEHIND: dict[str, Callable[[], minidl.Layer]] = {
    "conv": lambda: minidl.Conv2D(4, 3, 3, padding=1, rng=1),
    "transposed": lambda: minidl.ConvTranspose2D(4, 3, 2, stride=2, rng=1),
    "local response": lambda: minidl.LocalResponseNorm(3, alpha=0.5, k=0.5),
    "batch norm": lambda: minidl.BatchNorm2D(4),
    "instance norm": lambda: minidl.InstanceNorm2D(4, affine=True),
    "affine": lambda: minidl.Affine(4),
    "slopes": lambda: minidl.PRelu(4),
    "pooling": lambda: minidl.AvgPool2D(2),
    "resize": lambda: minidl.Upsample(2, mode="bilinear"),
    "softmax": lambda: minidl.Softmax(),
    "product": lambda: squared(),
    "rows": lambda: minidl.Sequential(minidl.Flatten(), minidl.Linear(64, 3, rng=1)),
}


def squared() -> minidl.Layer:
    x = minidl.Input((4, 4, 4))
    return minidl.Graph(x, minidl.MatMul()(x, x))


def gradients(layer: Callable[[], minidl.Layer], x: np.ndarray) -> dict[str, np.ndarray]:
    node = minidl.Input((2, 4, 4))
    a, b, c = (minidl.Conv2D(2, 4, 1, rng=seed, name=f"c{seed}")(node) for seed in (5, 6, 7))
    quotient = minidl.Add()(a, minidl.Div()(b, c))  # 0 / 0 where no image is
    logarithm = minidl.Elementwise("log")(minidl.Elementwise("abs")(b))
    graph = minidl.Graph(node, layer()(minidl.Add()(quotient, logarithm))).astype("float64")
    y = graph.forward(x, train=True)
    dx = graph.backward(np.cos(np.arange(y.size)).reshape(y.shape))
    return {"y": y, "dx": dx, **{name: p.grad.copy() for name, p in graph.named_parameters().items()}}


@pytest.mark.parametrize("name", BEHIND)
def test_they_reach_no_result(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 4, 4))
    with kernels.use("reference"):
        expected = gradients(BEHIND[name], x)
    with kernels.use("native"):
        found = gradients(BEHIND[name], x)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-7, atol=1e-9, err_msg=key)
