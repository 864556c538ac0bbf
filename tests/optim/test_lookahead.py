"""Lookahead: the paper's algorithm over several rounds, state, what it passes on, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import assert_a_saved_run_goes_on

import minidl
from minidl.layers import Parameter
from minidl.optim import SGD, Adam, AdamW, Lookahead
from minidl.optim.schedules import Cosine

P = np.array([1.0, -2.0, 0.5])
GRADS = np.random.default_rng(5).standard_normal((7, 3))


def train(optimizer: Any, grads: np.ndarray = GRADS, start: np.ndarray = P) -> np.ndarray:
    """The parameter after one step for each gradient."""
    parameter = Parameter(start.copy(), "w")
    for grad in grads:
        parameter.grad[...] = grad
        optimizer.step([parameter])
    return parameter.data


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("every", [1, 3, 5])
def test_the_published_algorithm(every: int) -> None:
    """Algorithm 1 with SGD and momentum as the inner loop, whose velocity goes on between rounds."""
    slow, p, v = P.copy(), P.copy(), np.zeros(3)
    for i, grad in enumerate(GRADS, 1):
        v = 0.9 * v + grad
        p = p - 0.1 * v
        if i % every == 0:
            slow = slow + 0.3 * (p - slow)
            p = slow.copy()
    np.testing.assert_allclose(train(Lookahead(SGD(0.1, 0.9), every, 0.3)), p, rtol=1e-12)


def test_alpha_one_is_the_optimiser_itself() -> None:
    np.testing.assert_allclose(train(Lookahead(Adam(0.1), 2, 1.0)), train(Adam(0.1)), rtol=1e-12)


def test_rate_schedule_and_steps_are_the_optimisers() -> None:
    lookahead = Lookahead(SGD(Cosine(0.2)))
    assert lookahead.lr == 0.2
    lookahead.progress(5.0, 10)
    assert lookahead.lr == lookahead.optimizer.lr == pytest.approx(0.1)
    lookahead.schedule = None
    lookahead.lr = 0.3
    lookahead.progress(9.0, 10)
    assert lookahead.optimizer.lr == 0.3
    train(lookahead)
    assert lookahead.steps == 7


class TestState:
    @pytest.mark.parametrize("at", [1, 3, 4])
    @pytest.mark.parametrize("inner", [lambda: SGD(0.1), lambda: SGD(0.1, 0.9), lambda: AdamW(0.1)])
    def test_a_restored_one_goes_on_exactly(self, inner: Any, at: int) -> None:
        whole = Lookahead(inner(), 3)
        expected = train(whole)
        first, second = Lookahead(inner(), 3), Lookahead(inner(), 3)
        middle = train(first, GRADS[:at])
        second.load_state(first.state())
        np.testing.assert_array_equal(train(second, GRADS[at:], middle), expected)
        for key, array in whole.state().items():
            np.testing.assert_array_equal(second.state()[key], array)

    def test_a_saved_run_goes_on_bit_for_bit(self, tmp_path: Path) -> None:
        def trainer(seed: int) -> minidl.Trainer:
            model = minidl.Model(minidl.Linear(3, 4, rng=seed), minidl.Relu(), minidl.Linear(4, 3, rng=seed))
            optimizer = Lookahead(SGD(minidl.OneCycle(0.1), 0.9, nesterov=True, clip_norm=1.0), every=4)
            return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer, average=minidl.WeightAverage(0.9))

        assert_a_saved_run_goes_on(trainer, tmp_path / "run")

    def test_slow_weights_follow_a_change_of_dtype(self) -> None:
        parameter, lookahead = Parameter(np.ones(2, np.float32), "w"), Lookahead(SGD(1.0), 2)
        parameter.grad[...] = 1
        lookahead.step([parameter])
        parameter.astype(np.dtype("f8"))
        lookahead.step([parameter])
        np.testing.assert_array_equal(parameter.data, [0.0, 0.0])
        assert lookahead.state()["w.slow"].dtype == np.float64

    def test_wrong_states_are_refused(self) -> None:
        lookahead = Lookahead(SGD(0.1, 0.9))
        train(lookahead)
        before = lookahead.state()
        for change, message in (
            ({"w.slow": None}, "Lookahead: state must have slow weights after its first step, got 0 of them"),
            ({"w.mean": np.zeros(3)}, "SGD: state has the unknown entry 'w.mean'"),
            ({"steps": np.array(0)}, "Lookahead: state must have slow weights after its first step, got 1 of them"),
        ):
            changed = {key: array for key, array in {**before, **change}.items() if array is not None}
            with pytest.raises(ValueError, match=message):
                lookahead.load_state(changed)
            for key, array in before.items():
                np.testing.assert_array_equal(lookahead.state()[key], array)

    def test_a_state_of_other_parameters_is_refused_at_the_next_step(self) -> None:
        lookahead = Lookahead(SGD(0.1))
        train(lookahead)
        lookahead.load_state(lookahead.state())
        with pytest.raises(ValueError, match=r"Lookahead: the loaded state must fit .*; missing: u; without .*: w"):
            lookahead.step([Parameter(P.copy(), "u")])
        with pytest.raises(ValueError, match=r"Lookahead: w.slow must have shape \(2,\) .* got \(3,\)"):
            lookahead.step([Parameter(np.zeros(2), "w")])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Lookahead(0.1), TypeError, r"Lookahead: optimizer must be one such as minidl.SGD\(lr=0.01\), got 0.1"),
        (lambda: Lookahead(SGD(0.1), 0), ValueError, "Lookahead: every must be at least 1, got 0"),
        (lambda: Lookahead(SGD(0.1), 5, 0.0), ValueError, r"Lookahead: alpha must be in \(0, 1\], got 0.0"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
