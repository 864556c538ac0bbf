"""Optimisers: the published updates for several steps, weight decay, schedules, state, messages."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.layers import Linear, Parameter, Relu, Sequential
from minidl.optim import SGD, Adam, AdamW, Optimizer, RMSProp
from minidl.optim.schedules import Cosine

P = np.array([1.0, -2.0, 0.5])
GRADS = [np.array(g) for g in ([0.1, -0.2, 0.0], [0.3, 0.1, -1.0], [-0.5, 0.2, 2.0], [0.05, 0.0, 1e-4])]
TOL = {"rtol": 1e-12, "atol": 1e-15}


def train(optimizer: Optimizer, grads: list[np.ndarray] = GRADS, start: np.ndarray = P) -> np.ndarray:
    """The parameter after one step for each gradient."""
    parameter = Parameter(start.copy(), "w")
    for grad in grads:
        parameter.grad[...] = grad
        optimizer.step([parameter])
    return parameter.data


@pytest.mark.usefixtures("any_backend")
class TestUpdates:
    @pytest.mark.parametrize("weight_decay", [0.0, 0.1])
    def test_plain_sgd(self, weight_decay: float) -> None:
        p = P.copy()
        for grad in GRADS:
            p -= 0.5 * (grad + weight_decay * p)
        np.testing.assert_allclose(train(SGD(0.5, weight_decay=weight_decay)), p, **TOL)

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_momentum_is_the_seeds_formula(self, nesterov: bool) -> None:
        p, v = P.copy(), np.zeros(3)
        for grad in GRADS:
            g = grad + 1e-2 * p
            v = 0.9 * v + g
            p = p - 0.1 * (g + 0.9 * v if nesterov else v)
        np.testing.assert_allclose(train(SGD(0.1, 0.9, 1e-2, nesterov)), p, **TOL)

    def test_nesterov_is_the_gradient_at_the_place_ahead(self) -> None:
        """Sutskever et al. 2013, eq. 3 and 4: v' = m v - lr f'(t + m v), t' = t + v'; p is t + m v, f' = a p + b."""
        a, b, m, lr = np.array([1.0, 0.1, 3.0]), np.array([0.5, -1.0, 2.0]), 0.9, 0.05
        parameter, optimizer = Parameter(P.copy(), "w"), SGD(lr, m, nesterov=True)
        t, v = P.copy(), np.zeros(3)
        for _ in range(20):
            parameter.grad[...] = a * parameter.data + b
            optimizer.step([parameter])
            v = m * v - lr * (a * (t + m * v) + b)
            t = t + v
            np.testing.assert_allclose(parameter.data, t + m * v, **TOL)

    def test_momentum_in_closed_form(self) -> None:
        # a constant gradient 1: v_t = (1 - m^t) / (1 - m), so p_T = -lr (T - m (1 - m^T) / (1 - m)) / (1 - m)
        m, steps = 0.8, 30
        p = train(SGD(0.1, m), [np.ones(1)] * steps, np.zeros(1))
        np.testing.assert_allclose(p, -0.1 * (steps - m * (1 - m**steps) / (1 - m)) / (1 - m), rtol=1e-12)

    @pytest.mark.parametrize("weight_decay", [0.0, 0.1])
    def test_rmsprop(self, weight_decay: float) -> None:
        p, s = P.copy(), np.zeros(3)
        for grad in GRADS:
            g = grad + weight_decay * p
            s = 0.9 * s + 0.1 * g**2
            p = p - 0.01 * g / (np.sqrt(s) + 1e-6)
        np.testing.assert_allclose(train(RMSProp(0.01, 0.9, 1e-6, weight_decay)), p, **TOL)

    @pytest.mark.parametrize("decoupled", [False, True])
    def test_adam_and_adamw(self, decoupled: bool) -> None:
        p, m, v = P.copy(), np.zeros(3), np.zeros(3)
        for t, grad in enumerate(GRADS, 1):
            g = grad if decoupled else grad + 0.1 * p
            if decoupled:
                p = p - 0.05 * 0.1 * p
            m = 0.8 * m + 0.2 * g
            v = 0.9 * v + 0.1 * g**2
            p = p - 0.05 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-7)
        optimizer = (AdamW if decoupled else Adam)(0.05, 0.8, 0.9, 1e-7, 0.1)
        np.testing.assert_allclose(train(optimizer), p, **TOL)
        assert optimizer.steps == 4

    def test_the_first_step_of_adam_has_the_size_of_lr(self) -> None:
        p = train(Adam(0.25, eps=1e-12), [np.array([1e-3, -50.0, 7.0])])
        np.testing.assert_allclose(p, P - 0.25 * np.array([1, -1, 1]), rtol=1e-6)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_dtype_stays_and_arrays_change_in_place(self, dtype: str) -> None:
        for optimizer in (SGD(0.1), SGD(0.1, 0.9), RMSProp(), Adam()):
            parameter = Parameter(P.astype(dtype), "w")
            parameter.grad[...] = 1
            data, grad = parameter.data, parameter.grad
            optimizer.step([parameter])
            assert parameter.data is data
            assert data.dtype == dtype
            assert (data < P).all()
            np.testing.assert_array_equal(grad, 1)
            assert {slot.dtype.name for name, slot in optimizer.state().items() if name != "steps"} <= {dtype}

    def test_a_network_learns(self, rng: np.random.Generator) -> None:
        x = rng.standard_normal((32, 3))
        y = x @ np.array([[1.0], [-2.0], [3.0]]) + 0.5
        for optimizer in (SGD(0.1, 0.5), RMSProp(0.05), Adam(0.2)):
            net = Sequential(Linear(3, 1, rng=0)).astype("float64")
            for _ in range(300):
                difference = net.forward(x) - y
                net.backward(difference / len(x))
                optimizer.step(net.parameters())
            assert (difference**2).mean() < 1e-2


