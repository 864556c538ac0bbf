"""Flatten and Reshape: order, shapes, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import Flatten, Reshape, Sequential

X = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_flatten(self) -> None:
        layer = Flatten()
        y = layer.forward(X)
        np.testing.assert_array_equal(y, X.reshape(2, 12))
        np.testing.assert_array_equal(layer.backward(2 * y), 2 * X)

    def test_flatten_keeps_rows(self) -> None:
        np.testing.assert_array_equal(Flatten().forward(X.reshape(2, 12)), X.reshape(2, 12))

    @pytest.mark.parametrize(
        ("shape", "expected"),
        [((3, 2, 2),) * 2, ((4, -1, 3), (4, 1, 3)), (12, (12,)), (-1, (12,)), ([12], (12,)), ((4, -1), (4, 3))],
    )
    def test_reshape(self, shape: Any, expected: tuple[int, ...]) -> None:
        layer = Reshape(shape)
        assert layer.output_shape(X.shape[1:]) == expected
        y = layer.forward(X)
        np.testing.assert_array_equal(y, X.reshape(2, *expected))
        np.testing.assert_array_equal(layer.backward(y), X)

    def test_ranks_follow_each_other(self) -> None:
        layer = Sequential(Reshape((4, 3)), Reshape((3, -1, 2)), Reshape((-1, 6)), Flatten())
        y = layer.forward(X)
        np.testing.assert_array_equal(y, X.reshape(2, 12))
        np.testing.assert_array_equal(layer.backward(y), X)

    def test_batches_and_images_may_change_size(self) -> None:
        layer = Flatten()
        for x in (X, X[:1], X[:, :1], X[:, :, :, :1]):
            np.testing.assert_array_equal(layer.forward(x), x.reshape(len(x), -1))
            np.testing.assert_array_equal(layer.backward(x.reshape(len(x), -1)), x)


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((2, 3, 2, 1), ValueError, r"Reshape: shape must be \(F,\) or \(C, H, W\).* got \(2, 3, 2, 1\)"),
        ((), ValueError, r"Reshape: shape must be \(F,\) or \(C, H, W\)"),
        ((2, 0, 3), ValueError, "Reshape: shape must be .* got"),
        ((-1, -1, 3), ValueError, "Reshape: shape must be .* at most one of them -1"),
        (-2, ValueError, "Reshape: shape must be at least -1, got -2"),
        ((2, 3.0, 1), TypeError, "Reshape: shape must be an int, got 3.0"),
    ],
)
def test_bad_arguments(shape: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Reshape(shape)


@pytest.mark.parametrize("shape", [(5,), (5, -1, 1), (2, 2, 2)])
def test_bad_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Reshape: an image of shape \(2, 3, 2\) has 12 elements, which do not fit"):
        Reshape(shape).forward(X)
