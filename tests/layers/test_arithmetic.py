"""Arithmetic with constants, affine maps, slopes that are learned: values, arguments, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.layers import BatchNorm2D, Layer
from minidl.layers.arithmetic import Affine, Arithmetic, PRelu

IMAGE = np.arange(1.0, 25).reshape(1, 2, 3, 4)


@pytest.mark.usefixtures("any_backend")
class TestArithmetic:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("operator", ["+", "-", "*", "/"])
    def test_values(self, operator: str, dtype: Any, rng: np.random.Generator) -> None:
        function = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[operator]
        x = rng.integers(1, 9, (5, 2, 3, 4)).astype(dtype)
        for value in (2, 2.5, np.array([[[1]], [[4]]]), IMAGE, IMAGE[0].T.copy().T, [2.0, 4, 8, 16], np.float32(4)):
            for reverse in (False, True):
                layer = Arithmetic(operator, value, reverse)
                wanted = np.asarray(value, dtype)
                expected = function(wanted, x) if reverse else function(x, wanted)
                y = layer.forward(x)
                assert y.dtype == dtype
                np.testing.assert_allclose(y, expected, rtol=1e-6)
                assert layer.output_shape((2, 3, 4)) == (2, 3, 4)
        np.testing.assert_array_equal(Arithmetic("-", 1).forward(np.full((2, 3), 3, dtype)), np.full((2, 3), 2))

    def test_a_value_may_be_larger(self) -> None:
        layer = Arithmetic("*", IMAGE)
        x = np.array([2, 3], np.float32).reshape(2, 1, 1, 1)
        np.testing.assert_array_equal(layer.forward(x), x * IMAGE)
        assert layer.output_shape((1, 1, 1)) == (2, 3, 4)
        np.testing.assert_array_equal(layer.backward(np.ones((2, 2, 3, 4), np.float32)), np.full((2, 1, 1, 1), 300))

    def test_one_layer_takes_both_dtypes(self) -> None:
        layer = Arithmetic("+", 0.1)
        assert layer.forward(np.zeros((1, 1)))[0, 0] == 0.1
        assert layer.forward(np.zeros((1, 1), np.float32))[0, 0] == np.float32(0.1)


def test_large_values_are_not_written_out() -> None:
    assert repr(Arithmetic("*", IMAGE, True)) == "Arithmetic('*', <(1, 2, 3, 4)>, reverse=True)"
    assert Arithmetic("*", IMAGE).settings()["value"] == IMAGE.tolist()


@pytest.mark.usefixtures("any_backend")
class TestAffine:
    def test_values_and_gradients(self, rng: np.random.Generator) -> None:
        for shape in ((5, 3, 2, 4), (17, 3)):
            layer = Affine(3)
            layer.scale.data[:], layer.shift.data[:] = (2, -1, 0.5), (0, 1, -3)  # type: ignore[union-attr]
            x, dy = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
            wide = (1, 3) + (1,) * (len(shape) - 2)
            scale, shift = np.reshape([2, -1, 0.5], wide), np.reshape([0, 1, -3], wide)
            np.testing.assert_array_equal(layer.forward(x, train=True), x * scale + shift)
            np.testing.assert_array_equal(layer.backward(dy), dy * scale)
            axes = (0, *range(2, len(shape)))
            np.testing.assert_array_equal(layer.scale.grad, (dy * x).sum(axes))  # type: ignore[union-attr]
            np.testing.assert_array_equal(layer.shift.grad, dy.sum(axes))  # type: ignore[union-attr]

    @pytest.mark.parametrize(("scale", "shift"), [(True, False), (False, True), (False, False)])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_parts(self, scale: bool, shift: bool, dtype: str) -> None:
        layer = Affine(2, scale, shift).astype(dtype)
        names = [parameter.name for parameter in layer.parameters()]
        assert names == ["scale"] * scale + ["shift"] * shift
        for parameter in layer.parameters():
            parameter.data[:] = 3
        x = np.ones((3, 2, 2, 2), dtype)
        y = layer.forward(x, train=True)
        np.testing.assert_array_equal(y, x * (3 if scale else 1) + (3 if shift else 0))
        assert y.dtype == dtype
        np.testing.assert_array_equal(layer.backward(x), x * (3 if scale else 1))

    def test_it_is_a_normalisation_that_does_not_normalise(self, rng: np.random.Generator) -> None:
        norm, layer = BatchNorm2D(2, eps=1e-12), Affine(2)
        for a, b in zip(norm.parameters(), layer.parameters(), strict=True):
            a.data[:] = b.data[:] = rng.standard_normal(2)
        x = rng.standard_normal((3, 2, 4, 5)).astype(np.float32)
        np.testing.assert_allclose(layer.forward(x), norm.forward(x), rtol=1e-6)


@pytest.mark.usefixtures("any_backend")
class TestPRelu:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_values_and_gradients(self, channels: int, rng: np.random.Generator) -> None:
        for shape in ((17, 3, 2, 4), (5, 3)):
            layer = PRelu(channels, 0.5)
            slope = np.full(channels, 0.5) if channels == 1 else np.array([0.25, 2, -1])
            layer.slope.data[:] = slope
            x, dy = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
            wide = slope.reshape(1, -1, *(1,) * (len(shape) - 2))
            np.testing.assert_array_equal(layer.forward(x), np.where(x > 0, x, x * wide))
            np.testing.assert_array_equal(layer.backward(dy), np.where(x > 0, dy, dy * wide))
            axes = (0, *range(2, len(shape)))
            each = (dy * np.minimum(x, 0)).sum(axes)
            np.testing.assert_array_equal(layer.slope.grad, each if channels > 1 else [each.sum()])

    def test_its_slope_is_spared_by_decay(self) -> None:
        assert [parameter.decay for parameter in PRelu(4).parameters()] == [False]
        np.testing.assert_array_equal(PRelu(2).slope.data, [0.25, 0.25])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Arithmetic("%", 1), "Arithmetic: operator must be one of"),
        (
            lambda: Arithmetic("+", "a"),
            "Arithmetic: value must be numbers in at most 4 dimensions, got 'a'",
        ),
        (lambda: Arithmetic("+", []), "Arithmetic: value must be"),
        (lambda: Arithmetic("+", np.zeros((1, 1, 1, 1, 1))), "Arithmetic: value must be"),
        (lambda: Arithmetic("+", float("nan")), "Arithmetic: value must be finite"),
        (lambda: Affine(0), "Affine: channels must be at least 1"),
        (lambda: PRelu(0), "PRelu: channels must be at least 1"),
        (lambda: PRelu(1, float("inf")), "PRelu: slope must be finite"),
        (lambda: Arithmetic("+", IMAGE).forward(np.zeros((3, 2))), "Arithmetic: value must be the same for all images"),
        (lambda: Arithmetic("+", np.zeros((3, 2))).forward(np.zeros((3, 2))), "Arithmetic: value must be the same for"),
        (lambda: Arithmetic("+", IMAGE).forward(np.zeros((3, 2, 3, 5))), "Arithmetic: shapes must be equal"),
        (lambda: Affine(2).forward(np.zeros((3, 3))), "Affine: input must have shape"),
        (lambda: Affine(2).forward(np.zeros((3, 2, 4))), "Affine: input must have shape"),
        (lambda: PRelu(2).forward(np.zeros((3, 3))), "PRelu: input must have shape"),
        (lambda: PRelu().forward(np.zeros(3)), "PRelu: input must have shape"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("layer", [Arithmetic("+", 1), Affine(2), PRelu()], ids=repr)
def test_backward_needs_a_forward(layer: Layer) -> None:
    with pytest.raises(RuntimeError, match="call forward before backward"):
        layer.backward(np.ones((1, 2), np.float32))


def test_a_large_value_is_no_nest_of_lists_to_look_through() -> None:
    layer = Arithmetic("*", np.arange(24).reshape(2, 3, 4))
    assert not any(isinstance(value, list) for value in vars(layer).values())
    assert layer.settings() == {
        "operator": "*",
        "value": np.arange(24.0).reshape(2, 3, 4).tolist(),
        "reverse": False,
        "name": None,
    }
    assert repr(Arithmetic("+", 2)) == "Arithmetic('+', 2)"
