"""Where the time of a prediction goes: every step once, with the layers that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import kernels, layer_times


def network() -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(),
        minidl.Residual(minidl.Conv2D(4, 4, 1)), minidl.Flatten(), minidl.Linear(144, 3),
    )  # fmt: skip


@pytest.mark.usefixtures("any_backend")
def test_every_layer_has_its_step() -> None:
    x = np.zeros((2, 1, 6, 6), np.uint8)
    found = layer_times(network(), x, repeats=2)
    names = [(place, kind) for step in found for place, kind in zip(step.places, step.kinds, strict=True)]
    assert names == [
        ("0", "Conv2D"),
        ("1", "BatchNorm2D"),
        ("2", "Relu"),
        ("3.body", "Conv2D"),
        ("3", "Add"),
        ("4", "Flatten"),
        ("5", "Linear"),
    ]
    assert [step.shape for step in found][-2:] == [(2, 144), (2, 3)]
    assert all(step.seconds > 0 for step in found)
    merges = kernels.current().fuses
    assert len(found) == (5 if merges else 7)


def test_several_inputs_and_outputs() -> None:
    a, b = minidl.Input((4, 3, 3)), minidl.Input((4, 3, 3))
    halves = minidl.Split(2)(minidl.Sub()(a, b))
    model = minidl.Model(minidl.Graph([a, b], halves))
    found = layer_times(model, [np.ones((2, 4, 3, 3), np.float32)] * 2)
    assert [step.kinds for step in found] == [("Sub",), ("Split",)]
    assert found[1].shape == (2, (2, 3, 3), (2, 3, 3))


def test_nothing_is_forgotten() -> None:
    model, x = network(), np.ones((2, 1, 6, 6), np.float32)
    y = model.forward(x, train=True)
    layer_times(model, x, repeats=1)
    assert model.backward(np.ones_like(y)).shape == x.shape


def test_messages() -> None:
    x = np.ones((2, 1, 6, 6), np.float32)
    with pytest.raises(TypeError, match=r"layer_times: model must be a minidl\.Model, got Conv2D"):
        layer_times(minidl.Conv2D(1, 1, 1), x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layer_times: repeats must be at least 1, got 0"):
        layer_times(network(), x, 0)
    with pytest.raises(ValueError, match=r"layer 0 \(Conv2D\): input must have 1 channels"):
        layer_times(network(), np.ones((2, 3, 6, 6), np.float32))
