"""Pooling layers: hand-computed values, ties, arguments and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import AvgPool2D, GlobalAvgPool2D, MaxPool2D

X = np.array([[[[1, 2, 0, 5], [3, 3, -1, 4], [0, 0, 7, 7], [0, 0, 7, 6]]]], np.float32)
DY = np.array([[[[1, 2], [3, 4]]]], np.float32)


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_max(self) -> None:
        layer = MaxPool2D(2)
        np.testing.assert_array_equal(layer.forward(X), [[[[3, 5], [0, 7]]]])
        # ties: the first maximum in row-major order
        expected = [[[[0, 0, 0, 2], [1, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]]]
        np.testing.assert_array_equal(layer.backward(DY), expected)

    def test_max_of_overlapping_windows_adds(self) -> None:
        layer = MaxPool2D(3, stride=1)
        np.testing.assert_array_equal(layer.forward(X), [[[[7, 7], [7, 7]]]])
        dx = layer.backward(DY)
        assert dx[0, 0, 2, 2] == 10
        assert dx.sum() == 10

    def test_padding_never_wins(self) -> None:
        layer = MaxPool2D(2, padding=1)
        np.testing.assert_array_equal(layer.forward(-X - 10)[0, 0, 0], [-11, -10, -15])

    def test_average(self) -> None:
        layer = AvgPool2D(2)
        np.testing.assert_array_equal(layer.forward(X), [[[[2.25, 2], [0, 6.75]]]])
        np.testing.assert_array_equal(layer.backward(DY), np.kron(DY[0, 0], np.full((2, 2), 0.25))[None, None])

    def test_average_counts_padding(self) -> None:
        layer = AvgPool2D(2, padding=1)
        np.testing.assert_array_equal(layer.forward(X)[0, 0, 0], [0.25, 0.5, 1.25])

    def test_global_average(self) -> None:
        layer = GlobalAvgPool2D()
        np.testing.assert_array_equal(layer.forward(X), [[2.75]])
        np.testing.assert_array_equal(layer.backward(np.array([[32.0]], np.float32)), np.full((1, 1, 4, 4), 2))


@pytest.mark.parametrize("layer", [MaxPool2D, AvgPool2D])
class TestArguments:
    @pytest.mark.parametrize(
        ("args", "shape", "expected"),
        [
            ((2,), (3, 28, 28), (3, 14, 14)),
            ((2,), (3, 7, 5), (3, 3, 2)),
            ((3, 2, 1), (3, 32, 31), (3, 16, 16)),
            (((2, 3), (1, 2), (1, 0)), (3, 4, 7), (3, 5, 3)),
        ],
    )
    def test_output_shape(self, layer: Any, args: Any, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        pool = layer(*args)
        assert pool.output_shape(shape) == expected
        assert pool.forward(np.zeros((2, *shape), np.float32)).shape == (2, *expected)
        assert pool.multiply_adds(shape) == 0
        assert pool.parameters() == []

    @pytest.mark.parametrize(
        ("args", "error", "rule"),
        [
            ((0,), ValueError, "kernel_size must be at least 1, got 0"),
            ((2.0,), TypeError, "kernel_size must be an int, got 2.0"),
            ((2, 0), ValueError, "stride must be at least 1, got 0"),
            ((2, 2, -1), ValueError, "padding must be at least 0, got -1"),
            ((3, 1, 2), ValueError, "padding must be at most half of the kernel's height, got padding 2"),
        ],
    )
    def test_bad_arguments(self, layer: Any, args: Any, error: type[Exception], rule: str) -> None:
        with pytest.raises(error, match=f"{layer.__name__}: {rule}"):
            layer(*args)

    def test_bad_input(self, layer: Any) -> None:
        who = layer.__name__
        with pytest.raises(ValueError, match=rf"{who}: input must have 4 dimensions .*, got shape \(2, 3\)"):
            layer(2).forward(np.zeros((2, 3), np.float32))
        with pytest.raises(ValueError, match=f"{who}: the kernel's width 3 .* must fit into .* width 2"):
            layer(3).forward(np.zeros((1, 1, 3, 2), np.float32))


def test_global_average_input() -> None:
    with pytest.raises(ValueError, match=r"GlobalAvgPool2D: input must have 4 dimensions .*, got shape \(2, 3\)"):
        GlobalAvgPool2D().forward(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"GlobalAvgPool2D: height and width must be at least 1, got"):
        GlobalAvgPool2D().forward(np.zeros((2, 3, 0, 1), np.float32))
    assert GlobalAvgPool2D().output_shape((5, 7, 6)) == (5,)
