"""Pooling layers: hand-computed values, ties, arguments and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import AdaptiveAvgPool2D, AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D, MaxPool2D

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
            ((3, 1, 3), ValueError, "padding must be smaller than the kernel's height, got padding 3"),
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


@pytest.mark.usefixtures("any_backend")
class TestWindows:
    """Numbers by hand; what PyTorch does is in tests/kernels/test_torch.py."""

    X = np.arange(1.0, 6, dtype=np.float32).reshape(1, 1, 1, 5)

    def test_ceil_mode_adds_a_window_that_starts_inside(self) -> None:
        assert MaxPool2D((1, 2)).forward(self.X).tolist() == [[[[2, 4]]]]
        assert MaxPool2D((1, 2), ceil_mode=True).forward(self.X).tolist() == [[[[2, 4, 5]]]]
        # the fourth window would start at 6, behind the image
        assert MaxPool2D((1, 2), (1, 3), (0, 1), ceil_mode=True).forward(self.X[..., :4]).tolist() == [[[[1, 4]]]]

    def test_what_counts_in_a_mean(self) -> None:
        settings: Any = {"kernel_size": (1, 3), "stride": (1, 2), "padding": (0, 1)}
        assert AvgPool2D(**settings).forward(self.X).tolist() == [[[[1, 3, 3]]]]
        assert AvgPool2D(**settings, count_include_pad=False).forward(self.X).tolist() == [[[[1.5, 3, 4.5]]]]
        ceil = AvgPool2D((1, 4), (1, 2), (0, 1), ceil_mode=True)  # the last window: 4, 5, a zero, and nothing
        np.testing.assert_allclose(ceil.forward(self.X), [[[[6 / 4, 14 / 4, 9 / 3]]]], rtol=1e-6)
        dx = ceil.backward(np.ones((1, 1, 1, 3), np.float32))
        np.testing.assert_allclose(dx, [[[[1 / 4, 1 / 2, 1 / 2, 7 / 12, 7 / 12]]]], rtol=1e-6)

    def test_dilation(self) -> None:
        layer = MaxPool2D((1, 2), 1, dilation=(1, 3))
        assert layer.forward(-self.X).tolist() == [[[[-1, -2]]]]
        assert layer.backward(np.ones((1, 1, 1, 2), np.float32)).tolist() == [[[[1, 1, 0, 0, 0]]]]

    def test_four_sides(self) -> None:
        layer = MaxPool2D((1, 3), (1, 3), ((0, 0), (2, 1)))
        assert layer.forward(-self.X).tolist() == [[[[-1, -2]]]]
        assert layer.output_shape((1, 1, 6)) == (1, 1, 3)

    @pytest.mark.parametrize("layer", [MaxPool2D, AvgPool2D])
    @pytest.mark.parametrize("words", ["same", "same_lower"])
    def test_same(self, layer: Any, words: str, rng: np.random.Generator) -> None:
        x = rng.standard_normal((2, 3, 7, 6)).astype(np.float32)
        sides = {"same": ((1, 1), (0, 0)), "same_lower": ((1, 1), (0, 0))}[words]
        pool, told = layer((3, 2), 2, words), layer((3, 2), 2, sides)
        y = pool.forward(x)
        assert y.shape == (2, 3, 4, 3)
        np.testing.assert_array_equal(y, told.forward(x))
        np.testing.assert_array_equal(pool.backward(y), told.backward(y))
        sides = {"same": ((0, 0), (0, 1)), "same_lower": ((0, 0), (1, 0))}[words]
        np.testing.assert_array_equal(
            layer((1, 2), 2, words).forward(x[..., :5]), layer((1, 2), 2, sides).forward(x[..., :5])
        )

    def test_adaptive_average(self) -> None:
        layer = AdaptiveAvgPool2D((1, 3))
        assert layer.forward(self.X).tolist() == [[[[1.5, 3, 4.5]]]]
        assert layer.backward(np.array([[[[2, 3, 4]]]], np.float32)).tolist() == [[[[1, 2, 1, 3, 2]]]]
        assert (
            AdaptiveAvgPool2D(2).forward(np.full((3, 2, 1, 1), 7, np.float32)).tolist()
            == np.full((3, 2, 2, 2), 7).tolist()
        )

    def test_global_maximum(self) -> None:
        layer = GlobalMaxPool2D()
        x = np.array([[[[1.0, 5], [5, 2]], [[-3, -4], [-9, -2]]]], np.float32)
        assert layer.forward(x).tolist() == [[5, -2]]
        assert layer.backward(np.array([[7, 8]], np.float32)).tolist() == [[[[0, 7], [0, 0]], [[0, 0], [0, 8]]]]


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda: MaxPool2D(2, 1, 1, dilation=2),
            (1, 1, 1, 4),
            "each window must hold a pixel, got height 1 for kernel 2",
        ),
        (lambda: MaxPool2D(2, 1, 2, dilation=2), (1, 1, 1, 4), "each window must hold a pixel"),
        (lambda: AdaptiveAvgPool2D(2), (1, 3, 0, 4), "height and width must be at least 1"),
        (lambda: AdaptiveAvgPool2D(2), (1, 3), "input must have 4 dimensions"),
        (lambda: AdaptiveAvgPool2D(0), (), "output_size must be at least 1, got 0"),
        (lambda: GlobalMaxPool2D(), (1, 3, 0, 4), "height and width must be at least 1"),
        (lambda: MaxPool2D(3, padding="full"), (), "padding must be an int"),
    ],
)
def test_refused(make: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().forward(np.zeros(shape, np.float32))


@pytest.mark.parametrize("make", [lambda: MaxPool2D(2, ceil_mode=1), lambda: AvgPool2D(2, count_include_pad="no")])
def test_flags_are_bools(make: Any) -> None:
    with pytest.raises(TypeError, match="must be True or False, got"):
        make()
