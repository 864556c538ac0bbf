"""ConvTranspose2D: sizes, first weights, messages; that it undoes a convolution's size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers import Conv2D, ConvTranspose2D


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize(
    ("settings", "shape", "expected"),
    [
        ({"kernel_size": 2, "stride": 2}, (1, 7, 5), (4, 14, 10)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, (1, 7, 5), (4, 14, 10)),
        ({"kernel_size": 4, "stride": 2, "padding": 1}, (1, 7, 5), (4, 14, 10)),
        ({"kernel_size": (2, 3), "stride": (3, 1), "padding": ((0, 1), (2, 0))}, (1, 3, 4), (4, 7, 4)),
        ({"kernel_size": 3, "dilation": (2, 1), "output_padding": (1, 0)}, (1, 2, 2), (4, 7, 4)),
    ],
)
def test_output_shape(settings: Any, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    layer = ConvTranspose2D(1, 4, **settings)
    assert layer.output_shape(shape) == expected
    y = layer.forward(np.ones((2, *shape), np.float32))
    assert y.shape == (2, *expected)
    assert layer.backward(y).shape == (2, *shape)


@pytest.mark.usefixtures("any_backend")
def test_it_is_the_input_gradient_of_a_convolution(rng: np.random.Generator) -> None:
    conv, transposed = Conv2D(3, 4, 3, 2, 1, bias=False, rng=1), ConvTranspose2D(4, 3, 3, 2, 1, 1, bias=False)
    transposed.weight.data[...] = conv.weight.data
    x, dy = rng.integers(-3, 4, (2, 3, 8, 6)).astype(np.float32), rng.random((2, 4, 4, 3), np.float32)
    conv.forward(x)
    np.testing.assert_allclose(transposed.forward(dy), conv.backward(dy), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(transposed.backward(x), conv.forward(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(transposed.weight.grad, _weight_gradient(conv, x, dy), rtol=1e-5, atol=1e-5)


def _weight_gradient(conv: Conv2D, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    conv.forward(x)
    conv.backward(dy)
    return conv.weight.grad


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(2, 2, 1), (4, 2, 2), (3, 1, 1), (1, 3, 1)])
def test_first_weights_keep_the_size_of_activations(kernel: int, stride: int, groups: int) -> None:
    """he_normal: variance 2 over the products that an output sums in the mean."""
    layer = ConvTranspose2D(64, 32, kernel, stride, groups=groups, rng=0)
    assert layer.weight.data.shape == (64, 32 // groups, kernel, kernel)
    products = 64 / groups * (kernel / min(stride, kernel)) ** 2
    np.testing.assert_allclose(layer.weight.data.var(), 2 / products, rtol=0.05)
    assert not layer.bias.data.any()  # type: ignore[union-attr]


def test_orthogonal_weights() -> None:
    """Each output channel's products, as those of a convolution."""
    weight = ConvTranspose2D(6, 4, 3, groups=2, init="orthogonal", rng=0).weight.data
    for group in weight.reshape(2, 3, 2, 9):
        rows = group.swapaxes(0, 1).reshape(2, 27)
        np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-6)


def test_own_weights_have_the_weight_s_shape() -> None:
    layer = ConvTranspose2D(2, 3, (4, 5), init=lambda shape, rng: np.full(shape, 0.5))
    assert layer.weight.data.shape == (2, 3, 4, 5)
    assert (layer.weight.data == 0.5).all()


def test_multiply_adds() -> None:
    assert ConvTranspose2D(8, 16, 3, 2).multiply_adds((8, 5, 4)) == 5 * 4 * 8 * 16 * 9
    assert ConvTranspose2D(8, 16, 3, 2, groups=4).multiply_adds((8, 5, 4)) == 5 * 4 * 8 * 4 * 9


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"output_padding": 1}, ValueError, "output_padding must be smaller than .*got 1 for stride 1 and dilation 1"),
        ({"padding": "same"}, ValueError, "ConvTranspose2D: padding must be an int.*got 'same'"),
        ({"padding": ((1, 2), 3)}, ValueError, "padding of four sides must be"),
        ({"groups": 2}, ValueError, "groups must divide in_channels and out_channels, got groups 2, channels 3 and 4"),
        ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"stride": 1.5}, TypeError, "stride must be an int, got 1.5"),
    ],
)
def test_bad_arguments(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ConvTranspose2D(3, 4, 3, **settings)


@pytest.mark.parametrize(
    ("shape", "padding", "message"),
    [
        ((1, 3, 4), 0, "input must have 4 dimensions"),
        ((1, 2, 4, 4), 0, r"input must have 3 channels \(shape \(N, 3, H, W\)\), got 2"),
        ((1, 3, 2, 9), 2, r"the output's height must be at least 1, got 0 \(input 2, padding \(2, 2\)\)"),
        ((1, 3, 0, 4), 0, "channels, height and width must be at least 1"),
    ],
)
def test_bad_input(shape: tuple[int, ...], padding: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"ConvTranspose2D.*{message}"):
        ConvTranspose2D(3, 4, 3, padding=padding).forward(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=f"conv_transpose2d_forward: {message}"):
        minidl.functional.conv_transpose2d_forward(
            np.zeros(shape, np.float32), np.zeros((3, 4, 3, 3), np.float32), padding=padding
        )
