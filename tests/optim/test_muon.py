"""Muon: the iteration against singular values, the published step, the parameters beside it, state, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import assert_a_saved_run_goes_on

import minidl
from minidl.layers import Parameter
from minidl.optim import SGD, Adam, AdamW, Lookahead, Muon
from minidl.optim.muon import orthogonal
from minidl.optim.schedules import Cosine, Exponential

SHAPES = {"conv.weight": (4, 3, 2, 2), "tall.weight": (5, 2), "conv.bias": (4,), "last.weight": (3, 4)}
MATRICES = ("conv.weight", "tall.*")
GRADS = [
    {name: np.random.default_rng((i, len(name))).standard_normal(shape) for name, shape in SHAPES.items()}
    for i in range(6)
]


def parameters(dtype: str = "f8") -> list[Parameter]:
    rng = np.random.default_rng(9)
    return [Parameter(rng.standard_normal(shape).astype(dtype), name) for name, shape in SHAPES.items()]


def train(optimizer: Any, params: list[Parameter], grads: list[dict[str, np.ndarray]] = GRADS) -> list[np.ndarray]:
    """The parameters after one step for each set of gradients."""
    for grad in grads:
        for parameter in params:
            parameter.grad[...] = grad[parameter.name]
        optimizer.step(params)
    return [parameter.data for parameter in params]


def by_singular_values(matrix: np.ndarray, steps: int) -> np.ndarray:
    """U f(f(...f(S / |S|))) V^T with the quintic f of the source."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(steps):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return u * s @ vt


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (6, 6), (4, 30), (30, 4)])
def test_the_iteration_acts_on_each_singular_value(shape: tuple[int, int], steps: int) -> None:
    matrix = np.random.default_rng(1).standard_normal(shape)
    np.testing.assert_allclose(orthogonal(matrix, steps), by_singular_values(matrix, steps), rtol=1e-5, atol=1e-6)
    single = orthogonal(matrix.astype("f4"), steps)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, orthogonal(matrix, steps), rtol=1e-3, atol=1e-4)


def test_five_iterations_bring_singular_values_near_one() -> None:
    matrix = np.random.default_rng(2).standard_normal((40, 90))
    values = np.linalg.svd(orthogonal(matrix, 5), compute_uv=False)
    assert values.min() > 0.65
    assert values.max() < 1.25
    np.testing.assert_array_equal(orthogonal(np.zeros((2, 3)), 5), np.zeros((2, 3)))


