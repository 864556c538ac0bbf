"""Every public object can be copied and pickled at any time, and the copy goes on to the same bits."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import optim

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
}
X = np.random.default_rng(1).random((30, 1, 6, 6), np.float32)
Y = np.random.default_rng(2).integers(0, 3, 30)


def network() -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 4, 3, padding=1, rng=0), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1, rng=1), minidl.Tanh())),
        minidl.Dropout(0.2, rng=5), minidl.Flatten(), minidl.Linear(36, 8, rng=2), minidl.Relu(),
        minidl.Linear(8, 3, rng=3),
    )  # fmt: skip


def capsules() -> minidl.CapsuleNetwork:
    return minidl.CapsuleNetwork(
        minidl.Conv2D(1, 4, 3, rng=0), minidl.PrimaryCapsules(4), minidl.Capsules(16, 4, 3, 2, rng=2),
        decoder=minidl.Sequential(minidl.Linear(6, 36, rng=3), minidl.Sigmoid()),
    )  # fmt: skip


def trainer(
    optimizer: Any = None, loss: Any = None, average: Any = None, model: minidl.Model | None = None
) -> minidl.Trainer:
    optimizer = minidl.SGD(0.05, 0.9) if optimizer is None else optimizer
    loss = minidl.SoftmaxCrossEntropyLoss() if loss is None else loss
    return minidl.Trainer(network() if model is None else model, loss, optimizer, average)


def capsule_trainer() -> minidl.Trainer:
    model = capsules()
    return trainer(minidl.Adam(0.01), minidl.CapsuleLoss(model, 0.1), model=model)


def halves() -> minidl.Graph:
    x = minidl.Input((2, 4, 4))
    a, b = minidl.Split((1, 1))(x)
    return minidl.Graph(x, minidl.Concat(2)(b, minidl.Conv2D(1, 1, 1)(a), b))


def graph() -> minidl.Graph:
    x = minidl.Input((2, 4, 4))
    y = minidl.Conv2D(2, 2, 1)(x)
    return minidl.Graph(x, minidl.Add()(y, minidl.Tanh()(y)))


def gated(merge: minidl.Layer, axes: int | tuple[int, ...] = (2, 3)) -> minidl.Graph:
    x = minidl.Input((2, 4, 4))
    return minidl.Graph(x, merge(x, minidl.Sigmoid()(minidl.Mean(axes, True)(x))))


LAYERS: dict[str, tuple[Callable[[], minidl.Layer], tuple[int, ...]]] = {
    "Conv2D": (lambda: minidl.Conv2D(2, 3, 3), (2, 4, 4)),
    "Linear": (lambda: minidl.Linear(4, 3), (4,)),
    "MaxPool2D": (lambda: minidl.MaxPool2D(2), (2, 4, 4)),
    "AvgPool2D": (lambda: minidl.AvgPool2D(2), (2, 4, 4)),
    "AdaptiveAvgPool2D": (lambda: minidl.AdaptiveAvgPool2D((3, 2)), (2, 4, 4)),
    "GlobalMaxPool2D": (minidl.GlobalMaxPool2D, (2, 4, 4)),
    "ConvTranspose2D": (lambda: minidl.ConvTranspose2D(2, 3, 3, 2), (2, 4, 4)),
    "InstanceNorm2D": (lambda: minidl.InstanceNorm2D(2, affine=True), (2, 4, 4)),
    "LocalResponseNorm": (lambda: minidl.LocalResponseNorm(3), (2, 4, 4)),
    "BatchNorm1D": (lambda: minidl.BatchNorm1D(4), (4,)),
    "BatchNorm2D": (lambda: minidl.BatchNorm2D(2), (2, 4, 4)),
    "GroupNorm": (lambda: minidl.GroupNorm(1, 2), (2, 4, 4)),
    "LayerNorm": (lambda: minidl.LayerNorm((2, 4, 4)), (2, 4, 4)),
    "Affine": (lambda: minidl.Affine(2), (2, 4, 4)),
    "Arithmetic": (lambda: minidl.Arithmetic("+", 2), (2, 4, 4)),
    "Clip": (lambda: minidl.Clip(-1, 0.5), (2, 4, 4)),
    "Elementwise": (lambda: minidl.Elementwise("pow", 2), (2, 4, 4)),
    "LogSoftmax": (minidl.LogSoftmax, (4,)),
    "Max": (lambda: minidl.Max(1, True), (2, 4, 4)),
    "Mean": (lambda: minidl.Mean((2, 3)), (2, 4, 4)),
    "PRelu": (lambda: minidl.PRelu(2), (2, 4, 4)),
    "Softmax": (minidl.Softmax, (4,)),
    "Sum": (lambda: minidl.Sum((2, 3)), (2, 4, 4)),
    "Dropout": (lambda: minidl.Dropout(0.5, rng=3), (2, 4, 4)),
    "Reshape": (lambda: minidl.Reshape(-1), (2, 4, 4)),
    "Slice": (lambda: minidl.Slice(1, -1, axis=3), (2, 4, 4)),
    "Pad2D": (lambda: minidl.Pad2D(1, "edge"), (2, 4, 4)),
    "Transpose": (lambda: minidl.Transpose((0, 2, 3, 1)), (2, 4, 4)),
    "PixelShuffle": (lambda: minidl.PixelShuffle(2), (4, 4, 4)),
    "PixelUnshuffle": (lambda: minidl.PixelUnshuffle(2), (2, 4, 4)),
    "ChannelShuffle": (lambda: minidl.ChannelShuffle(2), (4, 4, 4)),
    "Upsample": (lambda: minidl.Upsample(1.5, mode="bilinear"), (2, 4, 4)),
    "Residual": (lambda: minidl.Residual(minidl.Conv2D(2, 2, 1)), (2, 4, 4)),
    "Add": (graph, (2, 4, 4)),
    "Concat": (halves, (2, 4, 4)),
    "Split": (halves, (2, 4, 4)),
    "Graph": (graph, (2, 4, 4)),
    "Mul": (lambda: gated(minidl.Mul()), (2, 4, 4)),
    "Sub": (lambda: gated(minidl.Sub()), (2, 4, 4)),
    "Div": (lambda: gated(minidl.Div()), (2, 4, 4)),
    "MatMul": (lambda: gated(minidl.MatMul(), 1), (2, 4, 4)),
    "Sequential": (lambda: minidl.Sequential(minidl.Conv2D(2, 2, 1), minidl.Relu()), (2, 4, 4)),
    "Model": (network, (1, 6, 6)),
    "CapsuleNetwork": (capsules, (1, 6, 6)),
    "PrimaryCapsules": (lambda: minidl.PrimaryCapsules(2), (2, 4, 4)),
    "Capsules": (lambda: minidl.Capsules(3, 4, 2, 5), (3, 4)),
    "CapsuleLength": (minidl.CapsuleLength, (3, 4)),
}


class OneOfSeveral(minidl.SigmoidCrossEntropyLoss):
    """Takes labels for one-hot rows."""

    def prepare(self, target: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return super().prepare(np.eye(shape[1])[target], shape, dtype)


TRAINERS: dict[str, Callable[[], minidl.Trainer]] = {
    "Trainer": trainer,
    "SGD": lambda: trainer(minidl.SGD(0.05, 0.9, nesterov=True, clip_norm=1.0)),
    "RMSProp": lambda: trainer(minidl.RMSProp(0.01)),
    "Adam": lambda: trainer(minidl.Adam(0.01, groups={"*.bias": {"lr": 2.0}})),
    "AdamW": lambda: trainer(minidl.AdamW(0.01)),
    "Muon": lambda: trainer(minidl.Muon(minidl.SGD(0.05, 0.9), ["7.weight"])),
    "Lookahead": lambda: trainer(minidl.Lookahead(minidl.SGD(0.05, 0.9), 4)),
    "Constant": lambda: trainer(minidl.SGD(minidl.Constant(0.05))),
    "Cosine": lambda: trainer(minidl.SGD(minidl.Cosine(0.05))),
    "Exponential": lambda: trainer(minidl.SGD(minidl.Exponential(0.05, 0.5))),
    "OneCycle": lambda: trainer(minidl.SGD(minidl.OneCycle(0.05))),
    "Step": lambda: trainer(minidl.SGD(minidl.Step(0.05, 1))),
    "WarmUp": lambda: trainer(minidl.SGD(minidl.WarmUp(minidl.Constant(0.05), 1))),
    "WeightAverage": lambda: trainer(average=minidl.WeightAverage(0.8)),
    "SoftmaxCrossEntropyLoss": lambda: trainer(loss=minidl.SoftmaxCrossEntropyLoss(0.1)),
    "SigmoidCrossEntropyLoss": lambda: trainer(loss=OneOfSeveral(2.0)),
    "MSELoss": lambda: trainer(loss=minidl.MSELoss()),
    "L1Loss": lambda: trainer(loss=minidl.L1Loss()),
    "HuberLoss": lambda: trainer(loss=minidl.HuberLoss(0.5)),
    "MarginLoss": lambda: trainer(loss=minidl.MarginLoss()),
    "CapsuleLoss": capsule_trainer,
}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


def arrays(layer: minidl.Layer) -> dict[str, np.ndarray]:
    return {name: p.data for name, p in layer.named_parameters().items()} | layer.buffers()


def step(layer: minidl.Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of plain gradient descent."""
    y = layer.forward(x, train=True)
    dx = layer.backward(y - 1)
    optim.SGD(0.1).step(layer.parameters())
    return y, dx