class TestWeightDecay:
    def step(self, optimizer: Optimizer) -> list[float]:
        net = Sequential(Linear(1, 1, init=lambda shape, rng: np.ones(shape)), Relu()).astype("float64")
        net[0].bias.data[:] = 1  # type: ignore[attr-defined]
        optimizer.step(net.parameters())
        return [float(p.data.item()) for p in net.parameters()]

    def test_it_concerns_biases_unless_told_otherwise(self) -> None:
        assert self.step(SGD(0.5, weight_decay=0.1)) == [0.95, 0.95]
        assert self.step(SGD(0.5, weight_decay=0.1, decay_all=False)) == [0.95, 1.0]
        assert self.step(AdamW(0.5, weight_decay=0.1, decay_all=False)) == [0.95, 1.0]
        assert self.step(RMSProp(0.5, weight_decay=0.1, decay_all=False))[1] == 1.0

    def test_it_may_change_between_steps(self) -> None:
        parameter = Parameter(np.ones(1), "w")
        optimizer = SGD(0.5)
        optimizer.step([parameter])
        optimizer.weight_decay = 0.1
        optimizer.step([parameter])
        assert parameter.data == 0.95


class TestLearningRate:
    def test_a_number_stays(self) -> None:
        optimizer = SGD(0.1)
        optimizer.progress(3.5, 10)
        assert optimizer.lr == 0.1
        optimizer.lr = 0.05
        optimizer.progress(4.5, 10)
        assert optimizer.lr == 0.05

    def test_a_schedule_is_followed(self) -> None:
        optimizer = SGD(Cosine(0.2))
        assert optimizer.lr == 0.2
        optimizer.progress(5.0, 10)
        assert optimizer.lr == pytest.approx(0.1)
        np.testing.assert_allclose(train(optimizer, [np.ones(3)]), P - 0.1)

    def test_a_function_is_a_schedule(self) -> None:
        optimizer = Adam(lambda epoch, epochs: 1 / (1 + epoch))
        optimizer.progress(3.0, 10)
        assert optimizer.lr == 0.25


MAKERS = {
    "SGD": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, 0.9),
    "RMSProp": lambda: RMSProp(0.01),
    "Adam": lambda: Adam(0.01, weight_decay=0.1),
    "AdamW": lambda: AdamW(0.01),
    "clipped": lambda: SGD(0.1, 0.9, clip_norm=0.5),
    "grouped": lambda: SGD(0.1, 0.9, weight_decay=0.1, groups={"w": {"lr": 2.0, "weight_decay": 0.2}}),
}


