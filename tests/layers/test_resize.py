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


def test_multiply_adds() -> None:
    assert Upsample(2).multiply_adds((3, 4, 5)) == 0
    assert Upsample(2, mode="bilinear").multiply_adds((3, 4, 5)) == 4 * 3 * 8 * 10


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
