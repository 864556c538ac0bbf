"""The running average of weights: its formula, what the model has when, states, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import WeightAverage


def network(rng: int = 1) -> minidl.Model:
    return minidl.Model(minidl.Linear(3, 5, rng=rng), minidl.BatchNorm1D(5), minidl.Relu(), minidl.Linear(5, 3, rng=2))


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = rng.integers(0, 3, 40)
    return (2 * np.eye(3)[y] + rng.standard_normal((40, 3))).astype(np.float32), y


def trainer(average: WeightAverage | None, model: minidl.Model | None = None) -> minidl.Trainer:
    optimizer = minidl.SGD(0.1, 0.9)
    return minidl.Trainer(model or network(), minidl.SoftmaxCrossEntropyLoss(), optimizer, average=average)


def fit(trained: minidl.Trainer, data: Any, **arguments: Any) -> minidl.History:
    return trained.fit(data, **{"batch_size": 8, "seed": 0, "verbose": False, **arguments})


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


@pytest.mark.usefixtures("any_backend")
class TestFormula:
    @pytest.mark.parametrize("every", [1, 2])
    @pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
    def test_it_is_the_mean_with_falling_weights(self, decay: float, every: int, rng: np.random.Generator) -> None:
        model = minidl.Model(minidl.Linear(4, 3, rng=0), minidl.BatchNorm1D(3), dtype="float64")
        average = WeightAverage(decay, every)
        average.train(model)
        seen: list[dict[str, np.ndarray]] = []
        for step in range(1, 7):
            for array in (*(p.data for p in model.parameters()), *model.buffers().values()):
                array[...] = rng.standard_normal(array.shape)
            average.step()
            if step % every == 0:
                seen.append(model.state())
        last = model.state()
        average.apply()
        share = decay ** np.arange(len(seen) - 1, -1, -1.0)
        share /= share.sum()
        for name, array in model.state().items():
            expected = np.tensordot(share, [weights[name] for weights in seen], 1)
            np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-12)
        average.train(model)
        assert_same(model.state(), last)

    def test_weights_that_stay_are_their_own_average(self) -> None:
        model, average = network(), WeightAverage(0.9)
        before = model.state()
        average.train(model)
        for _ in range(5):
            average.step()
        average.apply()
        assert_same(model.state(), before)


class TestTraining:
    def test_the_model_validates_and_ends_with_the_average_and_trains_without(self, data: Any) -> None:
        plain, averaged = trainer(None), trainer(WeightAverage(0.9))
        fit(plain, data, validation=data, epochs=3)
        history = fit(averaged, data, validation=data, epochs=3)
        assert averaged.average is not None
        state = averaged.average.state()
        assert_same({name: state[f"{name}.raw"] for name in plain.model.state()}, plain.model.state())
        assert_same({name: state[f"{name}.average"] for name in plain.model.state()}, averaged.model.state())
        assert history["val_loss"][-1] == pytest.approx(averaged.evaluate(data)["loss"], rel=1e-6)
        assert history["train_loss"] == plain.history["train_loss"]
        assert history["val_loss"][-1] != plain.history["val_loss"][-1]

    def test_every_step_counts(self, data: Any) -> None:
        """One step: the average is that step's weights."""
        plain, averaged = trainer(None), trainer(WeightAverage(0.9))
        for trained in (plain, averaged):
            fit(trained, data, batch_size=40)
        assert_same(averaged.model.state(), plain.model.state())

    def test_callbacks_see_the_average(self, data: Any) -> None:
        trained = trainer(WeightAverage(0.9))
        seen: list[dict[str, np.ndarray]] = []

        class Look(minidl.Callback):
            def on_epoch_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
                seen.append(trainer.model.state())

        best = minidl.KeepBest("val_loss")
        fit(trained, data, validation=data, epochs=4, callbacks=[best, Look()])
        assert best.best_epoch is not None
        assert_same(trained.model.state(), seen[best.best_epoch])

    def test_going_on_is_an_unbroken_run(self, data: Any) -> None:
        whole, parts = trainer(WeightAverage(0.9, 2)), trainer(WeightAverage(0.9, 2))
        fit(whole, data, epochs=4)
        fit(parts, data, epochs=1)
        fit(parts, data, epochs=4, resume=True)
        assert_same(parts.model.state(), whole.model.state())

    def test_weights_that_were_set_meanwhile_are_trained(self, data: Any) -> None:
        average = WeightAverage(0.9)
        trained, other = trainer(average), network(7)
        fit(trained, data)
        trained.model.load_state(other.state())
        average.train(trained.model)
        assert_same(trained.model.state(), other.state())
        assert average.steps == 0

    def test_it_follows_a_change_of_dtype(self, data: Any) -> None:
        trained = trainer(WeightAverage(0.9))
        fit(trained, data)
        trained.model.astype("float64")
        fit(trained, data)
        assert trained.average is not None
        assert trained.average.steps == 10
        assert {array.dtype.name for array in trained.model.state().values()} == {"float64"}

    def test_after_ctrl_c_the_model_has_the_average(self, data: Any) -> None:
        trained = trainer(WeightAverage(0.9))

        class Stop(minidl.SoftmaxCrossEntropyLoss):
            count = 0

            def run(self, logits: Any, target: np.ndarray) -> float:
                self.count += 1
                if self.count == 4:
                    raise KeyboardInterrupt
                return super().run(logits, target)

        trained.loss = Stop()
        assert fit(trained, data).interrupted
        assert trained.average is not None
        state = trained.average.state()
        assert state["steps"] == 3
        assert_same({name: state[f"{name}.average"] for name in trained.model.state()}, trained.model.state())


