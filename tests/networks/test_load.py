"""Networks out of their files: round trips of every layer, and files that mean harm."""

from __future__ import annotations

import inspect
import io
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import safetensors
from minidl.layers import architecture
from minidl.support import random
from minidl.support.settings import make

pytestmark = pytest.mark.usefixtures("plain_backend")

Made = tuple[Callable[[], minidl.Layer], tuple[int, ...]]


def _halves() -> minidl.Graph:
    x = minidl.Input((2, 4, 4))
    a, b = minidl.Split((1, 1))(x)
    return minidl.Graph(x, minidl.Concat(2)(b, minidl.Conv2D(1, 1, 1)(a), b))


def _graph() -> minidl.Layer:
    x = minidl.Input((2, 4, 4))
    shared = minidl.Conv2D(2, 2, 1, name="shared")
    y = minidl.Add()(minidl.BatchNorm2D(2)(shared(x)), shared(x), x)
    return minidl.Graph(x, minidl.Relu()(y), name="mine")


def _gated(*names: str) -> minidl.Layer:
    """Squeeze-and-excite, by operators."""
    x = minidl.Input((2, 4, 4))
    y = minidl.Sigmoid()(minidl.Conv2D(2, 2, 1)(minidl.Mean((2, 3), True)(x)))
    for name in names:
        y = getattr(minidl, name)()(x, y)
    return minidl.Graph(x, y)


def _squared() -> minidl.Layer:
    """Each map times itself."""
    x = minidl.Input((2, 4, 4))
    return minidl.Graph(x, minidl.MatMul()(x, x))


