"""Trainer, history and callbacks, on sets small enough to compute by hand."""

from __future__ import annotations

import math
import signal
import threading

import numpy as np
import pytest

import minidl
from minidl.training.arrays import check_finite
from minidl.training.history import KEYS, History
from minidl.training.samples import prepare

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    """Three classes of rows, far apart."""
    y = rng.integers(0, 3, 50)
    x = 4 * np.eye(3)[y] + rng.standard_normal((50, 3))
    return x.astype(np.float32), y


def network(dtype="float32", seed=1):
    return minidl.Model(minidl.Linear(3, 8, rng=seed), minidl.Relu(), minidl.Linear(8, 3, rng=seed + 1), dtype=dtype)


def trainer(model=None, loss=None, **arguments):
    arguments = {"lr": 0.1, "momentum": 0.9, **arguments}
    return minidl.Trainer(model or network(), loss or minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(**arguments))


def weights(trained):
    return b"".join(array.tobytes() for array in trained.model.state().values())


def fit(trained, data, **arguments):
    return trained.fit(data, **{"batch_size": 8, "seed": 0, "verbose": False, **arguments})


class Each(minidl.Callback):
    """Runs a function after each epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, trainer, history):
        return self.function(trainer, history)


# ---- fit and evaluate ------------------------------------------------------------------------------------------------


def test_fit_does_exactly_the_steps_of_the_formula(data):
    x, y = data[0].astype(np.float64), data[1]
    trained = trainer(network("float64"), weight_decay=0.01)
    history = fit(trained, (x, y), epochs=2)

    model, loss = network("float64"), minidl.SoftmaxCrossEntropyLoss()
    velocity = [np.zeros_like(p.data) for p in model.parameters()]
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(2):
        order = rng.permutation(50)
        for start in range(0, 50, 8):  # 6 full batches and one of 2
            index = order[start : start + 8]
            losses.append(loss.forward(model.forward(x[index], train=True), y[index]))
            model.backward(loss.backward())
            for p, v in zip(model.parameters(), velocity, strict=True):
                v *= 0.9
                v += p.grad + 0.01 * p.data
                p.data -= 0.1 * v
    for p, q in zip(trained.model.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)
    np.testing.assert_allclose(history.step_loss, losses, rtol=1e-12)
    sizes = [8] * 6 + [2]
    for epoch in range(2):
        mean = np.average(losses[7 * epoch : 7 * epoch + 7], weights=sizes)
        assert history["train_loss"][epoch] == pytest.approx(mean, rel=1e-12)


def test_it_learns_on_every_backend(backend, data):
    trained = trainer()
    history = fit(trained, data, validation=data, epochs=5)
    assert history["val_accuracy"][-1] > 0.9
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert trained.evaluate(data) == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}


def test_images_in_uint8_train_on_every_backend(backend, rng):
    y = rng.integers(0, 2, 40)
    x = (rng.integers(0, 100, (40, 1, 6, 6)) + 150 * y[:, None, None, None]).astype(np.uint8)
    model = minidl.Model(
        minidl.Conv2D(1, 4, 3, rng=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Flatten(), minidl.Dropout(0.1, rng=0), minidl.Linear(16, 2, rng=2), mean=0.5, std=0.25,
    )  # fmt: skip
    history = fit(minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.01)), (x, y), epochs=8)
    assert history["train_accuracy"][-1] > 0.9


def test_evaluate_is_the_loss_of_the_predictions(backend, data):
    trained = trainer()
    scores = trained.evaluate(data, batch_size=7)
    logits = trained.model.predict(data[0])
    assert scores["loss"] == pytest.approx(minidl.SoftmaxCrossEntropyLoss().forward(logits, data[1]), rel=1e-5)
    assert scores["accuracy"] == np.mean(logits.argmax(axis=1) == data[1])


def test_history_has_one_number_an_epoch_under_every_name(data):
    history = fit(trainer(), data, epochs=3)
    assert tuple(history) == KEYS
    assert {len(values) for values in history.values()} == {3}
    assert history.epochs == 3
    assert len(history.step_loss) == 3 * 7
    assert history["lr"] == [0.1] * 3
    assert all(math.isnan(value) for value in history["val_loss"] + history["val_accuracy"])
    assert not history.interrupted


def test_the_seed_decides_and_nothing_else(data):
    runs = [trainer() for _ in range(3)]
    for run, seed in zip(runs, (5, 5, 6), strict=True):
        fit(run, data, seed=seed)
    assert weights(runs[0]) == weights(runs[1])
    assert weights(runs[0]) != weights(runs[2])


def test_without_a_seed_the_default_generator_decides(data):
    runs = [trainer() for _ in range(3)]
    for run, seed in zip(runs, (5, 5, 6), strict=True):
        minidl.seed(seed)
        fit(run, data, seed=None)
    assert weights(runs[0]) == weights(runs[1])
    assert weights(runs[0]) != weights(runs[2])


def test_labels_and_one_hot_rows_train_the_same(data):
    x, y = data
    by_label, by_row, by_flag = trainer(), trainer(), trainer()
    histories = [fit(by_label, (x, y)), fit(by_row, (x, np.eye(3)[y])), fit(by_flag, (x, np.eye(3, dtype=bool)[y]))]
    for other, history in ((by_row, histories[1]), (by_flag, histories[2])):
        np.testing.assert_allclose(other.model.predict(x), by_label.model.predict(x), rtol=1e-5, atol=1e-6)
        assert history["train_accuracy"] == histories[0]["train_accuracy"]


def test_squared_errors_of_classes_have_an_accuracy_and_those_of_numbers_have_none(data):
    x, y = data
    for target in (y, np.eye(3)[y]):
        trained = trainer(minidl.Model(minidl.Linear(3, 3, rng=1)), minidl.MSELoss(), lr=0.01)
        fit(trained, (x, target), epochs=10)
        right = np.mean(trained.model.predict(x).argmax(axis=1) == y)
        assert trained.evaluate((x, target))["accuracy"] == right
        assert right > 0.8
    history = fit(trainer(loss=minidl.MSELoss(), lr=0.01), (x, x))
    assert math.isnan(history["train_accuracy"][0])


def test_schedules_see_fractions_of_epochs(data):
    seen = []

    def schedule(epoch, epochs):
        seen.append((epoch, epochs))
        return 0.1 / (1 + epoch)

    history = fit(trainer(lr=schedule), data, epochs=2, batch_size=25)
    assert seen[-4:] == [(0, 2), (0.5, 2), (1, 2), (1.5, 2)]
    assert history["lr"] == [0.1 / 1.5, 0.1 / 2.5]


def test_usable_arrays_are_not_copied(tmp_path, rng):
    x = rng.integers(0, 256, (20, 1, 2, 2), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = minidl.Model(minidl.Flatten(), minidl.Linear(4, 2))
    loss = minidl.SoftmaxCrossEntropyLoss()
    for given in (x, x.astype(np.float32), x.astype(np.float64), mapped):
        assert np.shares_memory(prepare("training", (given, [0, 1] * 10), model, loss).images, given)
    strided = prepare("training", (x[::2], [0, 1] * 5), model, loss).images
    assert strided.flags.c_contiguous
    np.testing.assert_array_equal(strided, x[::2])
    swapped = prepare("training", (x.astype(">f4"), [0, 1] * 10), model, loss).images
    assert swapped.dtype == np.float32
    np.testing.assert_array_equal(swapped, x)


def test_nothing_of_batch_size_is_kept_after_fit(data):
    trained = trainer()
    fit(trained, data, validation=data)
    with pytest.raises(RuntimeError, match="nothing is remembered"):
        trained.model.backward(np.zeros((50, 3)))


def test_verbose_prints_one_line_an_epoch_into_a_pipe(data, capsys):
    history = fit(trainer(), data, validation=data, epochs=2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"epoch 2/2  train loss {history['train_loss'][1]:.4f}  acc")
    assert f"val loss {history['val_loss'][1]:.4f}" in lines[1]
    assert "lr 0.1" in lines[1]


# ---- what ends a run -------------------------------------------------------------------------------------------------


class Interrupting:
    """An optimiser that gets Ctrl-C in the middle of its step number `at`."""

    def __init__(self, optimizer, at):
        self.optimizer, self.at, self.steps, self.lr = optimizer, at, 0, optimizer.lr

    def progress(self, epoch, epochs):
        pass

    def step(self, parameters):
        self.steps += 1
        if self.steps == self.at:
            signal.raise_signal(signal.SIGINT)
        self.optimizer.step(parameters)


def test_ctrl_c_finishes_the_step_and_keeps_history_and_weights(data, capsys):
    stopped, partial = trainer(), trainer()
    stopped.optimizer = Interrupting(stopped.optimizer, 9)  # the second step of the second epoch
    history = fit(stopped, data, epochs=5, verbose=True)
    assert history.interrupted
    assert history is stopped.history
    assert history.epochs == 1
    assert len(history.step_loss) == 9
    assert stopped.optimizer.steps == 9
    assert "interrupted" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = fit(partial, data, epochs=2)
    assert whole.step_loss[:9] == history.step_loss


def test_ctrl_c_in_a_callback_ends_the_run(data):
    def press(trained, history):
        raise KeyboardInterrupt

    history = fit(trainer(), data, epochs=5, callbacks=[Each(press)])
    assert (history.interrupted, history.epochs) == (True, 1)
    history = fit(trainer(), data, epochs=5, callbacks=[Each(lambda *_: signal.raise_signal(signal.SIGINT))])
    assert (history.interrupted, history.epochs) == (True, 1)


def test_a_second_ctrl_c_does_not_wait():
    with minidl.training.interrupt.Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()


def test_handlers_of_others_stay(data):
    def mine(number, frame):
        pass

    old = signal.signal(signal.SIGINT, mine)
    try:
        fit(trainer(), data)
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, old)


def test_fit_works_outside_the_main_thread(data):
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(trainer(), data).epochs))
    thread.start()
    thread.join()
    assert done == [1]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
class Doubling(minidl.Layer):
    """Infinite where an image is white on the left."""

    def compute(self, x):
        with np.errstate(over="ignore"):
            return x * np.where(x[:, :1] > 0.5, np.float32(3e38), np.float32(1)) * 4

    def gradient(self, dy, x, y):
        return dy


class Mirror:
    """Turns every image round."""

    kind = "flip"
    columns = 8

    def check(self, size):
        pass

    def write(self, draw, size, rows):
        rows[:, 0] = 1


def test_the_images_of_the_message_are_those_of_the_step():
    x = np.zeros((4, 1, 2, 2), np.uint8)
    x[:, :, :, 1] = 255
    model = minidl.Model(minidl.Flatten(), Doubling(), minidl.Linear(4, 2, rng=0))
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    with pytest.raises(FloatingPointError, match="first output that is not finite is that of layer 1 Doubling"):
        trainer.fit((x, np.array([0, 1, 0, 1])), augment=(Mirror(),), batch_size=4, verbose=False)


def test_a_loss_that_overflows_names_the_layer(data):
    with pytest.raises(FloatingPointError) as caught:
        fit(trainer(lr=1e30), data, epochs=5)
    message = str(caught.value)
    assert "the loss became" in message
    assert "smaller learning rate than 1e+30" in message


def test_a_parameter_that_is_no_number_is_named_before_anything_changes(data):
    trained = trainer()
    trained.model.parameters()[2].data[1, 2] = np.nan
    before = weights(trained)
    with pytest.raises(
        FloatingPointError, match=r"epoch 1, step 1: .* layer 2 Linear \(its parameter 2\.weight is not"
    ):
        fit(trained, data)
    assert weights(trained) == before


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_input_that_is_no_number_is_named_with_its_row_before_the_first_step(data, tmp_path, value):
    x = data[0].copy()
    x[7, 1] = x[9, 0] = value
    trained = trainer()
    before = weights(trained)
    with pytest.raises(ValueError, match=f"Trainer: training x must be finite, got {value} in row 7 of 50"):
        fit(trained, (x, data[1]))
    with pytest.raises(ValueError, match=f"validation x must be finite, got {value} in row 7"):
        fit(trained, data, validation=(x, data[1]))
    assert (weights(trained), trained.history.epochs) == (before, 0)
    # A memory-mapped set is not read through: the step finds it.
    np.save(tmp_path / "x.npy", x)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"the input itself is not finite \(2 of the batch's 50 images\)"),
    ):
        fit(trained, (np.load(tmp_path / "x.npy", mmap_mode="r"), data[1]), batch_size=50)


def test_a_target_that_is_no_number_is_named_with_its_row(data):
    y = data[0].copy()
    y[31, 2] = np.nan
    with pytest.raises(ValueError, match="training y must be finite, got nan in row 31 of 50"):
        fit(trainer(loss=minidl.MSELoss()), (data[0], y))


def test_large_finite_numbers_are_no_fault():
    array = np.full((3, 4), 3e38, np.float32)  # their sum is infinite
    check_finite("x", "y", array)
    array[2, 1] = -np.inf
    with pytest.raises(ValueError, match="x: y must be finite, got -inf in row 2 of 3"):
        check_finite("x", "y", array)


class Overflowing:
    """An optimiser whose step number `at` makes a weight infinite."""

    def __init__(self, at):
        self.optimizer, self.at, self.steps, self.lr = minidl.SGD(0.1), at, 0, 0.1

    def progress(self, epoch, epochs):
        pass

    def step(self, parameters):
        self.steps += 1
        self.optimizer.step(parameters)
        if self.steps == self.at:
            parameters[2].data[1, 2] = np.inf

    def state(self):
        return self.optimizer.state()


def test_weights_are_checked_after_the_last_step_of_an_epoch(data, tmp_path):
    def overflowing(at):
        run = trainer()
        run.optimizer = Overflowing(at)
        return run

    run, path = overflowing(14), tmp_path / "f"
    with (
        pytest.warns(UserWarning, match=r"Checkpoint: the parameter 2\.weight is not finite; .*f' stays as it was"),
        pytest.raises(
            FloatingPointError, match=r"the parameter 2\.weight is not finite after the last step of epoch 2"
        ),
    ):
        fit(run, data, epochs=2, callbacks=[minidl.Checkpoint(path, every_seconds=0)])
    assert run.history.epochs == 1
    tensors, _ = minidl.safetensors.load(path)
    assert len(tensors["history.step_loss"]) == 13
    assert all(np.isfinite(array).all() for name, array in tensors.items() if name.startswith("model."))
    # Without a file before, none is written.
    with (
        pytest.warns(UserWarning, match="nothing was written"),
        pytest.raises(FloatingPointError, match="last step of epoch 1"),
    ):
        fit(overflowing(1), (data[0][:8], data[1][:8]), callbacks=[minidl.Checkpoint(tmp_path / "g", every_seconds=0)])
    assert not (tmp_path / "g").exists()


def test_the_diagnosis_leaves_running_statistics_alone(rng):
    model = minidl.Model(minidl.BatchNorm1D(3), minidl.Linear(3, 2, rng=0))
    before = model.state()
    text = minidl.training.non_finite.first_non_finite(model, rng.standard_normal((4, 3)))
    assert text.startswith("every layer's output is finite")
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])


# ---- callbacks -------------------------------------------------------------------------------------------------------


def test_true_from_a_callback_stops_and_every_callback_sees_every_epoch(data):
    seen = []

    def watch(trained, history):
        seen.append(history.epochs)

    history = fit(trainer(), data, epochs=9, callbacks=[Each(lambda _, h: h.epochs == 3), Each(watch)])
    assert history.epochs == 3
    assert seen == [1, 2, 3]


class Scripted(minidl.Trainer):
    """Validation accuracies by script; each epoch's weights are its number."""

    def script(self, values):
        self.values = values
        self.model.parameters()[0].data[...] = -1
        return self

    def _epoch(self, train, interrupt):
        epoch = self.history.epochs
        self.model.parameters()[0].data[...] = epoch
        value = self.values[epoch]
        self.history.append(
            train_loss=1 - value, train_accuracy=value, val_loss=1 - value, val_accuracy=value, lr=0.1, seconds=0
        )
        return True