class TestState:
    @pytest.mark.parametrize("every", [1, 7])
    def test_a_saved_run_goes_on_bit_for_bit(self, data: Any, tmp_path: Path, every: int) -> None:
        whole, first, second = (trainer(WeightAverage(0.9, every), network(i)) for i in (1, 1, 5))
        fit(whole, data, epochs=3)
        fit(first, data, epochs=1)
        first.save(tmp_path / "run.safetensors")
        second.load(tmp_path / "run.safetensors")
        fit(second, data, epochs=3, resume=True)
        assert_same(second.model.state(), whole.model.state())
        assert whole.average is not None
        assert second.average is not None
        assert_same(second.average.state(), whole.average.state())

    def test_a_file_with_averages_needs_an_average_and_the_reverse(self, data: Any, tmp_path: Path) -> None:
        with_one, without = trainer(WeightAverage()), trainer(None, network(3))
        fit(with_one, data)
        fit(without, data)
        with_one.save(tmp_path / "with")
        without.save(tmp_path / "without")
        for trained, name, message in (
            (without, "with", r"has averaged weights, which need Trainer\(average=minidl.WeightAverage\(\)\)"),
            (with_one, "without", "it has no averaged weights"),
        ):
            before, steps = trained.model.state(), trained.optimizer.state()
            with pytest.raises(ValueError, match=message):
                trained.load(tmp_path / name)
            assert_same(trained.model.state(), before)
            assert_same(trained.optimizer.state(), steps)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"steps": None}, "WeightAverage: state must have steps, an int of at least 0, got None"),
            ({"steps": np.array(-1)}, "WeightAverage: state must have steps"),
            ({"steps": np.array(0)}, "WeightAverage: state must have an average, and a raw weight or none"),
            ({"other": np.zeros(1)}, "WeightAverage: state has the unknown entry 'other'"),
            ({"0.weight.raw": np.zeros(1)}, "WeightAverage: state must have an average, and a raw weight or none"),
        ],
    )
    def test_a_wrong_state_is_refused(self, change: dict[str, Any], message: str) -> None:
        average = WeightAverage()
        average.train(network())
        average.step()
        before = average.state()
        with pytest.raises(ValueError, match=message):
            average.load_state({**before, **change})
        assert_same(average.state(), before)

    def test_averages_of_another_model_are_refused(self) -> None:
        average = WeightAverage()
        average.train(network())
        average.step()
        with pytest.raises(ValueError, match="WeightAverage: the averages must be those of the model"):
            average.train(minidl.Model(minidl.Linear(3, 5)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WeightAverage(1.0), ValueError, r"WeightAverage: decay must be in \[0, 1\), got 1.0"),
        (lambda: WeightAverage("0.9"), TypeError, "WeightAverage: decay must be a number"),  # type: ignore[arg-type]
        (lambda: WeightAverage(0.9, 0), ValueError, "WeightAverage: every must be at least 1, got 0"),
        (
            lambda: trainer(0.9),  # type: ignore[arg-type]
            TypeError,
            r"Trainer: average must be None or a minidl.WeightAverage\(\), got 0.9",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