LAYERS: dict[str, Made] = {
    "Mul": (lambda: _gated("Mul"), (2, 4, 4)),
    "Sub": (lambda: _gated("Sub", "Mul"), (2, 4, 4)),
    "Div": (lambda: _gated("Add", "Div"), (2, 4, 4)),
    "MatMul": (_squared, (2, 4, 4)),
    "Conv2D": (lambda: minidl.Conv2D(2, 4, (3, 1), padding="same", groups=2, bias=False), (2, 4, 4)),
    "Linear": (lambda: minidl.Linear(4, 3, init="orthogonal", name="head"), (4,)),
    "MaxPool2D": (lambda: minidl.MaxPool2D(2, (1, 2), padding=1), (2, 4, 4)),
    "AvgPool2D": (lambda: minidl.AvgPool2D(2, 1, ((0, 1), (1, 0)), True, False), (2, 4, 4)),
    "AdaptiveAvgPool2D": (lambda: minidl.AdaptiveAvgPool2D((3, 2)), (2, 4, 4)),
    "GlobalMaxPool2D": (minidl.GlobalMaxPool2D, (2, 4, 4)),
    "ConvTranspose2D": (lambda: minidl.ConvTranspose2D(2, 4, 3, 2, 1, 1, groups=2, init="orthogonal"), (2, 4, 4)),
    "InstanceNorm2D": (lambda: minidl.InstanceNorm2D(2, affine=True), (2, 4, 4)),
    "LocalResponseNorm": (lambda: minidl.LocalResponseNorm(3), (2, 4, 4)),
    "GlobalAvgPool2D": (minidl.GlobalAvgPool2D, (2, 4, 4)),
    "BatchNorm1D": (lambda: minidl.BatchNorm1D(4, 1e-3), (4,)),
    "BatchNorm2D": (lambda: minidl.BatchNorm2D(2, momentum=0.5), (2, 4, 4)),
    "GroupNorm": (lambda: minidl.GroupNorm(1, 2), (2, 4, 4)),
    "LayerNorm": (lambda: minidl.LayerNorm((2, 4, 4)), (2, 4, 4)),
    "Relu": (minidl.Relu, (4,)),
    "Softplus": (minidl.Softplus, (4,)),
    "Sigmoid": (minidl.Sigmoid, (4,)),
    "Tanh": (minidl.Tanh, (4,)),
    "LeakyRelu": (lambda: minidl.LeakyRelu(0.3), (4,)),
    "Elu": (lambda: minidl.Elu(0.7), (4,)),
    "Gelu": (minidl.Gelu, (4,)),
    "Relu6": (minidl.Relu6, (4,)),
    "Clip": (lambda: minidl.Clip(high=0.5), (4,)),
    "Silu": (minidl.Silu, (4,)),
    "HardSigmoid": (lambda: minidl.HardSigmoid(0.2, 0.4), (4,)),
    "HardSwish": (minidl.HardSwish, (4,)),
    "Selu": (minidl.Selu, (4,)),
    "Mish": (minidl.Mish, (4,)),
    "Elementwise": (lambda: minidl.Elementwise("hard_tanh", -0.5, 0.25), (4,)),
    "Affine": (lambda: minidl.Affine(2), (2, 4, 4)),
    "PRelu": (lambda: minidl.PRelu(2, 0.1), (2, 4, 4)),
    "Arithmetic": (lambda: minidl.Arithmetic("*", np.linspace(0, 1, 32).reshape(2, 4, 4)), (2, 4, 4)),
    "Softmax": (lambda: minidl.Softmax((2, 3)), (2, 4, 4)),
    "LogSoftmax": (minidl.LogSoftmax, (4,)),
    "Mean": (lambda: minidl.Mean((-1, 2), True), (2, 4, 4)),
    "Sum": (lambda: minidl.Sum((2, 3)), (2, 4, 4)),
    "Max": (lambda: minidl.Max(1, True), (2, 4, 4)),
    "Dropout": (lambda: minidl.Dropout(0.25, rng=3), (2, 4, 4)),
    "Flatten": (minidl.Flatten, (2, 4, 4)),
    "Reshape": (lambda: minidl.Reshape((4, -1, 2)), (2, 4, 4)),
    "Slice": (lambda: minidl.Slice((None, 1), (-1, None), (1, 2), (2, 3)), (2, 4, 4)),
    "Pad2D": (lambda: minidl.Pad2D((1, 0, 2, -1), "constant", 0.5), (2, 4, 4)),
    "Transpose": (lambda: minidl.Transpose((0, 3, 1, 2)), (2, 4, 3)),
    "PixelShuffle": (lambda: minidl.PixelShuffle(2, "dcr"), (4, 4, 4)),
    "PixelUnshuffle": (lambda: minidl.PixelUnshuffle(2), (2, 4, 4)),
    "ChannelShuffle": (lambda: minidl.ChannelShuffle(2), (4, 4, 4)),
    "Upsample": (lambda: minidl.Upsample((1.5, 2), mode="bilinear", coordinates="align_corners"), (2, 4, 4)),
    "Residual": (lambda: minidl.Residual(minidl.Conv2D(2, 2, 1), minidl.BatchNorm2D(2), identity=True), (2, 4, 4)),
    "Add": (_graph, (2, 4, 4)),
    "Concat": (_halves, (2, 4, 4)),
    "Split": (_halves, (2, 4, 4)),
    "Graph": (_graph, (2, 4, 4)),
    "Sequential": (lambda: minidl.Sequential(minidl.Sequential(minidl.Conv2D(2, 2, 1)), minidl.Relu()), (2, 4, 4)),
    "Model": (lambda: minidl.Model(minidl.Linear(4, 2, init=lambda shape, rng: np.ones(shape, "f4"))), (4,)),
    "CapsuleNetwork": (
        lambda: minidl.CapsuleNetwork(
            minidl.PrimaryCapsules(2), minidl.Capsules(16, 2, 3, 2, init=0.5), decoder=minidl.Linear(6, 32)
        ),
        (2, 4, 4),
    ),
    "PrimaryCapsules": (lambda: minidl.Sequential(minidl.PrimaryCapsules(2), minidl.CapsuleLength()), (2, 4, 4)),
    "Capsules": (
        lambda: minidl.Sequential(minidl.PrimaryCapsules(2), minidl.Capsules(16, 2, 2, 5), minidl.CapsuleLength()),
        (2, 4, 4),
    ),
    "CapsuleLength": (lambda: minidl.Sequential(minidl.PrimaryCapsules(1), minidl.CapsuleLength()), (2, 4, 4)),
}


def test_every_public_layer_has_an_example() -> None:
    public = {name for name in minidl.__all__ if inspect.isclass(getattr(minidl, name))}
    assert {name for name in public if issubclass(getattr(minidl, name), minidl.Layer)} - {"Layer"} == set(LAYERS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_round_trip_to_the_bit(name: str, dtype: str, tmp_path: Path) -> None:
    build, shape = LAYERS[name]
    layer = build()
    model = layer.astype(dtype) if isinstance(layer, minidl.Model) else minidl.Model(layer, dtype=dtype)
    x = np.random.default_rng(1).standard_normal((5, *shape)).astype(dtype)
    model.forward(x, train=True)  # moves running statistics
    minidl.seed(5)
    model.save(tmp_path / "m")
    other = minidl.load_model(tmp_path / "m")
    drawn = np.random.default_rng(5).random()
    assert random.generator().random() == drawn  # loading draws nothing from the default generator
    assert type(other) is type(model)
    assert repr(other) == repr(model)
    assert other.dtype == dtype
    assert other.state().keys() == model.state().keys()
    for key, array in model.state().items():
        assert array.tobytes() == other.state()[key].tobytes(), key
    assert other.predict(x).tobytes() == model.predict(x).tobytes()
    stream = io.BytesIO()
    other.save(stream)
    assert stream.getvalue() == (tmp_path / "m").read_bytes()


def full(**arguments: Any) -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 2, 3), minidl.BatchNorm2D(2), minidl.Residual(minidl.Sequential(minidl.Conv2D(2, 2, 1))),
        minidl.Dropout(0.1), minidl.Flatten(), minidl.Linear(8, 3), **arguments,
    )  # fmt: skip


