"""Sequential and Residual: order, names, routing of need_dx, shared layers, changes of the list, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers import (
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    Relu,
    Residual,
    Sequential,
    Tanh,
)


def network() -> Sequential:
    return Sequential(
        Conv2D(1, 2, 3, padding=1, rng=0),
        BatchNorm2D(2),
        Relu(),
        Residual(Sequential(Conv2D(2, 2, 3, padding=1, rng=1), Tanh()), Conv2D(2, 2, 1, rng=2)),
        MaxPool2D(2),
        Flatten(),
        Linear(8, 3, rng=3),
    )


def names(layer: Layer) -> list[str]:
    return [parameter.name for parameter in layer.parameters()]


class TestNames:
    def test_parameters_are_named_by_place_in_order(self) -> None:
        assert names(network()) == [
            "0.weight",
            "0.bias",
            "1.gamma",
            "1.beta",
            "3.body.0.weight",
            "3.body.0.bias",
            "3.shortcut.weight",
            "3.shortcut.bias",
            "6.weight",
            "6.bias",
        ]

    def test_buffers_are_named_by_place(self) -> None:
        net = network()
        assert list(net.buffers()) == ["1.running_mean", "1.running_var"]
        assert net.buffers()["1.running_mean"] is net[1].running_mean  # type: ignore[attr-defined]
        outer = Sequential(Relu(), Residual(Sequential(BatchNorm2D(2))))
        assert list(outer.buffers()) == ["1.body.0.running_mean", "1.body.0.running_var"]

    def test_the_outermost_container_names(self) -> None:
        inner = Sequential(Linear(2, 2), Linear(2, 2))
        assert names(inner) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert names(Sequential(Flatten(), inner))[0] == "1.0.weight"
        assert names(Residual(Linear(2, 2), Linear(2, 2))) == [
            "body.weight",
            "body.bias",
            "shortcut.weight",
            "shortcut.bias",
        ]

    def test_messages_name_the_place(self) -> None:
        with pytest.raises(ValueError, match=r"layer 1\.body\.0 \(Linear\): input must have 2 features, got 3"):
            Sequential(Flatten(), Residual(Sequential(Linear(2, 2)))).forward(np.zeros((1, 3), np.float32))

    def test_reading(self) -> None:
        net = network()
        assert len(net) == 7
        assert isinstance(net[2], Relu)
        assert net.children() == net.layers
        assert net.output_shape((1, 4, 4)) == (3,)
        assert net.multiply_adds((1, 4, 4)) == 16 * (2 * 9 + 4 * 9 + 4) + 24


@pytest.mark.usefixtures("any_backend")
class TestArithmetic:
    def test_sequential_is_one_layer_after_the_other(self, rng: np.random.Generator) -> None:
        net = network()
        parts = net.layers
        x = rng.standard_normal((3, 1, 4, 4)).astype(np.float32)
        expected = x
        for layer in parts:
            expected = layer.forward(expected, train=True)
        dx = dy = rng.standard_normal((3, 3)).astype(np.float32)
        for layer in reversed(parts):
            dx = layer.backward(dx)
        expected_grads = [p.grad.copy() for layer in parts for p in layer.parameters()]
        assert len(expected_grads) == 10
        np.testing.assert_allclose(net.forward(x, train=True), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(net.backward(dy), dx, rtol=1e-4, atol=1e-5)
        for parameter, grad in zip(net.parameters(), expected_grads, strict=True):
            np.testing.assert_allclose(parameter.grad, grad, rtol=1e-4, atol=1e-5, err_msg=parameter.name)

    def test_residual_by_hand(self) -> None:
        double = Linear(1, 1, init=lambda shape, rng: np.full(shape, 2.0))
        x, dy = np.array([[3.0]], np.float32), np.array([[10.0]], np.float32)
        block = Residual(double)
        assert block.forward(x) == 9
        assert block.backward(dy) == 30
        block = Residual(double, Linear(1, 1, init=lambda shape, rng: np.full(shape, 5.0)))
        assert block.forward(x) == 21
        assert block.backward(dy) == 70
        assert block.multiply_adds((1,)) == 2

    def test_empty_sequential_is_the_identity(self) -> None:
        x = np.ones((2, 3), np.float32)
        net = Sequential()
        np.testing.assert_array_equal(net.forward(x), x)
        np.testing.assert_array_equal(net.backward(2 * x), 2 * x)
        assert net.parameters() == []
        assert net.dtype is None

    def test_train_reaches_every_layer(self) -> None:
        x = np.ones((4, 1, 4, 4), np.float32)
        net = Sequential(Residual(Sequential(Dropout(0.5, rng=0))))
        assert set(np.unique(net.forward(x, train=True))) == {1.0, 3.0}
        assert set(np.unique(net.forward(x))) == {2.0}


def run(net: Layer, x: np.ndarray, backend: Any) -> Any:
    y = net.run(backend.enter(x), True)
    return net._backward(backend.enter(np.ones(y.shape, np.float32)))


class TestNeedDx:
    def test_the_first_layer_with_parameters_saves_its_dx(self, any_backend: Any) -> None:
        body = Sequential(Tanh(), Conv2D(1, 2, 3, padding=1, rng=0), Relu(), Conv2D(2, 1, 3, padding=1, rng=1))
        net = Sequential(Flatten(), Flatten(), Linear(16, 3, rng=2), Relu(), Linear(3, 2, rng=3))
        x = np.random.default_rng(0).standard_normal((3, 1, 4, 4)).astype(np.float32)
        for layers in (body, net, Sequential(body, net)):
            assert run(layers, x, any_backend) is not None
            expected = [p.grad.copy() for p in layers.parameters()]
            for p in layers.parameters():
                p.grad[...] = 7
            layers.need_dx = False
            assert run(layers, x, any_backend) is None
            for p, grad in zip(layers.parameters(), expected, strict=True):
                np.testing.assert_array_equal(p.grad, grad, err_msg=p.name)
            layers.need_dx = True
            assert run(layers, x, any_backend).shape == x.shape

    def test_only_the_first_node_does_without(self, any_backend: Any) -> None:
        net = Sequential(Tanh(), Linear(4, 4, rng=0), Linear(4, 2, rng=1))
        net.need_dx = False
        run(net, np.ones((2, 4), np.float32), any_backend)
        assert [layer.need_dx for layer in net.layers] == [True, False, True]
        net.need_dx = True
        run(net, np.ones((2, 4), np.float32), any_backend)
        assert [layer.need_dx for layer in net.layers] == [True, True, True]

    @pytest.mark.parametrize("shortcut", [True, False])
    def test_residual_hands_it_to_both_ways(self, any_backend: Any, shortcut: bool) -> None:
        block = Residual(Sequential(Linear(4, 4, rng=0), Tanh()), Linear(4, 4, rng=1) if shortcut else None)
        x = np.ones((2, 4), np.float32)
        run(block, x, any_backend)
        expected = [p.grad.copy() for p in block.parameters()]
        net = Sequential(block)
        net.need_dx = False
        assert run(net, x, any_backend) is None
        assert [p.grad.tolist() for p in net.parameters()] == [grad.tolist() for grad in expected]
        first = [block.body[0], *([block.shortcut] if block.shortcut else [])]  # type: ignore[index]
        assert [layer.need_dx for layer in first] == [False] * (1 + shortcut)

    def test_the_first_trainable_layer_may_come_later(self, any_backend: Any) -> None:
        inner = Sequential(Tanh())
        net = Sequential(inner, Linear(4, 2, rng=0))
        net.need_dx = False
        x = np.ones((2, 4), np.float32)
        run(net, x, any_backend)
        inner.layers.append(Linear(4, 4, rng=1))
        run(net, x, any_backend)
        assert inner[1].weight.grad.any()  # type: ignore[attr-defined]

    def test_frozen_layers_at_the_beginning_get_no_gradients(self, any_backend: Any) -> None:
        net = Sequential(
            Conv2D(1, 2, 3, rng=0).freeze(),
            Relu(),
            Residual(Sequential(Conv2D(2, 2, 3, padding=1, rng=1), Tanh())).freeze(),
            Flatten(),
            Linear(18, 4, rng=2),
            Relu(),
            Linear(4, 2, rng=3).freeze(),
        )
        x = np.random.default_rng(0).standard_normal((3, 1, 5, 5)).astype(np.float32)
        run(net, x, any_backend)
        expected = [p.grad.copy() for p in net[4].parameters()]
        for p in net.parameters():
            p.grad[...] = 7
        net.need_dx = False
        assert run(net, x, any_backend) is None
        for p in net[0].parameters() + net[2].parameters():
            np.testing.assert_array_equal(p.grad, 7, err_msg=p.name)
        for p, grad in zip(net[4].parameters(), expected, strict=True):
            np.testing.assert_array_equal(p.grad, grad, err_msg=p.name)

    def test_nothing_to_train(self, any_backend: Any) -> None:
        net = Sequential(Tanh(), Relu())
        net.need_dx = False
        assert run(net, np.ones((2, 4), np.float32), any_backend) is None


class TestPlaces:
    @pytest.mark.usefixtures("any_backend")
    def test_a_layer_without_parameters_may_stand_in_several_places(self, rng: np.random.Generator) -> None:
        x = rng.standard_normal((3, 4)).astype(np.float32)
        dy = rng.standard_normal((3, 4)).astype(np.float32)
        t, r = Tanh(), Relu()
        shared = Sequential(t, r, Linear(4, 4, rng=0), t, Residual(Sequential(Linear(4, 4, rng=1), r, t)))
        apart = Sequential(
            Tanh(), Relu(), Linear(4, 4, rng=0), Tanh(), Residual(Sequential(Linear(4, 4, rng=1), Relu(), Tanh()))
        )
        np.testing.assert_array_equal(shared.forward(x), apart.forward(x))
        np.testing.assert_array_equal(shared.backward(dy), apart.backward(dy))
        assert shared[0] is t
        assert shared[3] is not t

    def test_shared_dropout_keeps_one_generator_and_draws_anew(self) -> None:
        layer = Dropout(0.5, rng=0)
        net = Sequential(layer, Flatten(), layer)
        assert net[2].rng is layer.rng  # type: ignore[attr-defined]
        y = net.forward(np.ones((100, 8), np.float32), train=True)
        assert set(np.unique(y)) == {0.0, 4.0}
        assert (y != 0).mean() == pytest.approx(0.25, abs=0.06)

    def test_a_layer_with_parameters_may_not(self) -> None:
        layer = Linear(2, 2)
        for make in (
            lambda: Sequential(layer, Relu(), layer),
            lambda: Sequential(layer, Residual(Sequential(layer))),
            lambda: Residual(layer, layer),
        ):
            with pytest.raises(ValueError, match="Linear stands in two places; a layer with parameters"):
                make()
        inner = Sequential(Relu())
        with pytest.raises(ValueError, match="Sequential stands in two places"):
            Sequential(inner, inner)

    def test_what_is_no_layer_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"Sequential: element 0 must be a layer, got \[.*\] \(write the layers as"):
            Sequential([Relu()])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"Sequential: element 1 must be a layer, got .* \(write the parentheses"):
            Sequential(Relu(), Relu)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Residual: element 0 must be a layer, got None"):
            Residual(None)  # type: ignore[arg-type]

    def test_residual_needs_equal_shapes(self) -> None:
        with pytest.raises(ValueError, match=r"Residual: body and shortcut must give .* \(2, 3\) and \(2, 4\)"):
            Residual(Linear(4, 3)).forward(np.zeros((2, 4), np.float32))


@pytest.mark.usefixtures("any_backend")
class TestChanges:
    def test_the_list_of_layers_may_change(self) -> None:
        x = np.array([[-1.0, 2.0]], np.float32)
        net = Sequential(Linear(2, 2, rng=0, init=lambda shape, rng: np.eye(2)), Relu())
        np.testing.assert_array_equal(net.forward(x), [[0, 2]])
        net.layers.append(Linear(2, 1, init=lambda shape, rng: np.array([[10.0, 1.0]])))
        assert names(net)[2:] == ["2.weight", "2.bias"]
        np.testing.assert_array_equal(net.forward(x), [[2]])
        np.testing.assert_array_equal(net.backward(np.ones((1, 1))), [[0, 1]])
        del net.layers[1]
        np.testing.assert_array_equal(net.forward(x), [[-8]])
        assert names(net)[2:] == ["1.weight", "1.bias"]

    def test_a_wrong_change_is_refused_each_time(self) -> None:
        net = Sequential(Linear(2, 2), Relu())
        net.layers.append(net.layers[0])
        for _ in range(2):
            with pytest.raises(ValueError, match="Linear stands in two places"):
                net.forward(np.zeros((1, 2), np.float32))
        net.layers[2] = net
        with pytest.raises(ValueError, match="Sequential stands in two places"):
            net.parameters()
        del net.layers[2]
        assert net.forward(np.zeros((1, 2), np.float32)).shape == (1, 2)

    def test_a_change_below_reaches_the_top(self) -> None:
        inner = Sequential(Relu())
        net = Sequential(Flatten(), inner)
        x = np.ones((1, 2), np.float32)
        assert net.forward(x).shape == (1, 2)
        inner.layers.append(Linear(2, 3))
        assert names(net) == ["1.1.weight", "1.1.bias"]
        y = net.forward(x)
        assert y.shape == (1, 3)
        assert net.backward(y).shape == (1, 2)

    def test_release_reaches_every_layer(self) -> None:
        net = network()
        y = net.forward(np.ones((1, 1, 4, 4), np.float32))
        net.release()
        with pytest.raises(RuntimeError, match="call forward before backward"):
            net.backward(y)

        def remembered(layer: Layer) -> list[Any]:
            found = [getattr(layer, name) for name in layer._remembered]
            return found + [value for child in layer.children() for value in remembered(child)]

        assert set(remembered(net)) == {None}
        assert {value for node in net.plan() for value in remembered(node)} == {None}


@pytest.mark.usefixtures("any_backend")
def test_a_layer_that_is_added_inside_refuses_the_shapes_that_went_before() -> None:
    inner = Sequential(Linear(4, 3, rng=0))
    model = minidl.Model(inner, Relu())
    x = np.ones((2, 4), np.float32)
    assert model.predict(x).shape == (2, 3)
    inner.layers.append(Linear(5, 2, rng=1))
    with pytest.raises(ValueError, match=r"layer 0\.1 \(Linear\): .*5.*got"):
        model.predict(x)
    inner.layers[1] = Linear(3, 2, rng=1)
    assert model.predict(x).shape == (2, 2)


def _learnt(m: minidl.Model, x: np.ndarray) -> list[np.ndarray]:
    m.forward(x, train=True)
    for parameter in m.parameters():
        parameter.grad[...] = 0
    m.run_backward(minidl.kernels.current().enter(np.ones((2, 3, 4, 4)), False))
    return [parameter.grad.copy() for parameter in m.parameters()]


def _tied(m: minidl.Model) -> None:
    m.layers[3].weight = m.layers[1].weight


def _only_one_learns(m: minidl.Model) -> None:
    m.freeze()
    m.layers[1].weight = minidl.Parameter(m.layers[1].weight.data, "weight")


@pytest.mark.parametrize("change", [_tied, _only_one_learns])
def test_other_parameters_after_the_first_step_learn_as_from_the_start(change: Any, backend: Any) -> None:
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 4, 4))
    results = []
    for before in (True, False):
        convolutions = [Conv2D(3, 3, 3, padding=1, rng=i) for i in range(3)]
        m = minidl.Model(convolutions[0], convolutions[1], Relu(), convolutions[2], dtype="float64")
        if not before:
            _learnt(m, x)
        change(m)
        results.append(_learnt(m, x))
    assert np.abs(m.layers[1].weight.grad).max() > 0.1
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
