"""Blocks of neighbours: what merges, and that the results are those of the plain layers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import reference
from minidl.layers import (
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    MaxPool2D,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
)
from minidl.layers.fused import Block
from minidl.layers.plan import Plan


def shape_of(*layers: Layer) -> list[str]:
    nodes = Plan(Sequential(*layers), fusing("reference", True), 1).nodes
    parts = [node.layers if isinstance(node, Block) else [node] for node in nodes]
    return ["+".join(type(layer).__name__ for layer in part) for part in parts]


class TestPlan:
    @pytest.mark.parametrize("pool", [MaxPool2D(2), AvgPool2D((2, 3), 1)])
    def test_images(self, pool: Layer) -> None:
        kind = type(pool).__name__
        for head in (Conv2D(1, 2, 3), BatchNorm2D(2)):
            first = type(head).__name__
            assert shape_of(head, Relu(), pool) == [f"{first}+Relu+{kind}"]
            assert shape_of(head, pool, Relu()) == [f"{first}+{kind}", "Relu"]
            assert shape_of(head, Relu(), Relu()) == [f"{first}+Relu", "Relu"]
            assert shape_of(head, Sigmoid(), pool) == [first, "Sigmoid", kind]
            assert shape_of(head, Relu(), GlobalAvgPool2D()) == [f"{first}+Relu", "GlobalAvgPool2D"]
            assert shape_of(head) == [first]
        assert shape_of(Conv2D(1, 2, 3), BatchNorm2D(2), Relu(), pool) == ["Conv2D", f"BatchNorm2D+Relu+{kind}"]

    def test_rows(self) -> None:
        assert shape_of(Linear(2, 3), Relu(), Linear(3, 1)) == ["Linear+Relu", "Linear"]
        assert shape_of(Linear(2, 3), BatchNorm1D(3), Relu(), Dropout(0.5)) == ["Linear", "BatchNorm1D+Relu", "Dropout"]
        # no pooling can follow rows: the layers stay apart and the pooling itself refuses its input
        assert shape_of(BatchNorm1D(3), MaxPool2D(2)) == ["BatchNorm1D", "MaxPool2D"]
        assert shape_of(Linear(3, 3), Relu(), AvgPool2D(2)) == ["Linear+Relu", "AvgPool2D"]

    def test_other_layers_stay(self) -> None:
        assert shape_of(Relu(), MaxPool2D(2), Flatten()) == ["Relu", "MaxPool2D", "Flatten"]
        assert shape_of() == []

    def test_containers_are_looked_into(self) -> None:
        assert shape_of(Sequential(Conv2D(1, 1, 1)), Relu()) == ["Conv2D+Relu"]
        body = Sequential(Conv2D(1, 1, 1), BatchNorm2D(1))
        assert shape_of(Relu(), Residual(body), Relu()) == ["Relu", "Conv2D", "BatchNorm2D", "Add+Relu"]

    def test_containers_with_a_way_of_their_own_stay(self) -> None:
        class Twice(Sequential):
            def _forward(self, x: Any, train: bool) -> Any:
                return super()._forward(super()._forward(x, train), train)

        assert shape_of(Twice(Conv2D(1, 1, 1)), Relu()) == ["Twice", "Relu"]

    def test_subclasses_stay(self) -> None:
        class Leaky(Relu):
            pass

        class Special(Conv2D):
            pass

        assert shape_of(Conv2D(1, 1, 1), Leaky()) == ["Conv2D", "Leaky"]
        assert shape_of(Special(1, 1, 1), Relu()) == ["Special", "Relu"]


def fusing(name: str, fuses: bool) -> ModuleType:
    """The backend `name` that says whether it fuses."""
    with kernels.use(name) as backend:
        twin = ModuleType(name)
        twin.__dict__.update(vars(backend), fuses=fuses)
    return twin


def network() -> Sequential:
    return Sequential(
        Conv2D(2, 4, 3, padding=1, rng=0),
        Relu(),
        MaxPool2D(3, stride=2, padding=1),
        BatchNorm2D(4),
        Relu(),
        AvgPool2D(2, stride=1),
        Residual(Sequential(Conv2D(4, 4, 3, padding=1, groups=2, bias=False, rng=1), BatchNorm2D(4), Relu())),
        Conv2D(4, 3, 1, rng=2),
        AvgPool2D((1, 2)),
        Flatten(),
        Linear(9, 8, rng=3),
        BatchNorm1D(8),
        Relu(),
        Linear(8, 5, rng=4),
        Relu(),
        Linear(5, 2, rng=5),
    )


@pytest.mark.parametrize("name", kernels.available())
@pytest.mark.parametrize("train", [True, False], ids=["train", "inference"])
@pytest.mark.parametrize("n", [1, 5, 17])
def test_fused_equals_plain(
    name: str, train: bool, n: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.standard_normal((n, 2, 7, 8))
    dy = rng.standard_normal((n, 2))
    results = []
    for fuses in (False, True):
        backend = fusing(name, fuses)
        monkeypatch.setattr(kernels, "current", lambda backend=backend: backend)
        net = network().astype("float64")
        for parameter in net.parameters():
            parameter.data += 0.1
        assert len(net.plan()) == (11 if fuses else 19)  # four of them the residual's
        y = net.forward(x, train)
        arrays = {"y": y, "dx": net.backward(dy), **net.buffers(), **{p.name: p.grad for p in net.parameters()}}
        # forgets without dx, too
        net.need_dx = False
        assert net._backward(backend.enter(dy)) is None
        arrays |= {f"{p.name} again": p.grad.copy() for p in net.parameters()}
        net.release()
        with pytest.raises(RuntimeError, match="call forward before backward"):
            net.backward(dy)
        results.append(arrays)
    plain, fused = results
    assert plain.keys() == fused.keys()
    for key, expected in plain.items():
        np.testing.assert_allclose(fused[key], expected, rtol=1e-9, atol=1e-12, err_msg=key)


def test_blocks_share_the_layers_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "fuses", True)
    kernels.use("reference")
    relu = Relu()
    net = Sequential(Linear(2, 2, rng=0), relu, Linear(2, 2, rng=1), relu)
    x = np.ones((1, 2), np.float32)
    net.forward(x)
    assert [p.name for p in net.parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net[0].weight.data[...] = np.eye(2)  # type: ignore[attr-defined]
    net[2].weight.data[...] = [[1, 2], [-3, 4]]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(net.forward(x), [[3, 1]])
    np.testing.assert_array_equal(net.backward(np.array([[1.0, 1.0]])), [[-2, 6]])
    np.testing.assert_array_equal(net[0].weight.grad, [[-2, -2], [6, 6]])  # type: ignore[attr-defined]
    net.astype("float64")
    assert net.forward(x).dtype == np.float64


def test_errors_name_the_layer_inside_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "fuses", True)
    kernels.use("reference")
    net = Sequential(Conv2D(1, 1, 3), Relu(), MaxPool2D(4))
    with pytest.raises(ValueError, match=r"layer 2 \(MaxPool2D\): the kernel's height 4"):
        net.forward(np.zeros((1, 1, 4, 9), np.float32))


def test_the_plan_follows_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Sequential(Linear(2, 2, rng=0), Relu())
    monkeypatch.setattr(reference, "fuses", True)
    x = np.ones((1, 2), np.float32)
    with kernels.use("reference"):
        fused = net.forward(x)
        assert [node.name for node in net.plan()] == ["Linear+Relu"]
    with kernels.use("im2col"):
        np.testing.assert_allclose(net.forward(x), fused, rtol=1e-6)
        assert net.plan() == net.layers
