"""Slice, Pad2D, Transpose, the shuffles: values by numpy, messages, few images in a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers import ChannelShuffle, Layer, Pad2D, PixelShuffle, PixelUnshuffle, Slice, Transpose

X = np.arange(2 * 4 * 3 * 5, dtype=np.float32).reshape(2, 4, 3, 5) / 128

VALUES: dict[str, tuple[Callable[[], Layer], np.ndarray]] = {
    "one axis": (lambda: Slice(1, 3), X[:, 1:3]),
    "from the end": (lambda: Slice(-2, axis=3), X[..., -2:]),
    "beyond the end": (lambda: Slice(1, 99, axis=2), X[:, :, 1:99]),
    "backwards": (lambda: Slice(None, None, -1, (1, 2)), X[:, ::-1, ::-1]),
    "all three": (lambda: Slice((0, 1, 4), (3, None, 0), (2, 1, -2), (1, 2, 3)), X[:, 0:3:2, 1:, 4:0:-2]),
    "zeros": (lambda: Pad2D(1), np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))),
    "sides": (lambda: Pad2D((0, 1, 2, 3), value=7), np.pad(X, ((0, 0), (0, 0), (0, 2), (1, 3)), constant_values=7)),
    "cut and pad": (lambda: Pad2D((-1, 2, 0, -1)), np.pad(X[:, :, 1:, :-1], ((0, 0), (0, 0), (0, 0), (2, 0)))),
    "reflect": (lambda: Pad2D((2, 4), "reflect"), np.pad(X, ((0, 0), (0, 0), (2, 2), (4, 4)), "reflect")),
    "cut and reflect": (
        lambda: Pad2D((2, -3, -1, 4), "reflect"),
        np.pad(X, ((0, 0), (0, 0), (2, 0), (0, 4)), "reflect")[:, :, :-1, 3:],
    ),
    "cut and edge": (
        lambda: Pad2D((-2, 3, 3, -4), "edge"),
        np.pad(X, ((0, 0), (0, 0), (0, 3), (3, 0)), "edge")[:, :, 2:, :-4],
    ),
    "edge": (lambda: Pad2D((2, 0), "edge"), np.pad(X, ((0, 0), (0, 0), (2, 2), (0, 0)), "edge")),
    "wrap": (lambda: Pad2D((3, 1), "wrap"), np.pad(X, ((0, 0), (0, 0), (3, 3), (1, 1)), "wrap")),
    "channels last": (lambda: Transpose((0, 2, 3, 1)), X.transpose(0, 2, 3, 1)),
    "as it was": (lambda: Transpose((0, 1, 2, 3)), X),
    "crd": (lambda: PixelShuffle(2), X.reshape(2, 1, 2, 2, 3, 5).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 6, 10)),
    "dcr": (
        lambda: PixelShuffle(2, "dcr"),
        X.reshape(2, 2, 2, 1, 3, 5).transpose(0, 3, 4, 1, 5, 2).reshape(2, 1, 6, 10),
    ),
    "unshuffle": (
        lambda: minidl.Sequential(PixelShuffle(2, "dcr"), PixelUnshuffle(2, "dcr"), PixelUnshuffle(1)),
        X,
    ),
    "groups": (lambda: ChannelShuffle(2), X[:, [0, 2, 1, 3]]),
}


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("case", VALUES)
def test_values(case: str) -> None:
    make, expected = VALUES[case]
    layer = make()
    assert layer.output_shape(X.shape[1:]) == expected.shape[1:]
    model = minidl.Model(layer)
    for n in (1, 2):
        np.testing.assert_array_equal(model.predict(X[:n]), expected[:n])
    np.testing.assert_array_equal(layer.forward(X), expected)
    back = layer.backward(np.ones(expected.shape, np.float32))
    assert back.sum() == (expected.size if case not in ("zeros", "sides", "cut and pad") else inside(case).size)


def inside(case: str) -> np.ndarray:
    """What is left of X."""
    return X[:, :, 1:, :-1] if case == "cut and pad" else X


def test_channels_of_rows_are_shuffled() -> None:
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(ChannelShuffle(2).forward(x), x[:, [0, 3, 1, 4, 2, 5]])
    np.testing.assert_array_equal(ChannelShuffle(3).forward(ChannelShuffle(2).forward(x)), x)


def test_sizes_may_change_from_batch_to_batch() -> None:
    layer = Pad2D(1, "edge")
    for x in (X, X[:1, :, :2], X[:, :1]):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
        np.testing.assert_array_equal(layer.forward(x), padded)
        assert layer.backward(np.ones_like(padded)).sum() == padded.size


SETTINGS: dict[str, tuple[Callable[[], Layer], type[Exception], str]] = {
    "axis 0": (lambda: Slice(1, axis=0), ValueError, "Slice: axis must be at least 1, got 0"),
    "axis twice": (lambda: Slice(1, axis=(2, 2)), ValueError, r"Slice: axis must be an axis or different ones"),
    "starts": (lambda: Slice((1, 2), axis=3), ValueError, r"Slice: start must have one entry for each axis \(3,\)"),
    "step 0": (lambda: Slice(step=0), ValueError, "Slice: step must not be 0"),
    "step None": (lambda: Slice(step=None), TypeError, "Slice: step must be an int, got None"),  # type: ignore[arg-type]
    "start 1.5": (lambda: Slice(1.5), TypeError, "Slice: start must be an int, got 1.5"),  # type: ignore[arg-type]
    "sides": (lambda: Pad2D((1, 2, 3)), ValueError, r"Pad2D: padding must be an int, \(h, w\) or \(top"),  # type: ignore[arg-type]
    "mode": (lambda: Pad2D(1, "zeros"), ValueError, "Pad2D: mode must be one of 'constant', 'reflect'.* got 'zeros'"),
    "value": (lambda: Pad2D(1, value=float("nan")), ValueError, "Pad2D: value must be a finite number, got nan"),
    "order": (lambda: PixelShuffle(2, "CRD"), ValueError, "PixelShuffle: order must be one of 'crd', 'dcr', got 'CRD'"),
    "factor": (lambda: PixelUnshuffle(0), ValueError, "PixelUnshuffle: factor must be at least 1, got 0"),
    "groups": (lambda: ChannelShuffle(0), ValueError, "ChannelShuffle: groups must be at least 1, got 0"),
    "N moves": (lambda: Transpose((1, 0)), ValueError, r"Transpose: axes must be 0, for N, .* got \(1, 0\)"),
    "axes twice": (lambda: Transpose((0, 1, 1)), ValueError, "Transpose: axes must be 0, for N"),
    "five axes": (lambda: Transpose((0, 1, 2, 3, 4)), ValueError, "Transpose: axes must be 0, for N"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_bad_arguments(case: str) -> None:
    make, error, message = SETTINGS[case]
    with pytest.raises(error, match=message):
        make()


INPUTS: dict[str, tuple[Layer, tuple[int, ...], str]] = {
    "nothing left": (Slice(3, 3), (4, 3, 5), "Slice: 3:3:1 must leave something of axis 1, which has 4"),
    "no such axis": (Slice(1, axis=3), (4,), "Slice: axis must be at most 1, the last of 2 dimensions, got 3"),
    "cropped away": (Pad2D((-2, 0)), (4, 3, 5), "Pad2D: padding must leave something of the height 3, got -2 and -2"),
    "cropped beyond": (Pad2D((-3, 0, 5, 0)), (4, 3, 5), "padding must leave something of the height 3, got -3 and 5"),
    "reflect": (Pad2D((3, 0), "reflect"), (4, 3, 5), r'at most 2 for mode "reflect" and the height 3, got 3 and 3'),
    "wrap": (Pad2D((0, 0, 0, 6), "wrap"), (4, 3, 5), r'at most 5 for mode "wrap" and the width 5, got 0 and 6'),
    "rows": (Pad2D(1), (4,), r"Pad2D: input must have 4 dimensions \(N, C, H, W\), got 2"),
    "channels": (PixelShuffle(3), (4, 3, 5), r"PixelShuffle: channels must be divisible by factor\^2 = 9, got 4"),
    "height": (PixelUnshuffle(2), (4, 3, 5), "PixelUnshuffle: height and width must be divisible by factor 2, got 3"),
    "groups": (ChannelShuffle(3), (4, 3, 5), "ChannelShuffle: channels must be divisible by groups 3, got an image"),
    "rank": (Transpose((0, 2, 1)), (4, 3, 5), "Transpose: input must have 3 dimensions, one for each of axes, got 4"),
    "large": (Pad2D(2**30), (4, 3, 5), r"Pad2D: shape .* is too large"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_bad_input(case: str) -> None:
    layer, shape, message = INPUTS[case]
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


def test_backward_needs_forward() -> None:
    with pytest.raises(RuntimeError, match="Slice: call forward before backward"):
        Slice(1).backward(np.ones((2, 3)))


def test_paddings_of_four_sides_as_convolutions_take_them() -> None:
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    y = minidl.Pad2D(((1, 0), (2, -1))).forward(x)
    np.testing.assert_array_equal(y, np.pad(x[..., :-1], ((0, 0), (0, 0), (1, 0), (2, 0))))
    np.testing.assert_array_equal(y, minidl.Pad2D((1, 2, 0, -1)).forward(x))


def test_what_is_seen() -> None:
    shape = (4, 6, 8)
    assert minidl.PixelUnshuffle(2).reach(shape) == ((2, 2), (2, 2))
    assert minidl.PixelShuffle(2).reach(shape) == ((1, 1), (0.5, 0.5))
    assert minidl.Slice(None, None, (2, -3), axis=(2, 3)).reach(shape) == ((1, 1), (2, 3))
    assert minidl.Upsample(2, mode="bilinear").reach(shape) == ((2, 2), (0.5, 0.5))
    assert minidl.AdaptiveAvgPool2D(2).reach(shape) == ((3, 4), (3, 4))
    assert minidl.ConvTranspose2D(4, 2, 4, stride=2).reach(shape) == ((2, 2), (0.5, 0.5))
    assert minidl.ConvTranspose2D(4, 2, 4, stride=(2, 4)).reach(shape) == ((2, 1), (0.5, 0.25))
    assert minidl.MaxPool2D(3, 2, dilation=2).reach(shape) == ((5, 5), (2, 2))


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (minidl.ChannelShuffle(2), "groups", 3),
        (minidl.Transpose((0, 2, 3, 1)), "axes", (0, 1, 3, 2)),
        (minidl.PixelUnshuffle(1), "factor", 2),
    ],
    ids=["ChannelShuffle", "Transpose", "PixelUnshuffle"],
)
def test_a_changed_setting_counts_for_a_known_shape(layer: minidl.Layer, name: str, value: Any) -> None:
    x = np.arange(24.0).reshape(1, 6, 2, 2)
    before = minidl.Sequential(layer).forward(x)
    setattr(layer, name, value)
    fresh = type(layer)(**{**layer.settings(), name: value})
    after = minidl.Sequential(layer).forward(x)
    np.testing.assert_array_equal(after, fresh.forward(x))
    assert not np.array_equal(after, before)