def public(base: type) -> list[str]:
    """The public classes of a kind."""
    kinds = {name: getattr(minidl, name) for name in minidl.__all__}
    return sorted(name for name, kind in kinds.items() if inspect.isclass(kind) and issubclass(kind, base))


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", [name for name in public(minidl.Layer) if name != "Layer"])
def test_layers(name: str, how: str) -> None:
    make, shape = LAYERS[name] if name in LAYERS else (getattr(minidl, name), (2, 4, 4))
    x = np.random.default_rng(7).standard_normal((5, *shape)).astype(np.float32)
    layer = make()
    step(layer, x)
    layer.forward(x, train=True)  # remembers a batch of the backend
    other = COPIES[how](layer)
    assert repr(other) == repr(layer)
    for _ in range(2):
        for one, two in zip(step(layer, x), step(other, x), strict=True):
            assert one.tobytes() == two.tobytes()
    same(arrays(other), arrays(layer))
    x[:] = 0  # nothing is shared
    before = {key: array.copy() for key, array in arrays(layer).items()}
    for p in other.parameters():
        p.data += 1
    same(arrays(layer), before)


class CopyAt(minidl.Callback):
    """Copies the trainer in the middle of its second epoch, between two steps."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.copied: minidl.Trainer | None = None

    def on_step_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
        if len(history.step_loss) == 5 and self.copied is None:
            self.copied = COPIES[self.how](trainer)


def fit(trained: minidl.Trainer, epochs: int, *callbacks: minidl.Callback) -> None:
    trained.fit((X, Y), epochs=epochs, batch_size=10, seed=0, verbose=False, resume=True, callbacks=callbacks)


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_with_their_losses_optimisers_schedules_and_averages(name: str, how: str) -> None:
    trained = TRAINERS[name]()
    middle = CopyAt(how)
    fit(trained, 4, middle)
    assert middle.copied is not None
    fit(middle.copied, 4, CopyAt(how))
    goes_on = COPIES[how](trained)
    assert_equal(middle.copied, trained)
    for each in (goes_on, trained):
        fit(each, 5, CopyAt(how))
    assert_equal(goes_on, trained)


def assert_equal(other: minidl.Trainer, trained: minidl.Trainer) -> None:
    same(other.model.state(), trained.model.state())
    same(other.optimizer.state(), trained.optimizer.state())
    assert other.history["train_loss"] == trained.history["train_loss"]
    assert trained.history.epochs == other.history.epochs


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("how", COPIES)
def test_each_part_alone(how: str) -> None:
    """A copied loss, optimiser and average, put around a copied model, go on as the old ones do."""
    trained = trainer(minidl.Lookahead(minidl.Adam(0.01), 2), average=minidl.WeightAverage(0.8))
    fit(trained, 1)
    parts = [COPIES[how](part) for part in (trained.model, trained.loss, trained.optimizer, trained.average)]
    assert [repr(part) for part in parts[1:]] == [
        "SoftmaxCrossEntropyLoss()",
        "Lookahead(Adam(0.01), every=2)",
        "WeightAverage(0.8)",
    ]
    with pytest.raises(RuntimeError, match="SoftmaxCrossEntropyLoss: call forward before backward"):
        parts[1].backward()
    with pytest.raises(RuntimeError, match=r"WeightAverage: call train\(model\) before step"):
        parts[3].step()
    other = minidl.Trainer(*parts)
    for each in (trained, other):
        each.fit((X, Y), epochs=2, batch_size=10, seed=3, verbose=False)
    same(other.model.state(), trained.model.state())


@pytest.mark.parametrize("how", COPIES)
def test_callbacks_history_and_the_rest(how: str, tmp_path: Path) -> None:
    things = {
        "Callback": minidl.Callback(),
        "CSVLog": minidl.CSVLog(tmp_path / "a.csv"),
        "Checkpoint": minidl.Checkpoint(tmp_path / "run"),
        "EarlyStopping": minidl.EarlyStopping("train_loss", 3),
        "JSONLinesLog": minidl.JSONLinesLog(tmp_path / "a.jsonl"),
        "KeepBest": minidl.KeepBest("train_loss"),
        "ReduceLROnPlateau": minidl.ReduceLROnPlateau("train_loss"),
        "StopAt": minidl.StopAt("train_loss", 0.0),
        "StopAtAccuracy": minidl.StopAtAccuracy(1.0, "train_accuracy"),
    }
    pytest.importorskip("PIL", reason="FeatureMaps draws with Pillow")
    things["FeatureMaps"] = minidl.FeatureMaps(X[:2], tmp_path / "a.gif")
    trained = trainer()
    fit(trained, 2, *things.values())
    for name, thing in (things | {"History": trained.history}).items():
        other = COPIES[how](thing)
        assert type(other) is type(thing), name
        for key, value in thing.state().items():
            np.testing.assert_array_equal(other.state()[key], value, err_msg=f"{name}: {key}")
    times = minidl.layer_times(trained.model, X[:2], repeats=1)
    assert COPIES[how](times) == times
    parameter = trained.model.parameters()[0]
    np.testing.assert_array_equal(COPIES[how](parameter).data, parameter.data)
    parameters = COPIES[how](trained.model.parameters())
    assert [p.name for p in parameters] == list(trained.model.named_parameters())
    tested = {*things, *TRAINERS, *public(minidl.Layer), "History", "LayerTime", "Parameter", "RangeTest"}
    tested.add("MultiLoss")  # with its model, in model/test_several.py
    assert {name for name in public(object) if name not in tested} <= set(UNTESTED)


UNTESTED = ("Loss",)
"""Base classes."""
