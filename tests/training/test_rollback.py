"""A callback takes the run back to a checkpoint: what follows is as if nothing had been in between."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.data.augment.transforms import Crop

pytestmark = pytest.mark.usefixtures("plain_backend")

STEPS = 7
"""Steps an epoch."""


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 50)
    return (60 * y[:, None, None, None] + rng.integers(0, 60, (50, 1, 4, 4))).astype(np.uint8), y


def trainer(lr=0.01, average=None):
    model = minidl.Model(
        *(minidl.Conv2D(1, 4, 3, rng=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.Flatten()),
        *(minidl.Dropout(0.3, rng=7), minidl.Linear(16, 8, rng=2), minidl.Dropout(0.2), minidl.Linear(8, 3, rng=3)),
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(lr), average)


def fit(run, data, **arguments):
    return run.fit(data, **{"validation": data, "epochs": 4, "batch_size": 8, "seed": 0, "verbose": False, **arguments})


def bits(run):
    arrays = {**run.model.state(), **run.optimizer.state(), **run.history.state()}
    arrays |= {} if run.average is None else run.average.state()
    del arrays["seconds"]
    return {name: array.tobytes() for name, array in arrays.items()}


class Back(minidl.Callback):
    """Saves after step number `save`, goes back after step `load`, `times` times; 0 of an epoch's steps: its end."""

    def __init__(self, path, save, load, times=1, at_epoch_end=False):
        self.path, self.save, self.load, self.left, self.at_epoch_end = path, save, load, times, at_epoch_end

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.save and not self.path.exists():
            trainer.save(self.path)
        if not self.at_epoch_end:
            self._back(trainer, history)

    def on_epoch_end(self, trainer, history):
        if self.at_epoch_end:
            self._back(trainer, history)

    def _back(self, trainer, history):
        if len(history.step_loss) == self.load and self.left:
            self.left -= 1
            trainer.load(self.path)


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("average", [None, lambda: minidl.WeightAverage(0.9, every=2)])
@pytest.mark.parametrize(
    ("save", "load", "at_epoch_end"),
    [(3, 5, False), (3, 2 * STEPS, False), (STEPS + 2, 3 * STEPS, True), (7, 28, True)],
)
def test_going_back_and_on_again_equals_the_undisturbed_run(data, tmp_path, seed, average, save, load, at_epoch_end):
    arguments = {"seed": seed, "augment": (Crop(1),)}
    minidl.seed(3)
    whole, again = (trainer(average=average and average()) for _ in range(2))
    fit(whole, data, callbacks=[minidl.KeepBest("train_loss")], **arguments)
    minidl.seed(3)
    back = Back(tmp_path / "f", save, load, times=2, at_epoch_end=at_epoch_end)
    history = fit(again, data, callbacks=[back, minidl.KeepBest("train_loss")], **arguments)
    assert back.left == 0
    assert history is again.history
    assert history.epochs == 4
    assert len(history.step_loss) == 4 * STEPS
    assert bits(again) == bits(whole)


def test_states_of_callbacks_and_logs_go_back_too(data, tmp_path):
    class Count(minidl.Callback):
        def on_fit_begin(self, trainer):
            self.steps = 0

        def on_step_end(self, trainer, history):
            self.steps += 1

        def state(self):
            return {"steps": self.steps}

        def load_state(self, state):
            self.steps = state["steps"]

    count, log = Count(), minidl.CSVLog(tmp_path / "log")
    fit(trainer(), data, callbacks=[count, log, Back(tmp_path / "f", STEPS + 2, 3 * STEPS, at_epoch_end=True)])
    assert count.steps == 4 * STEPS
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4"]


def test_the_epoch_that_is_undone_is_told_to_nobody_else(data, tmp_path):
    seen = []

    class Watch(minidl.Callback):
        def on_epoch_end(self, trainer, history):
            seen.append(history.epochs)

    back = Back(tmp_path / "f", STEPS + 2, 3 * STEPS, at_epoch_end=True)
    fit(trainer(), data, callbacks=[back, Watch()])
    assert seen == [1, 2, 2, 3, 4]


