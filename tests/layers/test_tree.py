"""Layers inside layers: names by place, layers that two models share, layers in attributes, running statistics."""

from __future__ import annotations

import collections
import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.layers import BatchNorm2D, Conv2D, Dropout, Flatten, Linear, MaxPool2D, Relu, Residual, Sequential
from minidl.layers.walk import places, trace
from minidl.optim import SGD, Adam, Lookahead, Muon
from minidl.optim.weight_average import WeightAverage


def autoencoder() -> tuple[minidl.Model, minidl.Model]:
    """A model, and a second one of its last two layers."""
    auto = minidl.Model(Linear(6, 3, rng=0), Relu(), Linear(3, 4, rng=1), Linear(4, 6, rng=2))
    return auto, minidl.Model(*auto.layers[2:])


NAMES = ["0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias"]


def same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


class Share(minidl.Callback):
    """Builds and uses a second model over a part of the trained one's layers."""

    def on_epoch_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
        decoder = minidl.Model(*trainer.model.layers[2:])
        decoder.parameters()
        decoder.predict(np.zeros((2, 3), np.float32))


class TestSharedLayers:
    def test_each_model_has_its_own_complete_names(self) -> None:
        auto, decoder = autoencoder()
        for _ in range(2):
            assert list(auto.named_parameters()) == NAMES
            assert list(decoder.named_parameters()) == [*NAMES[:2], "1.weight", "1.bias"]
            assert list(auto.state()) == NAMES
            # what p.name says is what the last one that was asked calls it
            assert [p.name for p in auto.parameters()] == NAMES
            assert [p.name for p in decoder.parameters()] == [*NAMES[:2], "1.weight", "1.bias"]
        assert decoder.named_parameters()["0.weight"] is auto.named_parameters()["2.weight"]

    def test_each_saves_and_loads_all_its_weights(self, tmp_path: Path) -> None:
        auto, decoder = autoencoder()
        auto.save(tmp_path / "auto")
        decoder.save(tmp_path / "decoder")
        before = auto.state()
        assert sum(array.size for array in before.values()) == 3 * 6 + 3 + 4 * 3 + 4 + 6 * 4 + 6
        for p in auto.parameters():
            p.data += 1
        decoder.load(tmp_path / "decoder")
        np.testing.assert_array_equal(auto.state()["2.weight"], before["2.weight"])
        np.testing.assert_array_equal(auto.state()["0.weight"], before["0.weight"] + 1)
        same(auto.load(tmp_path / "auto").state(), before)
        assert set(minidl.safetensors.load(tmp_path / "auto")[0]) == set(NAMES)
        with pytest.raises(ValueError, match=r"missing 2\.weight .*extra 1\.weight"):
            auto.load(tmp_path / "decoder")

    @pytest.mark.parametrize(
        "make",
        [
            lambda: SGD(0.05, 0.9),
            lambda: Adam(0.01),
            lambda: Lookahead(SGD(0.05, 0.9), 2),
            lambda: Muon(SGD(0.05, 0.9), ["2.weight"]),
        ],
        ids=["sgd", "adam", "lookahead", "muon"],
    )
    def test_training_is_that_of_a_model_that_shares_nothing(self, make: Any, tmp_path: Path) -> None:
        x = np.random.default_rng(3).random((40, 6), np.float32)
        trained: list[minidl.Trainer] = []
        for share in (False, True):
            auto = minidl.Model(Linear(6, 3, rng=0), Relu(), Linear(3, 4, rng=1), Linear(4, 6, rng=2))
            trainer = minidl.Trainer(auto, minidl.MSELoss(), make(), average=WeightAverage(0.8))
            held = auto.parameters()

            callbacks = [minidl.KeepBest("train_loss"), *([Share()] if share else [])]
            for epochs in (2, 4):
                trainer.fit(
                    (x, x), epochs=epochs, batch_size=10, seed=0, verbose=False, callbacks=callbacks, resume=True
                )
            trainer.optimizer.step(held)
            trainer.save(tmp_path / "run")
            again = minidl.Trainer(copy.deepcopy(auto), minidl.MSELoss(), make(), average=WeightAverage(0.8))
            again.load(tmp_path / "run")
            same(again.optimizer.state(), trainer.optimizer.state())
            trained.append(trainer)
        same(trained[0].model.state(), trained[1].model.state())
        same(trained[0].optimizer.state(), trained[1].optimizer.state())
        assert list(trained[1].model.state()) == NAMES

    def test_messages_name_the_place_in_the_model_that_runs(self) -> None:
        trunk = Sequential(Conv2D(1, 2, 3), Relu())
        one = minidl.Model(trunk, Flatten(), Linear(8, 2))
        two = minidl.Model(Relu(), Residual(trunk, Conv2D(1, 2, 3)), Flatten(), Linear(8, 2))
        x = np.zeros((1, 1, 2, 2), np.float32)
        for _ in range(2):
            for call in (one.predict, one.forward, one.activations):
                with pytest.raises(ValueError, match=r"^layer 0\.0 \(Conv2D\)"):
                    call(x)
            for call in (two.predict, two.forward):
                with pytest.raises(ValueError, match=r"^layer 1\.body\.0 \(Conv2D\)"):
                    call(x)
        with pytest.raises(ValueError, match=r"^layer 0 \(Conv2D\)"):
            trunk.forward(x)

    def test_a_named_list_keeps_its_names(self) -> None:
        auto, decoder = autoencoder()
        parameters = auto.parameters()
        decoder.parameters()
        optimizer = SGD(0.1, 0.9)
        optimizer.step(parameters)
        assert set(optimizer.state()) == {"steps", *(f"{name}.velocity" for name in NAMES)}
        with pytest.raises(ValueError, match=r"SGD: 2 parameters have the name '0\.weight'"):
            SGD(0.1).step(list(parameters))
        by_name = SGD(0.1, 0.9)
        by_name.step(auto.named_parameters())
        same(by_name.state(), optimizer.state())
        with pytest.raises(ValueError, match="SGD: a parameter must have one name, got 'a' and 'b'"):
            SGD(0.1).step({"a": parameters[0], "b": parameters[0]})

    def test_slots_follow_a_parameter_whose_name_changes(self) -> None:
        net = Sequential(Linear(2, 2, rng=0), Relu(), Linear(2, 2, rng=1))
        for i, p in enumerate(net.parameters()):
            p.grad[...] = i
        for optimizer in (SGD(0.1, 0.9), Lookahead(SGD(0.1, 0.9))):
            optimizer.step(net.parameters())
        state = optimizer.state()
        del net.layers[1]
        net.layers.append(Linear(2, 2, rng=2))
        optimizer.step(net.parameters())
        after = optimizer.state()
        np.testing.assert_allclose(after["1.weight.velocity"], 1.9 * state["2.weight.velocity"])
        np.testing.assert_allclose(after["1.weight.velocity"], 3.8)
        np.testing.assert_array_equal(after["2.weight.velocity"], 0)
        np.testing.assert_array_equal(after["1.weight.slow"], state["2.weight.slow"])