def scripted(values, callback, data, validation=True):
    model = minidl.Model(minidl.Linear(3, 3))
    run = Scripted(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD()).script(values)
    history = fit(run, data, validation=data if validation else None, epochs=len(values), callbacks=[callback])
    return history.epochs, model.parameters()[0].data[0, 0]


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "best"), [([0.1, 0.5, 0.5, 0.3], 1), ([0.2, 0.1], 0), ([NAN, 0.1, NAN], 1), ([NAN, NAN], 1)]
)
def test_keep_best_gives_the_best_weights_back(data, values, best):
    assert scripted(values, minidl.KeepBest(), data) == (len(values), best)
    assert scripted(values, minidl.KeepBest("val_loss"), data) == (len(values), best)


@pytest.mark.parametrize(
    ("values", "epochs", "best"),
    [
        ([0.1, 0.2, 0.3, 0.4], 4, 3),
        ([0.1, 0.3, 0.2, 0.2, 0.9], 4, 1),
        ([0.3, 0.31, 0.32, 0.33], 3, 2),  # too little each time, and together
        ([0.3, 0.34, 0.38, 0.42, 0.46], 5, 4),  # together enough
        ([NAN, NAN, 0.5], 2, 1),
        ([0.5, NAN, NAN, 0.9], 3, 0),
    ],
)
def test_early_stopping_stops_in_time_and_gives_the_best_weights_back(data, values, epochs, best):
    callback = minidl.EarlyStopping("val_accuracy", patience=2, min_delta=0.05)
    assert scripted(values, callback, data) == (epochs, best)