class TestState:
    @pytest.mark.parametrize("name", MAKERS)
    def test_a_restored_optimiser_goes_on_exactly(self, name: str) -> None:
        whole = MAKERS[name]()
        expected = train(whole)
        first, second = MAKERS[name](), MAKERS[name]()
        middle = train(first, GRADS[:2])
        second.load_state(first.state())
        np.testing.assert_array_equal(train(second, GRADS[2:], middle), expected)
        for key, array in whole.state().items():
            np.testing.assert_array_equal(second.state()[key], array)

    def test_names(self) -> None:
        keys = {name: sorted(self.stepped(make()).state()) for name, make in MAKERS.items()}
        assert keys["SGD"] == ["steps"]
        assert keys["momentum"] == ["steps", "w.velocity"]
        assert keys["RMSProp"] == ["steps", "w.square"]
        assert keys["Adam"] == ["steps", "w.mean", "w.square"]

    def stepped(self, optimizer: Optimizer) -> Optimizer:
        train(optimizer, GRADS[:1])
        return optimizer

    def test_state_is_a_copy_in_and_out(self) -> None:
        optimizer = self.stepped(SGD(0.1, 0.9))
        state = optimizer.state()
        other = SGD(0.1, 0.9)
        other.load_state(state)
        state["w.velocity"][:] = 99
        np.testing.assert_array_equal(optimizer.state()["w.velocity"], GRADS[0])
        np.testing.assert_array_equal(other.state()["w.velocity"], GRADS[0])

    def test_slots_follow_a_change_of_dtype_and_new_parameters(self) -> None:
        optimizer = SGD(1.0, 0.5)
        net = Sequential(Linear(1, 1, bias=False, init=lambda shape, rng: np.ones(shape)))
        parameters = net.parameters()
        parameters[0].grad[:] = 1
        optimizer.step(parameters)
        net.astype("float64")
        parameters[0].grad[:] = 0
        optimizer.step(parameters)
        assert parameters[0].data == 1 - 1 - 0.5
        assert optimizer.state()["0.weight.velocity"].dtype == np.float64
        extra = Parameter(np.zeros(2), "extra")
        optimizer.step([*parameters, extra])
        assert parameters[0].data == 1 - 1 - 0.5 - 0.25
        np.testing.assert_array_equal(optimizer.state()["extra.velocity"], [0, 0])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"w.velocity": np.zeros(3)},
                "Adam: state has the unknown entry 'w.velocity'; the slots of Adam: mean, square",
            ),
            ({"steps": None}, "Adam: state must have steps, an int of at least 0, got None"),
            ({"steps": np.array(-1)}, "Adam: state must have steps, an int of at least 0"),
            ({"steps": np.array(1.5)}, "Adam: state must have steps, an int of at least 0"),
            ({"v.mean": np.zeros(3)}, "Adam: state lacks the entry 'v.square'"),
        ],
    )
    def test_a_wrong_state_is_refused(self, change: dict[str, Any], message: str) -> None:
        optimizer = self.stepped(Adam())
        before = optimizer.state()
        with pytest.raises(ValueError, match=message):
            optimizer.load_state({**before, **change})
        for key, array in before.items():
            np.testing.assert_array_equal(optimizer.state()[key], array)

    def test_a_state_of_other_parameters_is_refused_at_the_next_step(self) -> None:
        state = self.stepped(Adam()).state()
        optimizer = Adam()
        optimizer.load_state(state)
        with pytest.raises(ValueError, match=r"Adam: the loaded state must fit .*; missing: u; without parameter: w"):
            optimizer.step([Parameter(P.copy(), "u")])
        with pytest.raises(ValueError, match=r"Adam: w.mean must have shape \(2,\) \(the parameter's\), got \(3,\)"):
            optimizer.step([Parameter(np.zeros(2), "w")])
        optimizer.load_state({"steps": np.array(0)})
        optimizer.step([Parameter(np.zeros(2), "u")])