class Block(minidl.Layer):
    """Two convolutions in a list, a normalisation in a dict, and an activation as an attribute."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = minidl.Parameter(np.ones(1, np.float32), "scale")
        self.convs = [Conv2D(channels, channels, 3, padding=1, rng=0), Conv2D(channels, channels, 1, rng=1)]
        self.parts = {"norm": BatchNorm2D(channels)}
        self._act = Relu()
        self.last = self.convs[1]  # another way to speak of it

    def _forward(self, x: Any, train: bool) -> Any:
        for layer in (self.convs[0], self.parts["norm"], self._act, self.convs[1]):
            x = layer.run(x, train)
        return x

    def _backward(self, dy: Any) -> Any:
        for layer in (self.convs[1], self._act, self.parts["norm"], self.convs[0]):
            dy = layer._backward(dy)
        return dy


BLOCK = ["scale", "convs.0.weight", "convs.0.bias", "convs.1.weight", "convs.1.bias"]
BLOCK += ["parts.norm.gamma", "parts.norm.beta"]


class TestLayersInAttributes:
    def test_they_are_found_and_named(self) -> None:
        block = Block(2)
        assert list(block.named_children()) == ["convs.0", "convs.1", "parts.norm", "_act"]
        assert list(block.named_parameters()) == BLOCK
        assert list(block.buffers()) == ["parts.norm.running_mean", "parts.norm.running_var"]
        net = minidl.Model(Block(1), Flatten(), Linear(16, 3))
        assert [p.name for p in net.parameters()] == [f"0.{name}" for name in BLOCK] + ["2.weight", "2.bias"]
        assert list(places(net))[:3] == ["", "0", "0.convs.0"]
        assert repr(net) == "Model(Block(1), Flatten(), Linear(16, 3))"
        assert net.astype("float64")[0].parts["norm"].running_mean.dtype == np.float64
        net.freeze()
        assert all(p.frozen for p in net.parameters())
        assert "layer 0.convs.0 (Conv2D)" in net[0].convs[0].who

    @pytest.mark.usefixtures("any_backend")
    def test_they_compute_train_and_are_saved(self, tmp_path: Path, rng: np.random.Generator) -> None:
        def sequential() -> minidl.Model:
            convs = Conv2D(1, 1, 3, padding=1, rng=0), Conv2D(1, 1, 1, rng=1)
            return minidl.Model(convs[0], BatchNorm2D(1), Relu(), convs[1], Flatten(), Linear(16, 3, rng=2))

        x, y = rng.random((20, 1, 4, 4), np.float32), rng.integers(0, 3, 20)
        own, plain = minidl.Model(Block(1), Flatten(), Linear(16, 3, rng=2)), sequential()
        for model in (own, plain):
            trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), Adam(0.01, weight_decay=0.1))
            trainer.fit((x, y), epochs=2, batch_size=8, seed=0, verbose=False)
        state = own.state()
        for name, place in (
            ("convs.0.weight", "0.weight"),
            ("parts.norm.gamma", "1.gamma"),
            ("convs.1.bias", "3.bias"),
        ):
            np.testing.assert_allclose(state[f"0.{name}"], plain.state()[place], rtol=1e-4, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(own.predict(x), plain.predict(x), rtol=1e-4, atol=1e-5)
        own.save(tmp_path / "own")
        other = minidl.Model(Block(1), Flatten(), Linear(16, 3))
        np.testing.assert_array_equal(other.load(tmp_path / "own").predict(x), own.predict(x))
        np.testing.assert_array_equal(copy.deepcopy(own).predict(x), own.predict(x))

    def test_gradcheck_sees_the_parameters_and_the_kinks_inside(self, rng: np.random.Generator) -> None:
        report = minidl.gradcheck(Block(2), rng.standard_normal((3, 2, 4, 4)))
        assert report, str(report)
        assert [row.name for row in report.rows] == ["input", *BLOCK]

    def test_release_and_predict_reach_them(self, rng: np.random.Generator) -> None:
        net = minidl.Model(Block(1), Flatten(), Linear(16, 3))
        block: Any = net[0]
        x = rng.random((2, 1, 4, 4), np.float32)
        net.forward(x)
        assert block.convs[0]._x is not None
        net.release()
        assert block.convs[0]._x is None
        net.predict(x)
        assert block.convs[0]._x is None
        assert block._act._y is None

    def test_a_layer_in_two_places_is_refused_or_copied(self) -> None:
        block = Block(1)
        with pytest.raises(ValueError, match="Conv2D stands in two places"):
            Sequential(block, block.convs[0])
        block = Block(1)
        relu = block._act
        net = Sequential(relu, block)
        assert net[0] is relu
        assert block._act is not relu
        block.convs.append(block.convs[0])
        with pytest.raises(ValueError, match="Conv2D stands in two places"):
            block.parameters()

    def test_names_must_differ(self) -> None:
        layer = minidl.Layer()
        layer.parts = {"a": Relu(), "a.b": Relu()}  # type: ignore[attr-defined]
        assert list(layer.named_children()) == ["parts.a", "parts.a.b"]
        layer.parts = {0: Relu(), 1: Relu(), "1": Relu(), 2: Relu()}  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match=r"each layer inside must have a name of its own, got parts\.1 twice"):
            layer.named_children()

    def test_a_models_attribute_belongs_to_it(self) -> None:
        class Net(minidl.Model):
            def __init__(self) -> None:
                super().__init__(Linear(2, 2), Relu())
                self.classifier = self.layers[0]
                self.extra = Linear(2, 1)

        assert list(Net().named_parameters()) == ["0.weight", "0.bias", "extra.weight", "extra.bias"]


class TestFlow:
    def test_trace_calls_every_layer_with_its_place(self, rng: np.random.Generator) -> None:
        net = Sequential(
            Relu(), Residual(Sequential(Linear(3, 3, rng=0), Relu()), Linear(3, 3, rng=1)), Sequential(Linear(3, 2))
        )
        x = rng.standard_normal((2, 3)).astype(np.float32)
        seen: dict[str, Any] = {}
        backend = kernels.current()
        y = trace(net, backend.enter(x), False, lambda place, layer, y: seen.update({place: backend.leave(y)}))
        assert list(seen) == ["0", "1.body.0", "1.body.1", "1.shortcut", "1", "2.0"]
        np.testing.assert_allclose(seen["1"], seen["1.body.1"] + seen["1.shortcut"], rtol=1e-6)
        np.testing.assert_array_equal(backend.leave(y), seen["2.0"])
        np.testing.assert_allclose(net.forward(x), seen["2.0"], rtol=1e-6)

    def test_a_container_of_ones_own_says_how_it_flows(self) -> None:
        class Twice(minidl.Layer):
            """f(x) + g(x) * 1, with a product as its own doing."""

            joins = "difference"

            def __init__(self, f: minidl.Layer, g: minidl.Layer) -> None:
                super().__init__()
                self.f, self.g = f, g

            def flow(self, call: Any, x: Any) -> Any:
                return call("", self, call("f", self.f, x), call("g", self.g, x))

            def join(self, train: bool, *inputs: Any) -> Any:
                back = kernels.current()
                return back.enter(back.leave(inputs[0]) - back.leave(inputs[1]))

            def join_shape(self, *shapes: Any) -> Any:
                return shapes[0]

            def _check(self, x_shape: Any) -> Any:
                return self.f._check(x_shape)

            def _forward(self, x: Any, train: bool) -> Any:
                return self.join(train, self.f.run(x, train), self.g.run(x, train))

        model = minidl.Model(Twice(Linear(3, 2, rng=0), Linear(3, 2, rng=1)), Relu())
        x = np.ones((2, 3), np.float32)
        outputs = dict(model.activations(x))
        assert list(outputs) == ["0.f Linear", "0.g Linear", "0 Twice", "1 Relu"]
        np.testing.assert_array_equal(outputs["0 Twice"], outputs["0.f Linear"] - outputs["0.g Linear"])
        lines = model.summary((3,)).splitlines()
        assert [line.split() for line in lines[3:7]] == [
            ["0.f", "Linear(3,", "2)", "2", "8", "6"],
            ["0.g", "Linear(3,", "2)", "2", "8", "6"],
            ["0", "Twice:", "difference", "2", "0", "0"],
            ["1", "Relu()", "2", "0", "0"],
        ]


class TestKinks:
    def test_each_layer_tells_its_own(self) -> None:
        x = np.array([[[[-1.0, 2.0], [3.0, 0.0]]]], np.float32)
        for layer in (Relu(), minidl.LeakyRelu(), minidl.Elu()):
            assert layer.kinks() == []
            layer.forward(x)
            np.testing.assert_array_equal(layer.kinks()[0], [[[[False, True], [True, False]]]])
        pool = MaxPool2D(2)
        pool.forward(x)
        assert pool.kinks()[0].tolist() == [[[[2]]]]
        net = Sequential(minidl.Tanh(), Residual(Relu()))
        assert net.kinks() == []
        trace(net, kernels.current().enter(x), False, lambda *_: None)
        assert len(net.kinks()) == 1


@pytest.mark.usefixtures("any_backend")
class TestInference:
    def test_a_subclass_infers_by_what_it_forwards(self) -> None:
        class Doubled(Linear):
            def _forward(self, x: Any, train: bool) -> Any:
                return self.kernels.add(super()._forward(x, train), super()._forward(x, train))

        class Quick(Doubled):
            def _infer(self, x: Any) -> Any:
                return Linear._infer(self, x)

        class Named(Linear):
            pass

        x = np.ones((2, 3), np.float32)
        plain = minidl.Model(Linear(3, 2, rng=0)).predict(x)
        doubled: Any = Doubled(3, 2, rng=0)
        np.testing.assert_allclose(minidl.Model(doubled).predict(x), 2 * plain, rtol=1e-6)
        assert doubled._x is None
        np.testing.assert_array_equal(minidl.Model(Quick(3, 2, rng=0)).predict(x), plain)
        assert Named(3, 2).inference().__func__ is Linear._infer  # type: ignore[attr-defined]
        assert Doubled(3, 2).inference().__func__ is minidl.Layer.infer  # type: ignore[attr-defined]
        assert Linear.infer is minidl.Layer.infer  # no class is changed


@pytest.mark.usefixtures("any_backend")
class TestFrozenStatistics:
    def network(self) -> minidl.Model:
        net = minidl.Model(
            Conv2D(1, 2, 3, rng=0), BatchNorm2D(2), Relu(), Residual(BatchNorm2D(2)), Flatten(), Linear(8, 2, rng=1)
        )
        rng = np.random.default_rng(5)
        for name, array in net.buffers().items():
            array[...] = rng.random(array.shape) + ("var" in name)
        return net

    def test_training_uses_and_keeps_them(self, rng: np.random.Generator) -> None:
        net = self.network()
        x, y = rng.random((6, 1, 4, 4), np.float32), rng.integers(0, 2, 6)
        before = {name: array.copy() for name, array in net.buffers().items()}
        expected = net.forward(x)
        assert net.freeze(statistics=True) is net
        for p in net.parameters():
            p.frozen = False
        np.testing.assert_array_equal(net.forward(x, train=True), expected)
        minidl.Trainer(net, minidl.SoftmaxCrossEntropyLoss(), SGD(0.1)).fit(
            (x, y), epochs=2, batch_size=3, verbose=False
        )
        same(net.buffers(), before)
        assert np.abs(net.forward(x) - expected).max() > 1e-3
        assert minidl.gradcheck(net, x)

    def test_freeze_alone_lets_them_go_on(self, rng: np.random.Generator) -> None:
        net = self.network()
        x = rng.random((6, 1, 4, 4), np.float32)
        for frozen, statistics, stay in ((True, False, False), (True, True, True), (False, True, False)):
            before = {name: array.copy() for name, array in net.buffers().items()}
            net.freeze(frozen, statistics=statistics).forward(x, train=True)
            assert all(np.array_equal(before[name], array) for name, array in net.buffers().items()) == stay
            assert all(p.frozen == frozen for p in net.parameters())
        assert Dropout().freeze(statistics=True).statistics_frozen


class Nests(minidl.Layer):
    """Layers beside numbers and texts, in every kind of nest."""

    Pair = collections.namedtuple("Pair", ("first", "second"))

    def __init__(self) -> None:
        super().__init__()
        self.pairs = [("a", minidl.Linear(2, 2, rng=0)), ("b", minidl.Linear(2, 2, rng=1))]
        self.table = {"factor": 2.0, "a": minidl.Linear(2, 2, rng=2)}
        self.named = self.Pair(minidl.Linear(2, 2, rng=3), minidl.Linear(2, 2, rng=4))
        self.mixed = [1.5, minidl.Linear(2, 2, rng=5)]
        self.numbers = [0.5] * 1000

    def _forward(self, x: Any, train: bool) -> Any:
        for layer in (self.pairs[0][1], self.pairs[1][1], self.table["a"], *self.named, self.mixed[1]):
            x = layer.run(x, train)
        return x

    def _backward(self, dy: Any) -> Any:
        for layer in (self.mixed[1], *self.named[::-1], self.table["a"], self.pairs[1][1], self.pairs[0][1]):
            dy = layer._backward(dy)
        return dy


def test_layers_beside_numbers_and_texts_are_found() -> None:
    names = ["pairs.0.1", "pairs.1.1", "table.a", "named.0", "named.1", "mixed.1"]
    model = minidl.Model(Nests())
    assert list(model.named_parameters()) == [f"0.{name}.{kind}" for name in names for kind in ("weight", "bias")]
    x = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    y = model.forward(x)
    np.testing.assert_allclose(model.predict(x), y, rtol=0, atol=1e-6 * np.abs(y).max())
    assert minidl.gradcheck(model, x.astype(np.float64))
    assert type(model.twin().layers[0].named) is Nests.Pair


def test_a_frozen_beginning_is_searched_once_and_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = minidl.Model(*(minidl.Linear(2, 2) for _ in range(4)))
    parameters = model.parameters()
    for parameter in parameters[:4]:
        parameter.frozen = True
    searched, search = [], minidl.Linear._each_parameter
    monkeypatch.setattr(minidl.Linear, "_each_parameter", lambda self: searched.append(self) or search(self))
    x, untouched = np.ones((1, 2), np.float32), []
    for step in range(3):
        if step == 2:
            parameters[2].frozen = False
        model.forward(x, train=True)
        for parameter in parameters:
            parameter.grad[...] = np.nan
        model.run_backward(kernels.current().enter(x))
        untouched.append([bool(np.isnan(parameter.grad).all()) for parameter in parameters[::2]])
    assert untouched == [[True, True, False, False], [True, True, False, False], [True, False, False, False]]
    assert len(searched) <= 8  # when the parameters were listed, and in the first backward pass