def test_early_stopping_watches_the_validation_loss_by_default(data):
    assert scripted([0.5, 0.4, 0.3, 0.2], minidl.EarlyStopping(patience=1), data) == (2, 0)


def test_callbacks_that_watch_validation_need_it(data):
    with pytest.raises(ValueError, match=r"EarlyStopping: monitor is val_loss, but fit has no validation data"):
        scripted([0.1], minidl.EarlyStopping(), data, validation=False)
    assert scripted([0.1, 0.3, 0.2], minidl.KeepBest("train_accuracy"), data, validation=False) == (3, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: minidl.KeepBest("lr"),
        lambda: minidl.EarlyStopping(patience=0),
        lambda: minidl.EarlyStopping(min_delta=-1),
        lambda: minidl.EarlyStopping(min_delta=NAN),
    ],
)
def test_callbacks_refuse_bad_arguments(make):
    with pytest.raises(ValueError, match=r"monitor must|patience must|min_delta must"):
        make()


def test_early_stopping_says_why_it_ended_and_whose_weights_came_back(data, capsys):
    def told(values, **arguments):
        model = minidl.Model(minidl.Linear(3, 3))
        run = Scripted(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD()).script(values)
        callback = minidl.EarlyStopping("val_accuracy", **arguments)
        fit(run, data, validation=data, epochs=len(values), callbacks=callback, verbose=True)
        return capsys.readouterr().out.splitlines()

    assert told([0.1, 0.5, 0.3, 0.4], patience=2) == [
        "EarlyStopping: val_accuracy has not improved for 2 epochs; the weights are those of epoch 2"
        " (val_accuracy 0.5000)"
    ]
    assert told([0.1, 0.11], patience=1, min_delta=0.05) == [
        "EarlyStopping: val_accuracy has not improved by more than 0.05 for 1 epoch; the weights are those of epoch 2"
        " (val_accuracy 0.1100)"
    ]
    assert told([0.1, 0.2], patience=2) == ["EarlyStopping: the weights are those of epoch 2 (val_accuracy 0.2000)"]
    assert told([NAN, NAN], patience=2) == ["EarlyStopping: val_accuracy has not improved for 2 epochs"]


