"""Clipping by the global norm, and parameter groups, by their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import Parameter
from minidl.optim import SGD, Adam, AdamW, Optimizer, RMSProp

TOL = {"rtol": 1e-12, "atol": 1e-15}


def parameters(*names: str) -> list[Parameter]:
    """Ones with the gradients 3, 4, 3, 4, ..."""
    found = [Parameter(np.ones(1), name) for name in names]
    for i, parameter in enumerate(found):
        parameter.grad[...] = 4 if i % 2 else 3
    return found


def step(optimizer: Optimizer, *names: str) -> list[float]:
    """The parameters after one step."""
    found = parameters(*names)
    optimizer.step(found)
    return [parameter.data.item() for parameter in found]


@pytest.mark.usefixtures("any_backend")
class TestClipping:
    def test_a_large_norm_is_brought_down(self) -> None:
        optimizer = SGD(0.1, clip_norm=2.5)
        np.testing.assert_allclose(step(optimizer, "a", "b"), [1 - 0.1 * 1.5, 1 - 0.1 * 2.0], **TOL)
        assert optimizer.grad_norm == 5.0

    @pytest.mark.parametrize("clip_norm", [5.0, 6.0])
    def test_a_small_norm_stays(self, clip_norm: float) -> None:
        np.testing.assert_allclose(step(SGD(0.1, clip_norm=clip_norm), "a", "b"), [0.7, 0.6], **TOL)

    @pytest.mark.parametrize("rule", [SGD, RMSProp, Adam, AdamW])
    def test_every_optimiser_steps_as_with_the_clipped_gradient(self, rule: Any, rng: np.random.Generator) -> None:
        """Weight decay is no part of the norm and is not clipped."""
        clipped, plain = rule(0.1, weight_decay=0.3, clip_norm=0.7), rule(0.1, weight_decay=0.3)
        mine, theirs = (
            [Parameter(np.linspace(-1, 1, 40).reshape(5, 8), "w"), Parameter(np.ones(3), "b")] for _ in range(2)
        )
        for _ in range(3):
            gradients = [rng.standard_normal(parameter.data.shape) for parameter in mine]
            norm = np.sqrt(sum(np.sum(grad**2) for grad in gradients))
            for parameter, grad in zip(mine, gradients, strict=True):
                parameter.grad[...] = grad
            for parameter, grad in zip(theirs, gradients, strict=True):
                parameter.grad[...] = grad * min(1, 0.7 / norm)
            clipped.step(mine)
            plain.step(theirs)
            assert clipped.grad_norm == pytest.approx(norm, rel=1e-12)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-14)

    def test_gradients_keep_their_values(self) -> None:
        found = parameters("a", "b")
        SGD(0.1, clip_norm=0.1).step(found)
        assert [parameter.grad.item() for parameter in found] == [3, 4]

    def test_zero_gradients_are_left_alone(self) -> None:
        found = parameters("a")
        found[0].grad[...] = 0
        SGD(0.1, clip_norm=0.1).step(found)
        assert found[0].data.item() == 1

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_norm_that_is_no_number_changes_nothing(self, bad: float) -> None:
        found, optimizer = parameters("a", "b"), SGD(0.1, 0.9, clip_norm=1.0)
        found[1].grad[...] = bad
        with pytest.raises(FloatingPointError, match="SGD: the gradients' norm must be finite to be clipped, got"):
            optimizer.step(found)
        assert [parameter.data.item() for parameter in found] == [1, 1]
        assert optimizer.steps == 0
        assert not optimizer.state()["a.velocity"].any()


class TestGroups:
    NAMES = "0.weight", "0.bias", "1.gamma", "1.beta"

    def test_the_rate_is_a_factor_and_the_decay_a_value(self) -> None:
        optimizer = SGD(0.1, weight_decay=0.5, groups={"*.bias": {"lr": 2.0}, "1.*": {"weight_decay": 0.0}})
        expected = [1 - 0.1 * 3.5, 1 - 0.2 * 4.5, 1 - 0.1 * 3, 1 - 0.1 * 4]
        np.testing.assert_allclose(step(optimizer, *self.NAMES), expected, **TOL)

    def test_the_last_pattern_with_a_setting_decides_it(self) -> None:
        groups = {"*": {"lr": 2.0, "weight_decay": 1.0}, "0.*": {"lr": 3.0}, "*.bias": {"weight_decay": 0.0}}
        expected = [1 - 0.3 * 4, 1 - 0.3 * 4, 1 - 0.2 * 4, 1 - 0.2 * 5]
        np.testing.assert_allclose(step(SGD(0.1, groups=groups), *self.NAMES), expected, **TOL)

    def test_a_group_beats_decay_all(self) -> None:
        optimizer = SGD(0.1, weight_decay=0.5, decay_all=False, groups={"b": {"weight_decay": 0.25}})
        found = parameters("a", "b")
        for parameter in found:
            parameter.decay = False
        optimizer.step(found)
        np.testing.assert_allclose([p.data.item() for p in found], [0.7, 1 - 0.1 * 4.25], **TOL)

    @pytest.mark.parametrize("rule", [SGD, RMSProp, Adam, AdamW])
    def test_every_optimiser_follows_them(self, rule: Any) -> None:
        grouped = rule(0.1, weight_decay=0.3, groups={"a": {"lr": 0.5, "weight_decay": 0.7}})
        apart = step(rule(0.05, weight_decay=0.7), "a"), step(rule(0.1, weight_decay=0.3), "z", "b")
        np.testing.assert_allclose(step(grouped, "a", "b"), [apart[0][0], apart[1][1]], **TOL)

    def test_the_factor_follows_the_schedule(self) -> None:
        optimizer = SGD(lambda epoch, epochs: 0.1 * (1 + epoch), groups={"a": {"lr": 2.0}})
        optimizer.progress(1.0, 2)
        np.testing.assert_allclose(step(optimizer, "a", "b"), [1 - 0.4 * 3, 1 - 0.2 * 4], **TOL)

    def test_a_factor_of_zero_freezes(self) -> None:
        assert step(SGD(0.1, groups={"a": {"lr": 0.0}}), "a", "b")[0] == 1

    def test_a_pattern_without_a_parameter_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"SGD: the pattern '\*.baas' of groups must match a parameter, got a, b"):
            step(SGD(0.1, groups={"a": {}, "*.baas": {"lr": 2.0}}), "a", "b")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clip_norm": 0.0}, ValueError, "SGD: clip_norm must be positive, got 0.0"),
        ({"clip_norm": "1"}, TypeError, "SGD: clip_norm must be a number, got '1'"),
        ({"groups": ["*.bias"]}, TypeError, r"SGD: groups must be a mapping such as {\"\*.bias\": {\"lr\": 2.0}}, got"),
        ({"groups": {"*": 2.0}}, TypeError, r"SGD: groups\['\*'\] must be a mapping such as {\"lr\": 2.0}, got 2.0"),
        ({"groups": {1: {}}}, TypeError, "SGD: groups must be a mapping"),
        ({"groups": {"*": {"lr": -1}}}, ValueError, r"SGD: groups\['\*'\]\['lr'\] must be at least 0, got -1"),
        ({"groups": {"*": {"rate": 1}}}, ValueError, r"SGD: groups\['\*'\]\['rate'\] must be one of lr, weight_decay"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SGD(0.1, **arguments)
