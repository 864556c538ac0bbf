"""Upsample: values by hand, sizes, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers import Upsample

X = np.array([[[[0.0, 4], [8, 12]]]], np.float32)


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_nearest(self) -> None:
        layer = Upsample((1, 2))
        np.testing.assert_array_equal(layer.forward(X), [[[[0, 0, 4, 4], [8, 8, 12, 12]]]])
        np.testing.assert_array_equal(layer.backward(np.arange(8.0).reshape(1, 1, 2, 4)), [[[[1, 5], [9, 13]]]])

    def test_bilinear(self) -> None:
        layer = Upsample(size=(2, 4), mode="bilinear")
        np.testing.assert_array_equal(layer.forward(X), [[[[0, 1, 3, 4], [8, 9, 11, 12]]]])
        dx = layer.backward(np.full((1, 1, 2, 4), 4.0))
        np.testing.assert_array_equal(dx, [[[[8, 8], [8, 8]]]])
        corners = Upsample(size=(3, 3), mode="bilinear", coordinates="align_corners")
        np.testing.assert_array_equal(corners.forward(X), [[[[0, 2, 4], [4, 6, 8], [8, 10, 12]]]])

    def test_smaller(self) -> None:
        np.testing.assert_array_equal(Upsample(0.5).forward(X), [[[[0]]]])
        np.testing.assert_array_equal(Upsample(0.5, mode="bilinear").forward(X), [[[[6]]]])

    def test_few_images_and_other_dtypes(self, rng: np.random.Generator) -> None:
        layer = Upsample(2, mode="bilinear")
        model = minidl.Model(layer)
        for dtype in (np.float32, np.float64):
            x = rng.integers(-8, 9, (19, 3, 4, 5)).astype(dtype)
            expected = layer.forward(x)
            assert expected.dtype == dtype
            for n in (1, 2, 19):
                np.testing.assert_array_equal(layer.forward(x[:n]), expected[:n])
        for n in (1, 2, 19):
            np.testing.assert_array_equal(model.predict(x[:n].astype(np.float32)), expected[:n])


@pytest.mark.parametrize(
    ("shape", "settings", "expected"),
    [
        ((3, 5, 7), {"scale": 1.5}, (3, 7, 10)),
        ((3, 5, 7), {"scale": (2, 0.5)}, (3, 10, 3)),
        ((1, 100, 9), {"scale": (0.3, 1)}, (1, 30, 9)),
        ((2, 4, 4), {"size": (1, 9)}, (2, 1, 9)),
    ],
)
def test_sizes(shape: tuple[int, ...], settings: Any, expected: tuple[int, ...]) -> None:
    layer = Upsample(**settings)
    assert layer.output_shape(shape) == expected
    assert layer.forward(np.ones((2, *shape), np.float32)).shape == (2, *expected)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_counts_are_those_of_the_taps(mode: str, antialias: bool) -> None:
    for how in ({"scale": 0.3}, {"scale": (2.5, 0.7)}, {"size": (3, 19)}, {"scale": 1.01}):
        resizing = Upsample(**how, mode=mode, antialias=antialias)._resizing  # type: ignore[arg-type]
        rows, columns = resizing.taps((1, 1, 11, 13), np.float32)
        assert resizing.counts((1, 1, 11, 13)) == (rows[0].shape[1], columns[0].shape[1])


def test_multiply_adds() -> None:
    assert Upsample(2).multiply_adds((3, 4, 5)) == 0
    assert Upsample(2, mode="bilinear").multiply_adds((3, 4, 5)) == 4 * 3 * 8 * 10
    assert Upsample(2, mode="bicubic").multiply_adds((3, 4, 5)) == 16 * 3 * 8 * 10
    assert Upsample(2, mode="bicubic").multiply_adds((1, 2**28, 1)) == 16 * 2**29 * 2  # counted, not listed


def test_cubic_means_by_hand():
    """Halfway between two of four places they count 19/32 each, those beside them -3/32."""
    x = np.array([[[[1.0, 2.0, 4.0, 8.0]]]])
    middle = Upsample(size=(1, 1), mode="bicubic").forward(x)
    assert middle.item() == pytest.approx((19 * (2 + 4) - 3 * (1 + 8)) / 32, abs=1e-15)
    inside = Upsample(size=(1, 8), mode="bicubic", coordinates="asymmetric", exclude_outside=True).forward(x)
    assert inside[0, 0, 0, 1] == pytest.approx((19 * (1 + 2) - 3 * 4) / 35, abs=1e-15)


def test_antialias_is_a_mean_of_all_pixels():
    """1 - |t| four times as wide: the weights are 1 3 5 7 7 5 3 1, those outside left out or at the edge."""
    x = np.arange(16.0).reshape(1, 1, 1, 16) ** 2
    found = Upsample(size=(1, 4), mode="bilinear", antialias=True).forward(x)[0, 0, 0]
    weights = np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 32
    assert found[1] == pytest.approx(weights @ x[0, 0, 0, 2:10], abs=1e-12)
    without = Upsample(size=(1, 4), mode="bilinear", antialias=True, exclude_outside=True).forward(x)[0, 0, 0]
    assert without[0] == pytest.approx(weights[2:] @ x[0, 0, 0, :6] * 32 / 28, abs=1e-12)


@pytest.mark.parametrize("how", [{"mode": "bicubic"}, {"mode": "bilinear", "antialias": True}], ids=str)
def test_gradients_of_means(how):
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 4))
    assert minidl.gradcheck(Upsample((0.6, 1.7), **how), x).passed


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "neither": (lambda: Upsample(), ValueError, "Upsample: there must be a scale or a size, got scale None and size"),
    "both": (lambda: Upsample(2, 3), ValueError, "Upsample: there must be a scale or a size"),
    "scale 0": (lambda: Upsample(0), ValueError, "Upsample: scale must be between 0 and 1e6, got 0"),
    "scale text": (lambda: Upsample("2"), TypeError, "Upsample: scale must be a number, got '2'"),  # type: ignore[arg-type]
    "three scales": (lambda: Upsample((1, 2, 3)), ValueError, r"Upsample: scale must be a number or an \(h, w\)"),  # type: ignore[arg-type]
    "size 0": (lambda: Upsample(size=0), ValueError, "Upsample: size must be at least 1, got 0"),
    "mode": (
        lambda: Upsample(2, mode="cubic"),
        ValueError,
        "mode must be one of 'nearest', 'bilinear', 'bicubic'",
    ),
    "coordinates": (lambda: Upsample(2, coordinates="corners"), ValueError, "coordinates must be one of 'asymmetric'"),
    "antialias": (
        lambda: Upsample(0.5, antialias=True),
        ValueError,
        "antialias needs the mode 'bilinear' or 'bicubic'",
    ),
    "cubic": (lambda: Upsample(2, mode="bicubic", cubic=11), ValueError, "cubic must be a coefficient between"),
    "rounding": (lambda: Upsample(2, rounding="up"), ValueError, "rounding must be one of 'round_prefer_floor'"),
    "rank": (lambda: Upsample(2).output_shape((3,)), ValueError, "Upsample: input must have 4 dimensions"),
    "nothing left": (
        lambda: Upsample(0.1).output_shape((3, 5, 20)),
        ValueError,
        "must leave something of 5 x 20",
    ),
    "too large": (lambda: Upsample(1e5).output_shape((3, 500, 20)), ValueError, "Upsample: shape .* is too large"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_and_input(case: str) -> None:
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        make()