def test_what_else_is_kept(tmp_path: Path) -> None:
    model = full(mean=0.25, std=[0.5], class_names=["a", "b", "c"], multi_label=True, name="mine")
    model.layers[1].freeze(statistics=True)
    model.layers[2].freeze()
    model.save(tmp_path / "m")
    other = minidl.load_model(tmp_path / "m")
    assert (other.mean, other.std, other.name) == (0.25, 0.5, "mine")
    assert (other.class_names, other.multi_label) == (("a", "b", "c"), True)
    frozen = {name: parameter.frozen for name, parameter in other.named_parameters().items()}
    assert [name for name in frozen if frozen[name]] == ["1.gamma", "1.beta", "2.body.0.weight", "2.body.0.bias"]
    assert [layer.statistics_frozen for layer in other.layers] == [False, True, False, False, False, False]
    assert str(other.summary((1, 4, 4))) == str(model.summary((1, 4, 4)))


class Scale(minidl.Layer):
    def __init__(self, factor: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = factor

    def compute(self, x: np.ndarray) -> np.ndarray:
        return x * self.factor


class Linear(minidl.Linear):
    """Of minidl's name, but not minidl's."""


class Silent(minidl.Layer):
    def __init__(self, secret: int) -> None:
        super().__init__()


def test_layers_of_ones_own_are_given(tmp_path: Path) -> None:
    model = minidl.Model(Scale(2.5), Linear(3, 2), minidl.Linear(2, 2))
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"'.*m': .* unknown layers Scale, Linear: give those of your own as layers="):
        minidl.load_model(tmp_path / "m")
    other = minidl.load_model(tmp_path / "m", layers={"Scale": Scale, "Linear": Linear})
    assert [type(layer) for layer in other.layers] == [Scale, Linear, minidl.Linear]
    x = np.ones((2, 3), np.float32)
    assert other.predict(x).tobytes() == model.predict(x).tobytes()
    with pytest.raises(TypeError, match="layers must be classes of layers by name, got 'Scale': 3"):
        minidl.load_model(tmp_path / "m", layers={"Scale": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (Silent(3), "layer 0 (Silent): no attribute tells the argument secret"),
        (Scale(np.ones(3)), "layer 0 (Scale): JSON cannot hold factor=array"),  # type: ignore[arg-type]
        (Scale(float("nan")), "layer 0 (Scale): JSON cannot hold factor=nan"),
    ],
)
def test_without_an_architecture_the_error_says_what_to_do(tmp_path: Path, layer: minidl.Layer, why: str) -> None:
    minidl.Model(layer).save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"it has no architecture .* build the model, and use Model\.load") as caught:
        minidl.load_model(tmp_path / "m")
    assert why in str(caught.value)
    safetensors.save(tmp_path / "m", {"0.weight": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match="it has no architecture: build the model"):
        minidl.load_model(tmp_path / "m")


# ---- files that mean harm --------------------------------------------------------------------------------------------


def node(kind: str, /, **settings: Any) -> dict[str, Any]:
    return {"layer": kind, "settings": settings}


def write(path: Path, network: Any, tensors: dict[str, np.ndarray] | None = None, **more: Any) -> Path:
    text = network if isinstance(network, str) else json.dumps({"format": 1, "network": network, **more})
    safetensors.save(path, tensors or {}, {"architecture": text})
    return path


def nested(depth: int) -> str:
    inner = '{"layer":"Relu","settings":{}}'
    head, foot = '{"layer":"Sequential","settings":{"layers":[', "]}}"
    return '{"format":1,"network":' + head * depth + inner + foot * depth + "}"


def doubled(depth: int) -> dict[str, Any]:
    """Graphs in graphs, each of which calls the one inside twice."""
    inner = node("Relu")
    for _ in range(depth):
        wires = [["a", [0], 1], ["a", [1], 1]]
        inner = node("Graph", inputs=[[2]], outputs=[2], layers=[inner], names=["a"], wires=wires, name=None)
    return node("Model", layers=[inner])


HUGE = 2**31 - 1
BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "it is not JSON"),
    "NaN": ('{"format": 1, "network": NaN}', "NaN is not JSON"),
    "a list": ("[]", "must be a JSON object with a network"),
    "no network": ('{"format": 1}', "must be a JSON object with a network"),
    "another format": ('{"format": 2, "network": 1}', "its format must be 1, got 2"),
    "a number": (3, "its network must be a layer, got 3"),
    "no settings": ({"layer": "Relu"}, "a layer must have a name and settings"),
    "a name of no text": ({"layer": ["Relu"], "settings": {}}, "a layer must have a name and settings"),
    "more keys": ({"layer": "Relu", "settings": {}, "x": 1}, "a layer must have a name and settings"),
    "unknown": (node("Model", layers=[node("os.system"), node("eval"), node("Parameter"), node("Layer")]),
                r"unknown layers os\.system \(minidl's\), eval .*, Parameter .*, Layer"),
    "private": (node("_Reshape"), "unknown layers _Reshape"),
    "no model": (node("Relu"), "must be that of a Model, got Relu"),
    "unknown setting": (node("Model", layers=[node("Relu", slope=1)]), "Relu cannot be made"),
    "missing setting": (node("Model", layers=[node("Conv2D", in_channels=1)]), "Conv2D cannot be made"),
    "wrong kind": (node("Model", layers=[node("Linear", in_features="3", out_features=2)]), "Linear cannot be made"),
    "negative": (node("Model", layers=[node("Linear", in_features=-3, out_features=2)]), "Linear cannot be made"),
    "no layers": (node("Model", layers=[3]), "Model cannot be made"),
    "layers a text": (node("Model", layers="abc"), "Model cannot be made"),
    "layers a number": (node("Model", layers=7), "Model cannot be made"),
    "a name of a number": (node("Model", layers=[node("Relu", name=7)]), "name must be a short text, got 7"),
    "dtype": (node("Model", layers=[], dtype="object"), "Model cannot be made"),
    "init": (node("Model", layers=[node("Linear", in_features=3, out_features=2, init="no")]), "init must be one of"),
    "an infinite factor": (node("Model", layers=[node("Elu", alpha=10**400)]), "Elu cannot be made"),
    "huge linear": (node("Model", layers=[node("Linear", in_features=50_000, out_features=50_000)]), "is larger than"),
    "huge convolution": (node("Model", layers=[node("Conv2D", in_channels=HUGE, out_channels=1, kernel_size=99)]),
                         "is larger than"),
    "huge norm": (node("Model", layers=[node("BatchNorm2D", channels=HUGE)]), "is larger than"),
    "huge group norm": (node("Model", layers=[node("GroupNorm", groups=1, channels=HUGE)]), "is larger than"),
    "huge layer norm": (node("Model", layers=[node("LayerNorm", shape=[HUGE])]), "is larger than"),
    "huge capsules": (node("Model", layers=[node("Capsules", in_capsules=HUGE, in_dim=9, capsules=9, dim=9)]),
                      "is larger than"),
    "many together": (node("Model", layers=[node("Linear", in_features=1000, out_features=900)] * 9), "is larger than"),
    "too many": (node("Model", layers=[node("Relu")] * 10_000), "at most 10000 layers"),
    "too deep": (nested(200), "at most 64 layers"),
    "deeper by one": (nested(architecture.MAX_DEPTH + 1), "at most 64 layers"),
    "far too deep": (nested(200_000), "it must have at most|it is not JSON|at most 64"),
    "doubled sixty times": (doubled(60), "at most 10000 layers"),
    "parts without end": (node("Model", layers=[node("Split", sections=HUGE)]), "at most 1000 parts"),
    "too long": ('{"format":1,"network":"' + "a" * 9_000_000 + '"}', "it must have at most 8000000 characters"),
    "no weights": (node("Model", layers=[node("Linear", in_features=3, out_features=2)]), "missing 0.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_means_harm_is_refused_by_name(case: str, tmp_path: Path) -> None:
    network, message = BAD[case]
    path = write(tmp_path / "bad", network)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            minidl.load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"load_model: {str(path)!r}: ")
    assert len(str(caught.value)) < 1000
    assert peak < 100e6
    assert time.process_time() - start < 60


@pytest.mark.parametrize("key", ["frozen", "frozen_statistics"])
@pytest.mark.parametrize("names", ["0.weight", ["9.weight"], [3], {"a": 1}])
def test_frozen_things_must_be_there(key: str, names: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "bad", node("Model", layers=[node("Relu")]), **{key: names})
    with pytest.raises(ValueError, match=f"{key} must be names of the network's"):
        minidl.load_model(path)


def test_the_deepest_network_that_is_told_is_read() -> None:
    layer: minidl.Layer = minidl.Relu()
    for _ in range(architecture.MAX_DEPTH - 1):
        layer = minidl.Sequential(layer)
    stream = io.BytesIO()
    minidl.Model(layer).save(stream)
    stream.seek(0)
    assert len(repr(minidl.load_model(stream))) > 64 * 10
    assert "no architecture" in minidl.Model(minidl.Sequential(layer)).metadata()


def test_the_settings_alone_make_an_equal_layer() -> None:
    model = full(class_names=["a", "b", "c"])
    assert repr(make(minidl.Model, model.settings())) == repr(model)
