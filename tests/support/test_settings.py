"""Settings: what a constructor got is known again, written as the call, and makes an equal object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.optim import SGD, Adam, AdamW, Lookahead, Muon, RMSProp
from minidl.optim.schedules import Constant, Cosine, Exponential, OneCycle, Step, WarmUp
from minidl.optim.weight_average import WeightAverage
from minidl.support.held import held, put, swapped
from minidl.support.settings import Settings, arguments, make

LAYERS = {
    "Conv2D(1, 8, 3, padding=1)": lambda: minidl.Conv2D(1, 8, 3, padding=1),
    "Conv2D(4, 8, (3, 5), stride=(2, 1), dilation=2, groups=2, bias=False)": lambda: minidl.Conv2D(
        4, 8, (3, 5), (2, 1), 0, 2, 2, False
    ),
    "Conv2D(1, 2, 3, init='orthogonal')": lambda: minidl.Conv2D(1, 2, 3, init="orthogonal", rng=1),
    "Linear(3, 4, init=0.5)": lambda: minidl.Linear(3, 4, init=0.5),
    "Linear(3, 4)": lambda: minidl.Linear(3, 4, init=lambda shape, rng: np.zeros(shape), name="stem"),
    "MaxPool2D(2)": lambda: minidl.MaxPool2D(2, 2),
    "AvgPool2D(3, stride=2, padding=1)": lambda: minidl.AvgPool2D(3, 2, 1),
    "Conv2D(1, 2, 3, padding=((0, 1), (2, 0)))": lambda: minidl.Conv2D(1, 2, 3, padding=[[0, 1], [2, 0]]),
    "Conv2D(1, 2, 3, padding=(1, 2))": lambda: minidl.Conv2D(1, 2, 3, padding=((1, 1), (2, 2))),
    "Conv2D(1, 2, 3, stride=2, padding='same_lower')": lambda: minidl.Conv2D(1, 2, 3, 2, "same_lower"),
    "ConvTranspose2D(2, 4, 3, stride=2, padding=1, output_padding=(1, 0), groups=2)": lambda: minidl.ConvTranspose2D(
        2, 4, 3, 2, 1, (1, 0), groups=2
    ),
    "MaxPool2D(3, padding='same', dilation=2, ceil_mode=True)": lambda: minidl.MaxPool2D(3, 3, "same", 2, True),
    "AvgPool2D(3, stride=2, padding=((0, 1), (0, 0)), count_include_pad=False)": lambda: minidl.AvgPool2D(
        3, 2, ((0, 1), (0, 0)), count_include_pad=False
    ),
    "AdaptiveAvgPool2D(7)": lambda: minidl.AdaptiveAvgPool2D((7, 7)),
    "GlobalMaxPool2D()": minidl.GlobalMaxPool2D,
    "InstanceNorm2D(4, affine=True)": lambda: minidl.InstanceNorm2D(4, affine=True),
    "LocalResponseNorm(5, k=2)": lambda: minidl.LocalResponseNorm(5, k=2.0),
    "GlobalAvgPool2D()": minidl.GlobalAvgPool2D,
    "Relu()": minidl.Relu,
    "Sigmoid()": minidl.Sigmoid,
    "Tanh()": minidl.Tanh,
    "Gelu()": minidl.Gelu,
    "Softplus()": minidl.Softplus,
    "LeakyRelu()": minidl.LeakyRelu,
    "LeakyRelu(0.2)": lambda: minidl.LeakyRelu(0.2),
    "Elu(2)": lambda: minidl.Elu(2.0),
    "BatchNorm2D(4, eps=0.001, momentum=0.5)": lambda: minidl.BatchNorm2D(4, 0.001, 0.5),
    "BatchNorm1D(4)": lambda: minidl.BatchNorm1D(4),
    "GroupNorm(2, 4, eps=0.001)": lambda: minidl.GroupNorm(2, 4, 0.001),
    "LayerNorm(5)": lambda: minidl.LayerNorm(5),
    "LayerNorm((4, 4))": lambda: minidl.LayerNorm((4, 4)),
    "Gelu('tanh')": lambda: minidl.Gelu("tanh"),
    "Relu6()": minidl.Relu6,
    "Clip(-1, high=2)": lambda: minidl.Clip(-1, 2),
    "Clip()": minidl.Clip,
    "Silu()": minidl.Silu,
    "HardSigmoid()": minidl.HardSigmoid,
    "HardSigmoid(0.2)": lambda: minidl.HardSigmoid(0.2),
    "HardSwish()": minidl.HardSwish,
    "Selu()": minidl.Selu,
    "Mish()": minidl.Mish,
    "Elementwise('pow', a=2)": lambda: minidl.Elementwise("pow", 2),
    "Elementwise('exp')": lambda: minidl.Elementwise("exp"),
    "Affine(3, shift=False)": lambda: minidl.Affine(3, shift=False),
    "PRelu(3, slope=0.5)": lambda: minidl.PRelu(3, 0.5),
    "PRelu()": minidl.PRelu,
    "Mul()": minidl.Mul,
    "Sub()": minidl.Sub,
    "Div()": minidl.Div,
    "MatMul()": minidl.MatMul,
    "Arithmetic('-', 2, reverse=True)": lambda: minidl.Arithmetic("-", 2, True),
    "Arithmetic('*', [[[1.0]], [[2.0]]])": lambda: minidl.Arithmetic("*", np.array([[[1]], [[2]]])),
    "Softmax()": minidl.Softmax,
    "Softmax((2, 3))": lambda: minidl.Softmax((2, 3)),
    "LogSoftmax(-1)": lambda: minidl.LogSoftmax(-1),
    "Mean((2, 3))": lambda: minidl.Mean((2, 3)),
    "Sum(1, keepdims=True)": lambda: minidl.Sum(1, True),
    "Max(1)": lambda: minidl.Max(1),
    "Dropout(0.5)": minidl.Dropout,
    "Dropout(0.25)": lambda: minidl.Dropout(0.25, rng=3),
    "Flatten()": minidl.Flatten,
    "Reshape((2, 3, 4))": lambda: minidl.Reshape((2, 3, 4)),
    "Reshape(-1)": lambda: minidl.Reshape(-1),
    "Reshape((4, -1))": lambda: minidl.Reshape((4, -1)),
    "Slice(2, stop=5)": lambda: minidl.Slice(2, 5),
    "Slice(stop=(-1, None), step=2, axis=(2, 3))": lambda: minidl.Slice(None, (-1, None), 2, [2, 3]),
    "Pad2D(1)": lambda: minidl.Pad2D((1, 1)),
    "Pad2D((1, 2), mode='reflect')": lambda: minidl.Pad2D((1, 2, 1, 2), "reflect"),
    "Pad2D((0, 1, 2, -3), value=0.5)": lambda: minidl.Pad2D([0, 1, 2, -3], value=0.5),
    "Transpose((0, 2, 3, 1))": lambda: minidl.Transpose([0, 2, 3, 1]),
    "PixelShuffle(2)": lambda: minidl.PixelShuffle(2),
    "PixelUnshuffle(3, order='dcr')": lambda: minidl.PixelUnshuffle(3, "dcr"),
    "Concat()": minidl.Concat,
    "Concat(2)": lambda: minidl.Concat(2),
    "Split(2)": lambda: minidl.Split(2),
    "Split((1, 2), axis=3)": lambda: minidl.Split([1, 2], 3),
    "ChannelShuffle(4)": lambda: minidl.ChannelShuffle(4),
    "Upsample(2)": lambda: minidl.Upsample((2.0, 2)),
    "Upsample((2.0, 1.5), mode='bilinear', coordinates='align_corners')": lambda: minidl.Upsample(
        [2, 1.5], None, "bilinear", "align_corners"
    ),
    "Upsample(size=(3, 4), rounding='ceil')": lambda: minidl.Upsample(size=(3, 4), rounding="ceil"),
    "Sequential()": minidl.Sequential,
    "Sequential(Relu(), Residual(Relu(), Tanh()))": lambda: minidl.Sequential(
        minidl.Relu(), minidl.Residual(minidl.Relu(), minidl.Tanh())
    ),
    "Residual(Linear(2, 2), identity=True)": lambda: minidl.Residual(minidl.Linear(2, 2), identity=True),
    "Model(Flatten(), Linear(4, 2))": lambda: minidl.Model(minidl.Flatten(), minidl.Linear(4, 2)),
    "Model(Flatten(), dtype='float64', mean=0.5, std=[0.1, 0.2])": lambda: minidl.Model(
        minidl.Flatten(), dtype=np.float64, mean=0.5, std=(0.1, 0.2)
    ),
    "PrimaryCapsules(4)": lambda: minidl.PrimaryCapsules(4),
    "Capsules(3, 4, 2, 5, routings=2)": lambda: minidl.Capsules(3, 4, 2, 5, 2),
    "CapsuleLength()": minidl.CapsuleLength,
    "CapsuleNetwork(PrimaryCapsules(4), Capsules(2, 4, 3, 2), decoder=Sequential(Linear(6, 8)))": lambda: (
        minidl.CapsuleNetwork(
            minidl.PrimaryCapsules(4),
            minidl.Capsules(2, 4, 3, 2),
            decoder=minidl.Sequential(minidl.Linear(6, 8)),
        )
    ),
}
OTHERS = {
    "SoftmaxCrossEntropyLoss()": minidl.SoftmaxCrossEntropyLoss,
    "SoftmaxCrossEntropyLoss(0.1)": lambda: minidl.SoftmaxCrossEntropyLoss(0.1),
    "MSELoss()": minidl.MSELoss,
    "MarginLoss(0.8, weight=0.3)": lambda: minidl.MarginLoss(0.8, weight=0.3),
    "MultiLoss([MSELoss(), L1Loss()], weights=(1.0, 0.5))": lambda: minidl.MultiLoss(
        [minidl.MSELoss(), minidl.L1Loss()], [1, 0.5]
    ),
    "SGD(0.01)": SGD,
    "SGD(0.1, momentum=0.9, nesterov=True, groups={'*.bias': {'lr': 2.0}})": lambda: SGD(
        0.1, 0.9, nesterov=True, groups={"*.bias": {"lr": 2}}
    ),
    "RMSProp(0.001, decay_all=False)": lambda: RMSProp(decay_all=False),
    "Adam(0.002, clip_norm=1)": lambda: Adam(0.002, clip_norm=1.0),
    "AdamW(Cosine(lr=0.1, end=0.0), weight_decay=0.05)": lambda: AdamW(Cosine(0.1), weight_decay=0.05),
    "Lookahead(SGD(0.1), every=3)": lambda: Lookahead(SGD(0.1), 3),
    "Muon(SGD(0.1), ('0.weight',), lr=0.02, steps=3)": lambda: Muon(SGD(0.1), ["0.weight"], steps=3),
    "WeightAverage(0.9, every=2)": lambda: WeightAverage(0.9, 2),
    "Constant(lr=0.1)": lambda: Constant(0.1),
    "Step(lr=0.1, every=3, factor=0.1)": lambda: Step(0.1, 3),
    "Exponential(lr=0.1, decay=0.9)": lambda: Exponential(0.1, 0.9),
    "OneCycle(lr=0.1, warmup=0.2, start=0.04, end=4e-06)": lambda: OneCycle(0.1, 0.2),
    "WarmUp(schedule=Constant(lr=0.1), epochs=2, start=0.1)": lambda: WarmUp(Constant(0.1), 2),
}


@pytest.mark.parametrize(("text", "construct"), (LAYERS | OTHERS).items(), ids=LAYERS | OTHERS)
def test_repr_is_the_call_and_settings_make_an_equal_object(text: str, construct: Any) -> None:
    thing = construct()
    assert repr(thing) == text
    settings = thing.settings()
    again = make(type(thing), settings)
    assert type(again) is type(thing)
    assert repr(again) == text
    told = again.settings()
    for key, value in settings.items():
        assert isinstance(value, (minidl.Layer, Settings)) or told[key] == value


def test_values_and_order() -> None:
    assert minidl.Conv2D(1, 2, 3, padding=(1, 0), bias=False, rng=0).settings() == {
        "in_channels": 1,
        "out_channels": 2,
        "kernel_size": (3, 3),
        "stride": (1, 1),
        "padding": (1, 0),
        "dilation": (1, 1),
        "groups": 1,
        "bias": False,
        "init": "he_normal",
        "name": None,
    }
    assert list(minidl.Linear(3, 4, init=lambda shape, rng: np.zeros(shape), name="a").settings().items()) == [
        ("in_features", 3),
        ("out_features", 4),
        ("bias", True),
        ("name", "a"),
    ]
    relu = minidl.Relu()
    assert minidl.Sequential(relu).settings() == {"layers": (relu,), "name": None}
    optimizer = SGD(Constant(0.5), 0.9)
    optimizer.weight_decay = 0.1  # today's value, not the first one
    assert optimizer.settings() == {
        "lr": Constant(0.5),
        "momentum": 0.9,
        "weight_decay": 0.1,
        "nesterov": False,
        "decay_all": True,
        "clip_norm": None,
        "groups": None,
    }
    assert minidl.MaxPool2D(2).settings()["stride"] is None
    assert minidl.Model(mean=(0.1, 0.2)).settings()["mean"] == [0.1, 0.2]
    assert arguments(minidl.Dropout)["rate"].default == 0.5


class Own(minidl.Layer):
    """A layer that knows nothing of settings."""

    def __init__(self, width: int, scale: Any = 1, *rest: Any, **more: Any) -> None:
        super().__init__()
        self.scale = minidl.Parameter(np.ones(2, np.float32), "scale")


class Net(minidl.Model):
    def __init__(self, classes: int) -> None:
        self.classes = classes
        super().__init__(minidl.Linear(3, classes))


def test_own_classes_are_written_as_far_as_they_are_known() -> None:
    assert repr(Own(3)) == "Own(...)"
    assert Own(3).settings() == {}
    assert repr(Net(4)) == "Net(4)"
    assert repr(minidl.Sequential(Own(1), Net(2))) == "Sequential(Own(...), Net(2))"

    class Bare(minidl.Relu):
        def describe(self) -> str:
            return "by hand"

    assert repr(Bare()) == "Bare(by hand)"


def test_a_container_that_stands_in_itself_is_written_once() -> None:
    loop = minidl.Sequential(minidl.Relu())
    loop.layers.append(loop)
    assert repr(loop) == "Sequential(Relu(), ...)"
    inner = minidl.Sequential(minidl.Tanh())
    outer = minidl.Residual(minidl.Sequential(inner))
    inner.layers.append(outer)
    assert repr(outer) == "Residual(Sequential(Sequential(Tanh(), ...)))"
    assert repr(inner) == "Sequential(Tanh(), Residual(Sequential(...)))"


def test_held_looks_once_into_a_list_that_stands_in_itself() -> None:
    a, b = object.__new__(Own), object.__new__(Own)
    log: list[Any] = [a]
    log.append({"all": log, "other": (b, log)})
    attributes = {"log": log}
    assert held(attributes, Own) == [(("log", 0), a), (("log", 1, "other", 0), b)]
    assert swapped(log, {id(a): b})[0] is b
    assert swapped(log, {3: b}) is log


def test_held_finds_things_in_lists_tuples_and_dicts() -> None:
    a, b, c, d = object.__new__(Own), object.__new__(Own), object.__new__(Own), object.__new__(Own)
    attributes = {"first": a, "many": [None, (b, [c])], "again": b, "by_name": {"x": d, 3: a}, "sizes": (1, 2), "n": 3}
    found = held(attributes, Own)
    assert [keys for keys, _ in found] == [("first",), ("many", 1, 0), ("many", 1, 1, 0), ("by_name", "x")]
    assert [thing for _, thing in found] == [a, b, c, d]
    put(attributes, ("many", 1, 1, 0), d)
    put(attributes, ("by_name", "x"), c)
    assert attributes["many"] == [None, (b, [d])]
    assert attributes["by_name"] == {"x": c, 3: a}
