"""Residual blocks that start as the identity, or as their shortcut."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import SGD, Model
from minidl.layers import BatchNorm2D, Conv2D, Dropout, Layer, Linear, Relu, Residual, Sequential


def body(*last: Layer) -> Sequential:
    return Sequential(Conv2D(2, 2, 3, padding=1, rng=0), BatchNorm2D(2), Relu(), *last)


BODIES = {
    "norm": lambda: body(Conv2D(2, 2, 3, padding=1, rng=1), BatchNorm2D(2)),
    "convolution": lambda: body(Conv2D(2, 2, 3, padding=1, rng=1)),
    "nested": lambda: Sequential(body(Sequential(Conv2D(2, 2, 1, rng=1)))),
    "layer": lambda: Conv2D(2, 2, 1, rng=1),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_block_is_the_identity_and_learns(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 4, 5)).astype(np.float32)
    block = Residual(BODIES[name](), identity=True)
    np.testing.assert_array_equal(block.forward(x, train=True), x)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    np.testing.assert_allclose(block.backward(dy), dy, rtol=1e-6)
    SGD(0.1).step(block.parameters())
    assert np.abs(block.forward(x, train=True) - x).max() > 1e-3


def test_only_the_last_layer_is_zero() -> None:
    convolution, norm = Conv2D(2, 2, 3, rng=0), BatchNorm2D(2)
    Residual(Sequential(convolution, norm), Conv2D(2, 2, 3, rng=1), identity=True)
    assert convolution.weight.data.all()
    assert not norm.gamma.data.any()
    assert not norm.beta.data.any()


def test_with_a_shortcut_it_is_the_shortcut(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4)).astype(np.float32)
    shortcut = Linear(4, 2, rng=1)
    model = Model(Residual(Linear(4, 2, rng=0), shortcut, identity=True))
    np.testing.assert_array_equal(model.predict(x), Model(Linear(4, 2, rng=1)).predict(x))


def test_its_repr_makes_it_again() -> None:
    assert repr(Residual(BatchNorm2D(2), identity=True)).endswith(", identity=True)")
    assert "identity" not in repr(Residual(BatchNorm2D(2)))


@pytest.mark.parametrize("last", [Relu(), Dropout(0.5), Residual(Linear(1, 1)), Sequential()])
def test_a_body_that_would_never_learn_is_refused(last: Layer) -> None:
    with pytest.raises(ValueError, match="Residual: identity needs a body whose last layer has parameters, got "):
        Residual(Sequential(BatchNorm2D(2), last), identity=True)