@pytest.mark.parametrize("shape", [(70, 300), (300, 70)])
def test_the_products_are_the_backend_s(native: Any, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """So any number of threads gives the same bits; numpy's products depend on those of its BLAS."""
    calls, product = [], native.linear_forward
    monkeypatch.setattr(native, "linear_forward", lambda *given: calls.append(1) or product(*given))
    matrix = np.random.default_rng(3).standard_normal(shape).astype("f4")
    before, found = native.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            found.add(orthogonal(matrix, 4).tobytes())
    finally:
        native.set_num_threads(before)
    assert len(found) == 1
    assert len(calls) == 3 * 4 * 3


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("fixed_norm", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_published_step(nesterov: bool, fixed_norm: bool, weight_decay: float) -> None:
    params = parameters()
    expected = {parameter.name: parameter.data.copy() for parameter in params}
    velocity = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for grads in GRADS:
        for name, grad in grads.items():
            p, v = expected[name], velocity[name]
            if name not in ("conv.weight", "tall.weight"):
                p -= 0.03 * grad
                continue
            v += (1 - 0.8) * (grad - v)
            u = grad + 0.8 * (v - grad) if nesterov else v
            rows = len(p)
            change = by_singular_values(u.reshape(rows, -1), 3).reshape(p.shape)
            if fixed_norm:
                p *= np.sqrt(rows) / np.sqrt(np.sum(p**2))
            p *= 1 - 0.05 * weight_decay
            p -= 0.05 * max(1, rows / (p.size // rows)) ** 0.5 * change
    optimizer = Muon(SGD(0.03), MATRICES, 0.05, 0.8, weight_decay, nesterov, 3, fixed_norm=fixed_norm)
    for parameter, data in zip(params, train(optimizer, params), strict=True):
        np.testing.assert_allclose(data, expected[parameter.name], rtol=1e-5, atol=1e-6, err_msg=parameter.name)


def test_each_optimiser_has_its_own_rate() -> None:
    optimizer = Muon(SGD(Exponential(0.4, 0.5)), MATRICES, Cosine(0.2))
    optimizer.progress(5.0, 10)
    assert optimizer.lr == pytest.approx(0.1)
    assert optimizer.optimizer.lr == pytest.approx(0.4 / 32)
    params = parameters()
    train(optimizer, params, GRADS[:2])
    assert optimizer.steps == optimizer.optimizer.steps == 2
    before = [parameter.data.copy() for parameter in params]
    optimizer.lr = 0.0
    optimizer.schedule = None
    train(optimizer, params, GRADS[2:3])
    changed = [not np.array_equal(old, new.data) for old, new in zip(before, params, strict=True)]
    assert changed == [False, False, True, True]


def test_groups_are_settings_of_the_matrices() -> None:
    params = parameters()
    start = params[0].data.copy()
    train(Muon(SGD(0.1), MATRICES, 0.1, groups={"conv.*": {"lr": 0.0}}), params)
    np.testing.assert_array_equal(params[0].data, start)


class TestState:
    @pytest.mark.parametrize("at", [1, 4])
    @pytest.mark.parametrize("others", [lambda: SGD(0.1), lambda: SGD(0.1, 0.9), lambda: AdamW(0.1)])
    @pytest.mark.parametrize("wrap", [lambda muon: muon, lambda muon: Lookahead(muon, 3)])
    def test_a_restored_one_goes_on_exactly(self, wrap: Any, others: Any, at: int) -> None:
        whole, first, second = (wrap(Muon(others(), MATRICES, 0.1, fixed_norm=True)) for _ in range(3))
        expected = train(whole, parameters())
        params = parameters()
        train(first, params, GRADS[:at])
        second.load_state(first.state())
        for data, goal in zip(train(second, params, GRADS[at:]), expected, strict=True):
            np.testing.assert_array_equal(data, goal)
        for key, array in whole.state().items():
            np.testing.assert_array_equal(second.state()[key], array)

    def test_a_saved_run_goes_on_bit_for_bit(self, tmp_path: Path) -> None:
        def trainer(seed: int) -> minidl.Trainer:
            model = minidl.Model(minidl.Linear(3, 4, rng=seed), minidl.Relu(), minidl.Linear(4, 3, rng=seed))
            optimizer = Muon(Adam(minidl.OneCycle(0.1)), ["0.weight"], minidl.OneCycle(0.1))
            return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer)

        assert_a_saved_run_goes_on(trainer, tmp_path / "run")

    def test_wrong_states_are_refused_and_change_nothing(self) -> None:
        optimizer = Muon(SGD(0.1, 0.9), MATRICES)
        train(optimizer, parameters())
        before = optimizer.state()
        for change, error, message in (
            (
                {"conv.bias.velocity": np.zeros(4, int), "tall.weight.velocity": np.ones((5, 2))},
                TypeError,
                "SGD: conv.bias.velocity must be an array of float32 or float64, got dtype int64",
            ),
            ({"conv.bias.mean": np.zeros(4)}, ValueError, "SGD: state has the unknown entry 'conv.bias.mean'"),
            ({"tall.weight.mean": np.zeros(4)}, ValueError, "Muon: state has the unknown entry 'tall.weight.mean'"),
            ({"steps": np.array(-1)}, ValueError, "Muon: state must have steps, an int of at least 0"),
        ):
            with pytest.raises(error, match=message):
                optimizer.load_state({**before, **change})
            assert optimizer.state().keys() == before.keys()
            for key, array in before.items():
                np.testing.assert_array_equal(optimizer.state()[key], array)

    def test_a_state_of_other_parameters_is_refused_at_the_next_step(self) -> None:
        optimizer = Muon(SGD(0.1), MATRICES)
        train(optimizer, parameters())
        state = {key: array for key, array in optimizer.state().items() if not key.startswith("tall")}
        optimizer.load_state(state)
        params = parameters()
        with pytest.raises(ValueError, match=r"Muon: the loaded state must fit .*; missing: tall.weight; without"):
            train(optimizer, params)
        for parameter, fresh in zip(params, parameters(), strict=True):
            np.testing.assert_array_equal(parameter.data, fresh.data)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Muon(0.1, MATRICES), TypeError, r"Muon: optimizer must be one such as minidl.SGD\(lr=0.01\), got 0.1"),
        (lambda: Muon(SGD(0.1), "*.weight"), TypeError, r"Muon: weights must be patterns .*, got '\*.weight'"),
        (lambda: Muon(SGD(0.1), ()), TypeError, r"Muon: weights must be patterns of names .*, got \(\)"),
        (lambda: Muon(SGD(0.1), MATRICES, -1.0), ValueError, "Muon: lr must be at least 0, got -1.0"),
        (lambda: Muon(SGD(0.1), MATRICES, 0.1, 1.0), ValueError, r"Muon: momentum must be in \[0, 1\), got 1.0"),
        (lambda: Muon(SGD(0.1), MATRICES, steps=0), ValueError, "Muon: steps must be at least 1, got 0"),
        (
            lambda: train(Muon(SGD(0.1), ["x.*"]), parameters()),
            ValueError,
            r"'x\.\*' of weights must match a parameter",
        ),
        (
            lambda: train(Muon(SGD(0.1), ["conv.*"]), parameters()),
            ValueError,
            r"Muon: conv.bias must have at least two axes for 'conv\.\*', got shape \(4,\)",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