def test_one_callback_needs_no_list_and_anything_else_is_refused(data):
    seen = []
    fit(trainer(), data, epochs=2, callbacks=Each(lambda _, history: seen.append(history.epochs)))
    fit(trainer(), data, callbacks=(Each(lambda _, history: seen.append(history.epochs)) for _ in range(2)))
    assert seen == [1, 2, 1, 1]
    for callbacks in (minidl.KeepBest, 3, [minidl.KeepBest], [print]):
        with pytest.raises(TypeError, match="Trainer: callbacks must"):
            fit(trainer(), data, callbacks=callbacks)


@pytest.mark.parametrize("seed", [2**31, 2**63 - 1, 2**63, np.uint64(2**63)])
def test_seeds_reach_to_two_to_the_63(data, tmp_path, seed):
    order = np.random.default_rng(int(seed)).permutation(50)
    run, again = trainer(), trainer()
    history = fit(run, data, seed=seed, callbacks=[minidl.Checkpoint(tmp_path / "f")])
    loss = minidl.SoftmaxCrossEntropyLoss().forward(network().predict(data[0][order[:8]]), data[1][order[:8]])
    assert history.step_loss[0] == pytest.approx(loss, rel=1e-6)
    fit(run, data, seed=seed, epochs=2, resume=True)
    fit(again, data, seed=seed, epochs=2, resume=tmp_path / "f")
    assert weights(run) == weights(again)
    with pytest.raises(ValueError, match=r"Trainer: seed must be at most 2\*\*63"):
        fit(run, data, seed=2**63 + 1)


# ---- history ---------------------------------------------------------------------------------------------------------


def test_history_finds_the_best_epoch_and_travels_as_arrays():
    history = History()
    for value in (0.5, NAN, 0.9, 0.9):
        history.append(train_loss=1, train_accuracy=0.5, val_loss=1 - value, val_accuracy=value, lr=0.1, seconds=1)
    history.step_loss += [1.0, 2.0]
    assert history.best() == 2
    assert history.best("val_loss") == 2
    assert history.best("train_loss") == 0
    with pytest.raises(ValueError, match="monitor must be one of"):
        history.best("seconds")
    again = History.from_state(history.state())
    assert repr(dict(again)) == repr(dict(history))
    assert again.step_loss == [1.0, 2.0]
    assert "4 epochs; last: train_loss=1" in repr(again)
    with pytest.raises(ValueError, match="no epoch has a val_loss"):
        History().best("val_loss")
    with pytest.raises(TypeError, match="an epoch must have exactly"):
        history.append(train_loss=1)