def test_going_back_and_stopping(data, tmp_path):
    class Best(Back):
        def on_epoch_end(self, trainer, history):
            super().on_epoch_end(trainer, history)
            return not self.left

    run = trainer()
    history = fit(run, data, callbacks=[Best(tmp_path / "f", STEPS, 2 * STEPS, at_epoch_end=True)])
    assert (history.epochs, len(history.step_loss)) == (0, STEPS)  # the file is of the moment before the validation
    assert run.run.stopped == "Best"


def test_a_file_of_before_any_fit_begins_the_run_anew(data, tmp_path):
    minidl.seed(3)
    whole, again = trainer(), trainer()
    fit(whole, data)
    minidl.seed(3)
    again.save(tmp_path / "f")
    fit(again, data, callbacks=[Back(tmp_path / "f", 0, 10)])
    assert bits(again) == bits(whole)


@pytest.mark.parametrize("average", [None, lambda: minidl.WeightAverage(0.9)])
def test_a_file_of_another_run_is_refused_and_the_run_goes_on(data, tmp_path, average):
    other = trainer(average=average and average())
    fit(other, (data[0][::-1], data[1]), epochs=1)
    other.save(tmp_path / "other")
    errors = []

    class Wrong(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 5:
                with pytest.raises(ValueError, match="other': Trainer: training data must be those") as caught:
                    trainer.load(tmp_path / "other")
                errors.append(caught.value)

    whole, again = (trainer(average=average and average()) for _ in range(2))
    minidl.seed(3)
    fit(whole, data)
    minidl.seed(3)
    fit(again, data, callbacks=[Wrong()])
    assert len(errors) == 1
    assert bits(again) == bits(whole)


def test_a_rate_that_the_run_has_changed_goes_back(data, tmp_path):
    class Halve(minidl.Callback):
        def on_epoch_end(self, trainer, history):
            trainer.optimizer.lr /= 2

    history = fit(
        trainer(0.08), data, callbacks=[Halve(), Back(tmp_path / "f", STEPS + 1, 3 * STEPS, at_epoch_end=True)]
    )
    assert history["lr"] == [0.08, 0.04, 0.02, 0.01]


def test_fit_within_fit_is_refused_and_find_lr_leaves_no_trace(data):
    class Nested(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 3:
                with pytest.raises(RuntimeError, match="fit must not be called while it runs"):
                    trainer.fit(data)
                minidl.find_lr(trainer, data, steps=5)

    whole, again = (trainer(average=minidl.WeightAverage(0.9)) for _ in range(2))
    minidl.seed(3)
    fit(whole, data)
    minidl.seed(3)
    fit(again, data, callbacks=[Nested()])
    assert bits(again) == bits(whole)
    assert fit(again, data, epochs=1).epochs == 1  # and it can be called again


def test_fit_can_be_called_again_after_an_error(data):
    class Fail(minidl.Callback):
        def on_fit_begin(self, trainer):
            raise KeyError("no")

    run = trainer()
    with pytest.raises(KeyError, match="no"):
        fit(run, data, callbacks=[Fail()])
    assert run.history.epochs == 0
    assert run.validation is None
    assert fit(run, data, epochs=1).epochs == 1


@pytest.mark.parametrize("average", [None, lambda: minidl.WeightAverage(0.9)])
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_another_run_loaded_at_the_beginning_changes_nothing(data, tmp_path, average, resume):
    other = trainer(average=average and average())
    fit(other, (data[0][::-1], data[1]), epochs=1)
    other.save(tmp_path / "other")

    class Wrong(minidl.Callback):
        def on_fit_begin(self, trainer):
            trainer.load(tmp_path / "other")

    run = trainer(average=average and average())
    fit(run, data, epochs=2)
    before, state, rate = bits(run), run.state, run.optimizer.lr
    with pytest.raises(ValueError, match="training data must be those"):
        fit(run, data, callbacks=[Wrong()], resume=resume)
    assert bits(run) == before
    assert run.state is state
    assert run.optimizer.lr == rate
