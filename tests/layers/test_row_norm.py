"""Group and layer normalisation: values, modes, parameters, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.layers import BatchNorm2D, GroupNorm, InstanceNorm2D, Layer, LayerNorm, LocalResponseNorm


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_groups_by_hand(self) -> None:
        """Channels 1 3 and 5 9: means 2 and 7, variances 1 and 4."""
        layer = GroupNorm(2, 4, eps=5.0)
        layer.gamma.data[:], layer.beta.data[:] = (1, 2, 3, 4), (0, 0, 0, 10)
        x = np.array([[1, 3, 5, 9]], np.float32)
        s, t = 1 / np.sqrt(6), 1 / 3
        np.testing.assert_allclose(layer.forward(x, train=True), [[-s, 2 * s, -6 * t, 10 + 8 * t]], rtol=1e-6)
        dx = layer.backward(np.array([[1, 0, 0, 0]], np.float32))
        # g = (1, 0), xhat = (-s, s): dx = s (g - 1/2 - xhat * (-s/2)) = s (1/2 - s^2/2, -1/2 + s^2/2)
        np.testing.assert_allclose(dx, [[s * (1 - s * s) / 2, -s * (1 - s * s) / 2, 0, 0]], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(layer.gamma.grad, [-s, 0, 0, 0], rtol=1e-6)
        np.testing.assert_array_equal(layer.beta.grad, [1, 0, 0, 0])

    def test_layers_by_hand(self) -> None:
        layer = LayerNorm(3, eps=1e-12)
        layer.gamma.data[:], layer.beta.data[:] = (1, 1, 2), (0, 5, 0)
        x = np.array([[1, 2, 3], [0, 60, 30]], np.float32)
        r = np.sqrt(1.5)
        np.testing.assert_allclose(layer.forward(x), [[-r, 5, 2 * r], [-r, 5 + r, 0]], rtol=1e-6, atol=1e-6)
        layer.backward(np.array([[1, 0, 0], [1, 1, 1]], np.float32))
        np.testing.assert_allclose(layer.gamma.grad, [-2 * r, r, 0], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(layer.beta.grad, [2, 1, 1])

    @pytest.mark.parametrize(
        ("layer", "axes"),
        [
            (GroupNorm(1, 4), (1, 2, 3)),
            (GroupNorm(4, 4), (2, 3)),
            (LayerNorm((4, 5, 6)), (1, 2, 3)),
            (LayerNorm((5, 6)), (2, 3)),
            (LayerNorm(6), 3),
        ],
        ids=repr,
    )
    def test_what_is_normalised(self, layer: Layer, axes: Any, rng: np.random.Generator) -> None:
        layer = layer.astype("float64")
        x = 3 * rng.standard_normal((17, 4, 5, 6)) + 7
        expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(layer.forward(x, train=True), expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(layer.forward(x, train=False), layer.forward(x, train=True))

    def test_an_image_does_not_depend_on_its_batch(self, rng: np.random.Generator) -> None:
        for layer in (GroupNorm(2, 4), LayerNorm((4, 3, 3))):
            x = rng.standard_normal((18, 4, 3, 3)).astype(np.float32)
            together, alone = layer.forward(x), layer.forward(x[17:])
            np.testing.assert_array_equal(alone[0], together[17])


def test_parameters() -> None:
    for layer, shape in ((GroupNorm(2, 6), (6,)), (LayerNorm((2, 3)), (2, 3)), (LayerNorm(5), (5,))):
        gamma, beta = layer.parameters()
        assert (gamma.name, beta.name, gamma.decay, beta.decay) == ("gamma", "beta", False, False)
        np.testing.assert_array_equal(gamma.data, np.ones(shape, np.float32))
        np.testing.assert_array_equal(beta.data, np.zeros(shape, np.float32))
        assert layer.buffers() == {}
    layers = GroupNorm(2, 6), GroupNorm(2, 6, 0.1), LayerNorm(5), LayerNorm([2, 3], 1e-6)
    expected = ["GroupNorm(2, 6)", "GroupNorm(2, 6, eps=0.1)", "LayerNorm(5)", "LayerNorm((2, 3), eps=1e-06)"]
    assert list(map(repr, layers)) == expected


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GroupNorm(0, 4), ValueError, "GroupNorm: groups must be at least 1, got 0"),
        (lambda: GroupNorm(3, 4), ValueError, "GroupNorm: channels must be divisible by groups, got 4 and 3"),
        (lambda: GroupNorm(2.0, 4), TypeError, "GroupNorm: groups must be an int, got 2.0"),
        (lambda: GroupNorm(1, 4, 0), ValueError, "GroupNorm: eps must be positive, got 0"),
        (lambda: LayerNorm(()), ValueError, r"LayerNorm: shape must have at least 1 dimension, got \(\)"),
        (lambda: LayerNorm((3, 0)), ValueError, "LayerNorm: shape must be at least 1, got 0"),
        (lambda: LayerNorm("3"), TypeError, "LayerNorm: shape must be an int, got '3'"),
        (lambda: LayerNorm(3, eps=-1), ValueError, "LayerNorm: eps must be positive, got -1"),
        (lambda: LayerNorm(3, eps=0), ValueError, "LayerNorm: eps must be positive, got 0"),
        (lambda: LayerNorm((2**20,) * 3), ValueError, "is too large"),
    ],
)
def test_bad_arguments(make: Callable[[], Layer], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (GroupNorm(2, 4), (2, 6), "GroupNorm: input must have 4 channels, got 6"),
        (
            GroupNorm(2, 4),
            (2, 4, 3),
            r"GroupNorm: input must have 4 dimensions \(N, C, H, W\) or 2 \(N, C\), got shape",
        ),
        (GroupNorm(2, 4), (2, 4, 0, 3), "GroupNorm: height and width must be at least 1"),
        (LayerNorm(3), (2, 4), r"LayerNorm: the last dimensions of the input must be \(3,\), got shape \(2, 4\)"),
        (LayerNorm((2, 3)), (2, 3), r"the last dimensions of the input must be \(2, 3\), got shape \(2, 3\)"),
        (LayerNorm(3), (2, 4, 0, 3), r"the last dimensions of the input must be \(3,\), got shape \(2, 4, 0, 3\)"),
        (LayerNorm(3), (2, 2, 2, 4, 3), r"must have 4 dimensions \(N, C, H, W\) or 3 \(N, I, D\) or 2 \(N, F\), got"),
    ],
)
def test_bad_input(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape, np.float32))
    with pytest.raises(RuntimeError, match="call forward before backward"):
        layer.backward(np.zeros(shape, np.float32))


@pytest.mark.usefixtures("any_backend")
class TestInstanceNorm2D:
    def test_each_channel_of_an_image_by_itself(self, rng: np.random.Generator) -> None:
        x = rng.uniform(1, 5, (3, 2, 4, 5)).astype(np.float32)
        y = InstanceNorm2D(2).forward(x, train=True)
        np.testing.assert_allclose(y.mean((2, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(y.var((2, 3)), 1, rtol=1e-4)
        assert InstanceNorm2D(2).parameters() == []

    def test_it_is_a_group_a_channel(self, rng: np.random.Generator) -> None:
        x, dy = rng.standard_normal((2, 3, 4, 5, 2)).astype(np.float32)
        layer, group = InstanceNorm2D(4, 1e-3, affine=True), GroupNorm(4, 4, 1e-3)
        for one, other in zip(layer.parameters(), group.parameters(), strict=True):
            one.data[:] = other.data[:] = rng.standard_normal(4)
        np.testing.assert_array_equal(layer.forward(x), group.forward(x))
        np.testing.assert_array_equal(layer.backward(dy), group.backward(dy))
        for one, other in zip(layer.parameters(), group.parameters(), strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.grad, other.grad)

    @pytest.mark.parametrize(
        ("shape", "rule"),
        [((2, 2), "4 dimensions"), ((2, 3, 1, 1), "2 channels, got 3"), ((2, 2, 0, 1), "at least 1")],
    )
    def test_bad_input(self, shape: tuple[int, ...], rule: str) -> None:
        with pytest.raises(ValueError, match=f"InstanceNorm2D: .*{rule}"):
            InstanceNorm2D(2).forward(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"size": 3, "alpha": -1.0}, "alpha must be at least 0, got -1.0"),
        ({"size": 3, "beta": float("nan")}, "beta must be at least 0, got nan"),
        ({"size": 3, "k": 0}, "k must be positive, got 0"),
    ],
)
def test_local_response_settings(settings: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"LocalResponseNorm: {rule}"):
        LocalResponseNorm(**settings)


def test_local_response_input() -> None:
    with pytest.raises(ValueError, match=r"LocalResponseNorm: input must have 4 dimensions .*, got shape \(2, 3\)"):
        LocalResponseNorm(3).forward(np.zeros((2, 3), np.float32))


NEW = {
    "GroupNorm": lambda: GroupNorm(2, 6),
    "LayerNorm": lambda: LayerNorm((2, 3)),
    "InstanceNorm2D": lambda: InstanceNorm2D(6, affine=True),
    "BatchNorm2D": lambda: BatchNorm2D(3),
}


@pytest.mark.parametrize("make", NEW.values(), ids=NEW)
def test_a_new_layer_scales_by_one_and_shifts_by_nothing(make):
    layer = make()
    np.testing.assert_array_equal(layer.gamma.data, np.ones_like(layer.gamma.data))
    np.testing.assert_array_equal(layer.beta.data, np.zeros_like(layer.beta.data))


def test_the_eps_of_an_instance_norm_is_positive():
    with pytest.raises(ValueError, match="InstanceNorm2D: eps must be positive, got 0"):
        InstanceNorm2D(3, 0)
