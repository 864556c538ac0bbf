"""Conv2D: arguments, hand-computed values, weights; the arithmetic itself is tested in tests/kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl.support.random
from minidl.layers import Conv2D


@pytest.mark.usefixtures("any_backend")
def test_values_by_hand() -> None:
    layer = Conv2D(1, 1, 2, init=lambda shape, rng: np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    layer.bias.data[0] = 10
    x = np.array([[[[1, 0, 2], [0, 1, 0], [3, 0, 1]]]], np.float32)
    y = layer.forward(x)
    # top left: 1*1 + 2*0 + 3*0 + 4*1 + 10; top right: 1*0 + 2*2 + 3*1 + 4*0 + 10; and so on
    np.testing.assert_array_equal(y, [[[[15, 17], [21, 15]]]])
    dx = layer.backward(np.array([[[[1, 0], [0, 2]]]], np.float32))
    np.testing.assert_array_equal(dx, [[[[1, 2, 0], [3, 4 + 2, 4], [0, 6, 8]]]])
    np.testing.assert_array_equal(layer.weight.grad, [[[[1 + 2 * 1, 0], [0, 1 + 2 * 1]]]])
    np.testing.assert_array_equal(layer.bias.grad, [3])


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize(
    ("kwargs", "shape", "expected"),
    [
        ({"kernel_size": 3}, (1, 28, 28), (4, 26, 26)),
        ({"kernel_size": 3, "padding": 1}, (1, 28, 28), (4, 28, 28)),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, (1, 31, 31), (4, 16, 16)),
        ({"kernel_size": (2, 5), "stride": (3, 2), "padding": (0, 2)}, (1, 7, 9), (4, 2, 5)),
        ({"kernel_size": 3, "dilation": (2, 1)}, (1, 7, 5), (4, 3, 3)),
    ],
)
def test_output_shape(kwargs: dict[str, Any], shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    layer = Conv2D(1, 4, **kwargs)
    assert layer.output_shape(shape) == expected
    assert layer.forward(np.zeros((2, *shape), np.float32)).shape == (2, *expected)


def test_multiply_adds() -> None:
    assert Conv2D(8, 16, 3, padding=1).multiply_adds((8, 14, 14)) == 16 * 14 * 14 * 8 * 9
    assert Conv2D(8, 16, 3, padding=1, groups=4).multiply_adds((8, 14, 14)) == 16 * 14 * 14 * 2 * 9


def test_parameters() -> None:
    weight, bias = Conv2D(4, 6, (3, 2), groups=2, rng=0).parameters()
    assert (weight.name, weight.data.shape, weight.data.dtype, weight.decay) == ("weight", (6, 2, 3, 2), "f4", True)
    assert (bias.name, bias.data.shape, bias.data.dtype, bias.decay) == ("bias", (6,), "f4", False)
    assert weight.data.std() > 0.3  # sqrt(2 / 12) = 0.41
    assert not bias.data.any()
    assert weight.grad.shape == weight.data.shape
    assert [p.name for p in Conv2D(1, 1, 1, bias=False).parameters()] == ["weight"]


def test_weights_follow_the_seed() -> None:
    np.testing.assert_array_equal(Conv2D(2, 3, 3, rng=4).weight.data, Conv2D(2, 3, 3, rng=4).weight.data)
    minidl.support.random.seed(1)
    first, second = Conv2D(2, 3, 3).weight.data, Conv2D(2, 3, 3).weight.data
    minidl.support.random.seed(1)
    np.testing.assert_array_equal(Conv2D(2, 3, 3).weight.data, first)
    assert (first != second).any()


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        ((0, 1, 3), {}, ValueError, "Conv2D: in_channels must be at least 1, got 0"),
        ((1, 0, 3), {}, ValueError, "Conv2D: out_channels must be at least 1, got 0"),
        ((1.0, 1, 3), {}, TypeError, "Conv2D: in_channels must be an int, got 1.0"),
        ((True, 1, 3), {}, TypeError, "Conv2D: in_channels must be an int, got True"),
        ((1, 1, 0), {}, ValueError, "Conv2D: kernel_size must be at least 1, got 0"),
        ((1, 1, (3, 3, 3)), {}, ValueError, r"Conv2D: kernel_size must be an int or an \(h, w\) pair"),
        ((1, 1, "3"), {}, TypeError, "Conv2D: kernel_size must be an int, got '3'"),
        ((1, 1, 3), {"stride": 0}, ValueError, "Conv2D: stride must be at least 1, got 0"),
        ((1, 1, 3), {"padding": -1}, ValueError, "Conv2D: padding must be at least 0, got -1"),
        ((1, 1, 3), {"dilation": (1, 0)}, ValueError, "Conv2D: dilation must be at least 1, got 0"),
        ((4, 6, 3), {"groups": 4}, ValueError, "groups must divide in_channels and out_channels, got groups 4"),
        ((4, 6, 3), {"groups": 0}, ValueError, "Conv2D: groups must be at least 1, got 0"),
        ((1, 1, 3), {"init": "he"}, ValueError, "Conv2D: init must be one of he_normal, .*got 'he'"),
        ((1, 1, 3), {"rng": 1.5}, TypeError, "rng must be a numpy.random.Generator, an int seed or None, got 1.5"),
        ((2**31, 1, 3), {}, ValueError, r"Conv2D: in_channels must be below 2\*\*31"),
        ((2**30, 2**30, 3), {}, ValueError, "Conv2D: shape .* is too large"),
    ],
)
def test_bad_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Conv2D(*args, **kwargs)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 5, 5), r"Conv2D: input must have 4 dimensions \(N, C, H, W\), got shape \(2, 5, 5\)"),
        ((1, 3, 5, 5), r"Conv2D: input must have 2 channels \(shape \(N, 2, H, W\)\), got 3 in shape \(1, 3, 5, 5\)"),
        ((1, 2, 1, 5), "Conv2D: the kernel's height 4 .* must fit into the padded input's height 3"),
    ],
)
def test_bad_input(shape: tuple[int, ...], message: str) -> None:
    layer = Conv2D(2, 3, (4, 2), padding=1)
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape, np.float32))


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize(
    ("kernel", "dilation", "padding"), [(3, 1, 1), ((5, 1), 1, (2, 0)), (3, (2, 1), (2, 1)), (2, 2, 1)]
)
def test_same_padding(kernel: Any, dilation: Any, padding: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 7, 6)).astype(np.float32)
    same = Conv2D(3, 4, kernel, padding="same", dilation=dilation, rng=1)
    pair = Conv2D(3, 4, kernel, padding=padding, dilation=dilation, rng=1)
    assert same.padding == pair.padding
    y = same.forward(x)
    assert y.shape == (2, 4, 7, 6)
    np.testing.assert_array_equal(y, pair.forward(x))
    np.testing.assert_array_equal(same.backward(y), pair.backward(y))
    w, b = same.weight.data, rng.random(4).astype(np.float32)
    forward, backward = minidl.functional.conv2d_forward, minidl.functional.conv2d_backward
    settings = {"dilation": dilation}
    np.testing.assert_array_equal(
        forward(x, w, b, padding="same", **settings), forward(x, w, b, padding=padding, **settings)
    )
    for one, two in zip(
        backward(y, x, w, padding="same", **settings), backward(y, x, w, padding=padding, **settings), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    assert "padding='same'" in repr(same)
    assert same.settings()["padding"] == "same"


def test_valid_padding_is_none() -> None:
    assert repr(Conv2D(1, 2, 3, padding="valid")) == "Conv2D(1, 2, 3)"
    x, w = np.ones((1, 1, 4, 4)), np.ones((2, 1, 3, 3))
    assert minidl.functional.conv2d_forward(x, w, padding="valid").shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("kernel", "settings", "message"),
    [
        (3, {"padding": ((0, 1), 2)}, "Conv2D: padding of four sides must be .*got \\(\\(0, 1\\), 2\\)"),
        (3, {"padding": ((0, 1), (2, -1))}, "padding must be at least 0, got -1"),
        (3, {"padding": (1, 2, 3, 4)}, "padding must be an int or an .h, w. pair, got .1, 2, 3, 4."),
        (3, {"padding": "full"}, '"same", "same_lower" or "valid", got \'full\''),
    ],
)
def test_padding_in_words_has_rules(kernel: Any, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conv2D(1, 1, kernel, **settings)
    with pytest.raises(ValueError, match=message.replace("Conv2D", "conv2d_forward")[:30]):
        minidl.functional.conv2d_forward(np.ones((1, 1, 4, 4)), np.ones((1, 1, kernel, kernel)), **settings)