class TestMessages:
    def test_parameters(self) -> None:
        optimizer = SGD(0.1)
        with pytest.raises(ValueError, match="SGD: 2 parameters have the name 'weight'; names must be unique"):
            optimizer.step([*Linear(1, 1).parameters(), *Linear(1, 1).parameters()])
        parameter = Parameter(P.copy(), "w")
        optimizer.step([parameter])
        vars(parameter)["grad"] = np.zeros(2)  # past the check
        with pytest.raises(ValueError, match=r"SGD: the gradient of w must have shape \(3,\) .*got \(2,\)"):
            optimizer.step([parameter])
        vars(parameter)["grad"] = np.zeros(3, np.float32)
        with pytest.raises(TypeError, match=r"SGD: w and its gradient must both .* got float64 and float32"):
            optimizer.step([parameter])
        vars(parameter)["grad"] = np.zeros(6)[::2]
        with pytest.raises(ValueError, match="SGD: w and its gradient must be C-contiguous"):
            optimizer.step([parameter])

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: SGD(-0.1), ValueError, "SGD: lr must be at least 0, got -0.1"),
            (lambda: SGD("0.1"), TypeError, "SGD: lr must be a number, got '0.1'"),  # type: ignore[arg-type]
            (lambda: SGD(float("nan")), ValueError, "SGD: lr must be at least 0, got nan"),
            (lambda: SGD(0.1, 1.0), ValueError, r"SGD: momentum must be in \[0, 1\), got 1.0"),
            (lambda: SGD(0.1, weight_decay=-1), ValueError, "SGD: weight_decay must be at least 0, got -1"),
            (lambda: SGD(0.1, nesterov=True), ValueError, "SGD: nesterov needs a momentum above 0, got 0.0"),
            (lambda: RMSProp(decay=1), ValueError, r"RMSProp: decay must be in \[0, 1\), got 1"),
            (lambda: RMSProp(eps=0), ValueError, "RMSProp: eps must be positive, got 0"),
            (lambda: Adam(beta1=-0.1), ValueError, r"Adam: beta1 must be in \[0, 1\), got -0.1"),
            (lambda: Adam(beta2=1.0), ValueError, r"Adam: beta2 must be in \[0, 1\), got 1.0"),
            (lambda: Adam(eps=0.0), ValueError, "Adam: eps must be positive, got 0.0"),
            (lambda: Adam(None), TypeError, "Adam: lr must be a number, got None"),  # type: ignore[arg-type]
        ],
    )
    def test_bad_arguments(self, make: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            make()


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("make", [lambda c: SGD(0.1, 0.9, 0.1, clip_norm=c), lambda c: Adam(0.1, clip_norm=c), AdamW])
def test_frozen_parameters_stay_and_do_not_count(make: Any) -> None:
    """The other parameters go as if the frozen one were not there, and it goes on when it is thawed."""
    rng = np.random.default_rng(4)
    layer = Linear(3, 2, rng=1)
    layer.weight.name, layer.bias.name = "a", "b"
    alone = Parameter(layer.bias.data.copy(), "b")
    assert layer.freeze() is layer
    layer.bias.frozen = False
    start, (optimizer, witness) = layer.weight.data.copy(), (make(0.5), make(0.5))
    for _ in range(3):
        layer.weight.grad[...] = rng.standard_normal((2, 3))
        layer.bias.grad[...] = alone.grad[...] = rng.standard_normal(2)
        optimizer.step(layer.parameters())
        witness.step([alone])
    np.testing.assert_array_equal(layer.weight.data, start)
    np.testing.assert_array_equal(layer.bias.data, alone.data)
    layer.freeze(False)
    optimizer.step(layer.parameters())
    assert not np.any(layer.weight.data == start)


class OneByOne(SGD):
    """With an `_update` of its own, which takes plain arrays."""

    def _update(self, backend: Any, p: np.ndarray, grad: np.ndarray, *rest: Any) -> None:
        assert isinstance(p, np.ndarray)
        super()._update(backend, p, grad, *rest)


@pytest.mark.usefixtures("any_backend")
class TestManyAtOnce:
    """Arrays of one dtype with the same settings are updated by one call; what changes between steps is followed."""

    def both(self, rng: np.random.Generator) -> list[tuple[Optimizer, list[Parameter]]]:
        shapes = [(3, 4), (5,), (2, 3, 1), (7,)]
        start = [rng.standard_normal(shape).astype(np.float32 if i % 2 else float) for i, shape in enumerate(shapes)]
        settings = {"momentum": 0.9, "weight_decay": 0.01, "decay_all": False, "groups": {"2.weight": {"lr": 0.5}}}
        return [
            (kind(0.1, **settings), [Parameter(a.copy(), f"{i}.weight", decay=i != 3) for i, a in enumerate(start)])
            for kind in (SGD, OneByOne)
        ]

    def test_what_changes_between_steps(self, rng: np.random.Generator) -> None:
        both = self.both(rng)

        def change(change: Any) -> None:
            for _, parameters in both:
                change(parameters)
            for _ in range(2):
                grads = [rng.standard_normal(parameter.data.shape) for parameter in both[0][1]]
                for optimizer, parameters in both:
                    for parameter, grad in zip(parameters, grads):
                        parameter.grad[...] = grad
                    optimizer.step(parameters)
            for mine, theirs in zip(both[0][1], both[1][1]):
                np.testing.assert_array_equal(mine.data, theirs.data)
                assert mine.data.dtype == theirs.data.dtype

        def frozen(parameters: list[Parameter]) -> None:
            parameters[1].frozen = not parameters[1].frozen

        def another_array(parameters: list[Parameter]) -> None:
            parameters[0].data = parameters[0].data + 1

        def another_gradient(parameters: list[Parameter]) -> None:
            parameters[3].grad = np.zeros_like(parameters[3].grad)

        def another_dtype(parameters: list[Parameter]) -> None:
            parameters[2].data = parameters[2].data.astype(np.float32)
            parameters[2].grad = parameters[2].grad.astype(np.float32)

        def fewer(parameters: list[Parameter]) -> None:
            del parameters[0]

        change(lambda parameters: None)
        before = both[0][1][1].data.copy()
        change(frozen)
        np.testing.assert_array_equal(both[0][1][1].data, before)
        for each in (frozen, another_array, another_gradient, another_dtype, fewer):
            change(each)
        for name, slot in both[0][0].state().items():
            np.testing.assert_array_equal(slot, both[1][0].state()[name])

    def test_another_backend_between_steps(self, rng: np.random.Generator) -> None:
        both = self.both(rng)
        for name in ("reference", "im2col", "reference"):
            with kernels.use(name):
                for optimizer, parameters in both:
                    for parameter in parameters:
                        parameter.grad[...] = 0.5
                    optimizer.step(parameters)
        for mine, theirs in zip(both[0][1], both[1][1]):
            np.testing.assert_array_equal(mine.data, theirs.data)

    def test_an_optimiser_that_has_stepped_is_copied(self, rng: np.random.Generator) -> None:
        for optimizer, parameters in self.both(rng):
            optimizer.step(parameters)
            again, start = pickle.loads(pickle.dumps(optimizer)), [parameter.data.copy() for parameter in parameters]
            optimizer.step(parameters)
            expected = [parameter.data.copy() for parameter in parameters]
            for parameter, array in zip(parameters, start):
                parameter.data[...] = array
            again.step(parameters)
            for parameter, array in zip(parameters, expected):
                np.testing.assert_array_equal(parameter.data, array)


def test_parameters_that_share_memory_are_updated_one_after_the_other() -> None:
    """Large enough for several threads, which would lose updates of the same numbers."""
    memory = np.zeros(3_000_000, np.float32)
    parameters = [Parameter(memory, name) for name in ("a", "b", "c")]
    parameters[1].data = parameters[0].data
    vars(parameters[2])["_data"] = parameters[0].data[1000:]
    parameters[2].grad = np.ones(len(memory) - 1000, np.float32)
    for parameter in parameters:
        parameter.grad[...] = 1
    SGD(1.0).step(parameters)
    assert set(parameters[0].data[:1000].tolist()) == {-2.0}
    assert set(np.unique(parameters[0].data[1000:]).tolist()) == {-3.0}


def test_an_error_between_steps_leaves_no_updates_out(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = [Parameter(np.zeros(3), name) for name in ("a", "b", "c")]
    optimizer, backend = SGD(1.0), kernels.current()
    for parameter in parameters:
        parameter.grad[...] = 1
    optimizer.step(parameters)
    parameters[2].frozen = True
    with monkeypatch.context() as patched:
        patched.setattr(backend, "together", lambda arrays: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            optimizer.step(parameters)
    parameters[2].frozen = False
    optimizer.step(parameters)
    assert [parameter.data[0] for parameter in parameters] == [-2.0] * 3


def test_what_becomes_read_only_or_spared_between_steps() -> None:
    parameters = [Parameter(np.ones(3), name) for name in ("a", "b")]
    optimizer = SGD(0.1, weight_decay=0.5, decay_all=False)
    optimizer.step(parameters)
    parameters[0].decay = False
    optimizer.step(parameters)
    assert [parameter.data[0] for parameter in parameters] == [0.95, 0.95 * 0.95]
    parameters[1].data.flags.writeable = False
    with pytest.raises(ValueError, match="b and its gradient must be C-contiguous and b writeable"):
        optimizer.step(parameters)


def test_settings_that_change_between_steps_count() -> None:
    def run(later: bool, settings: dict[str, Any]) -> list[float]:
        parameters = [Parameter(np.ones(3), name, decay=name == "a") for name in ("a", "b")]
        optimizer = SGD(0.1, weight_decay=0.5, **({} if later else settings))
        for name, value in settings.items() if later else ():
            setattr(optimizer, name, value)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad[...] = 1
            optimizer.step(parameters)
        return [parameter.data[0] for parameter in parameters]

    for settings in ({"momentum": 0.9}, {"decay_all": False}, {"groups": {"b": {"lr": 0.5}}}):
        assert run(True, settings) == run(False, settings)
        assert run(True, settings) != run(True, {})
    parameters = [Parameter(np.ones(3), "a")]
    optimizer = SGD(0.1)
    optimizer.step(parameters)
    optimizer.groups = {"nobody": {"lr": 2.0}}
    with pytest.raises(ValueError, match="the pattern 'nobody' of groups must match a parameter"):
        optimizer.step(parameters)
