"""Data in batches: the steps of the same arrays, lengths that are not known, resumption, and what is refused."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
import warnings

import numpy as np
import pytest

import minidl
from minidl.training.ahead import WAITING, Ahead
from minidl.training.position import Position
from minidl.training.samples import batches, prepare

pytestmark = pytest.mark.usefixtures("plain_backend")

STEPS = 7
"""Steps an epoch: six of eight rows and one of two."""


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 50)
    return (2 * np.eye(3)[y] + rng.standard_normal((50, 3))).astype(np.float32), y


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "minidl batches"]


def trainer(lr=0.1, loss=None):
    model = minidl.Model(
        minidl.Linear(3, 8, rng=1), minidl.Relu(), minidl.Dropout(0.2, rng=5), minidl.Linear(8, 3, rng=2)
    )
    return minidl.Trainer(model, loss or minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(lr, 0.9))


def fit(run, data, **arguments):
    return run.fit(data, **{"batch_size": 8, "seed": 0, "verbose": False, **arguments})


def bits(run):
    arrays = {**run.model.state(), **run.optimizer.state(), **run.history.state()}
    del arrays["seconds"]
    return {name: array.tobytes() for name, array in arrays.items()}


class Loader:
    """As PyTorch's: batches in an order that the epoch's number decides; a length if wanted."""

    def __init__(self, data, length=None, size=8):
        self.data, self.length, self.size, self.epoch, self.asked = data, length, size, 0, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        order = np.random.default_rng(self.epoch).permutation(len(self.data[0]))
        for start in range(0, len(order), self.size):
            index = order[start : start + self.size]
            self.asked += 1
            yield [part[index] for part in self.data]


class Sized(Loader):
    def __len__(self):
        if self.length is None:
            raise TypeError("has no length")
        return self.length


class Tensor:
    """What only knows how to become an array."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def forms(x, y):
    """The same batches as everything that may give them."""
    parts = [(x[i : i + 8], y[i : i + 8]) for i in range(0, len(x), 8)]
    yield parts
    yield [list(part) for part in parts]
    yield lambda: iter(parts)
    yield lambda: (part for part in parts)
    yield [(Tensor(a), Tensor(b)) for a, b in parts]

    class Each:
        def __iter__(self):
            return iter(parts)

    yield Each()


# ---- the numbers -----------------------------------------------------------------------------------------------------


def test_batches_of_any_form_make_the_steps_of_the_formula(data):
    x, y = data
    expected = None
    for source in forms(x, y):
        run = trainer()
        history = fit(run, source, validation=source, epochs=2)
        if expected is None:
            by_hand, loss = trainer(), minidl.SoftmaxCrossEntropyLoss()
            for _ in range(2):
                for start in range(0, 50, 8):
                    part = slice(start, start + 8)
                    loss.forward(by_hand.model.forward(x[part], train=True), y[part])
                    by_hand.model.backward(loss.backward())
                    by_hand.optimizer.step(by_hand.model.parameters())
            expected = by_hand.model.state()
        for name, array in run.model.state().items():
            np.testing.assert_array_equal(array, expected[name])
        whole = run.evaluate(data)
        assert history["val_loss"][-1] == pytest.approx(whole["loss"], rel=1e-6)
        assert history["val_accuracy"][-1] == whole["accuracy"]
        sizes = [8] * 6 + [2]
        assert history["train_loss"][1] == pytest.approx(np.average(history.step_loss[STEPS:], weights=sizes))
        assert (run.run.images, run.run.batches) == (50, STEPS)


def test_streams_on_every_backend(backend, rng):
    y = rng.integers(0, 2, 40)
    x = (rng.integers(0, 100, (40, 1, 6, 6)) + 150 * y[:, None, None, None]).astype(np.uint8)
    model = minidl.Model(minidl.Conv2D(1, 4, 3, rng=1), minidl.Relu(), minidl.Flatten(), minidl.Linear(64, 2, rng=2))
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.01))
    source = [(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]
    # With 0 and 40 other seeds 8 epochs reached 0.53 to 1, 16 at least 0.92, and 24 reached 1 with each.
    assert fit(run, source, epochs=24)["train_accuracy"][-1] > 0.9
    arrays, stream = run.evaluate((x, y), batch_size=16), run.evaluate(source)
    assert stream == arrays


def test_metrics_and_views_of_streams(rng):
    x, y = rng.integers(0, 256, (20, 1, 4, 4)).astype(np.uint8), rng.integers(0, 3, 20)
    model = minidl.Model(minidl.Flatten(), minidl.Linear(16, 3, rng=1))
    run = minidl.Trainer(
        model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(), metrics={"f1": minidl.metrics.MacroF1()}
    )
    source = [(x[:9], y[:9]), (x[9:], y[9:])]
    views = minidl.data.Views()
    for arguments in ({}, {"views": views}):
        found, whole = run.evaluate(source, **arguments), run.evaluate((x, y), **arguments)
        assert found["f1"] == whole["f1"] == minidl.metrics.MacroF1()(model.predict(x, **arguments), y)
        assert found["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_a_schedule_sees_whole_epochs_until_the_length_is_known(data):
    seen = []

    def schedule(epoch, epochs):
        seen.append(epoch)
        return 0.1

    known = [epoch + step / STEPS for epoch in range(3) for step in range(STEPS)]
    fit(trainer(schedule), Loader(data), epochs=3)
    np.testing.assert_allclose(seen[1:], [0] * STEPS + known[STEPS:])
    seen.clear()
    fit(trainer(schedule), Sized(data, STEPS), epochs=3)
    np.testing.assert_allclose(seen[1:], known)
    seen.clear()
    fit(trainer(schedule), Sized(data, 4), epochs=2)  # a length that is wrong holds for one pass
    np.testing.assert_allclose(seen[1:], [0, 0.25, 0.5, 0.75, 1, 1, 1, *known[STEPS : 2 * STEPS]])
    assert trainer().fit(Sized(data), verbose=False).epochs == 1


def test_the_line_counts_batches(data, monkeypatch):
    calls = []

    class Line(minidl.training.progress.Progress):
        def start(self, *arguments):
            calls.append(arguments)

        def update(self, images, loss, accuracy):
            calls.append(images)

    monkeypatch.setattr("minidl.training.trainer.progress", lambda verbose: Line(None))
    fit(trainer(), Loader(data), epochs=2)
    steps = list(range(1, STEPS + 1))
    assert calls == [(1, 2, 0, 0, "batches"), *steps, (2, 2, STEPS, 0, "batches"), *steps]


# ---- going on --------------------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


class KillAt(minidl.Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.step:
            raise Killed


@pytest.mark.parametrize("make", [Loader, lambda data: Sized(data, STEPS)])
@pytest.mark.parametrize("step", [1, 3, STEPS, STEPS + 1, STEPS + 4, 2 * STEPS])
def test_a_run_cut_off_within_an_epoch_goes_on_in_the_same_bits(data, tmp_path, make, step):
    def noise(images, rng):
        return images + rng.normal(0, 0.1, images.shape)

    def start():
        return trainer(minidl.Cosine(0.1))

    arguments = {"validation": data, "epochs": 3, "augment": noise}
    whole = start()
    fit(whole, make(data), **arguments)
    callbacks = [minidl.Checkpoint(tmp_path / "f", every_seconds=0), KillAt(step + 1)]
    with pytest.raises(Killed):
        fit(start(), make(data), **arguments, callbacks=callbacks)
    again = start()
    assert again.load(tmp_path / "f").run.steps == step % STEPS
    loader = make(data)
    fit(again, loader, **arguments, resume=tmp_path / "f")
    assert bits(again) == bits(whole)


def test_after_ctrl_c_a_stream_goes_on(data):
    class Press(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 10:
                signal.raise_signal(signal.SIGINT)

    whole, run = trainer(), trainer()
    fit(whole, Loader(data), epochs=3)
    history = fit(run, Loader(data), epochs=3, callbacks=Press())
    assert (history.interrupted, history.epochs, run.run.steps) == (True, 1, 3)
    fit(run, Loader(data), epochs=3, resume=True)
    assert bits(run) == bits(whole)


def test_going_back_within_a_stream(data, tmp_path):
    class Back(minidl.Callback):
        left = 1

        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 3 and self.left:
                trainer.save(tmp_path / "f")
            if len(history.step_loss) == 9 and self.left:
                self.left = 0
                trainer.load(tmp_path / "f")

    whole, run = trainer(), trainer()
    fit(whole, Loader(data), epochs=3)
    fit(run, Loader(data), epochs=3, callbacks=Back())
    assert bits(run) == bits(whole)


def test_a_stream_and_arrays_do_not_go_on_with_each_other(data, tmp_path):
    run = trainer()
    fit(run, Loader(data), callbacks=minidl.Checkpoint(tmp_path / "f"))
    with pytest.raises(ValueError, match="training data must be batches, as in the run to resume, got arrays"):
        fit(trainer(), data, epochs=2, resume=tmp_path / "f")
    fit(run, data)
    with pytest.raises(ValueError, match="training data must be arrays, as in the run to resume, got batches"):
        fit(run, Loader(data), epochs=2, resume=True)


def parts(x, y, size=8):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def resumed(first, second, tmp_path, epochs=1, step=None, load=True):
    """The warnings of a run over `first` that goes on over `second`, after so many epochs or at a step."""
    callbacks = [minidl.Checkpoint(tmp_path / "f", every_seconds=0)]
    run = trainer()
    if step is None:
        fit(run, first, epochs=epochs, callbacks=callbacks)
    else:
        with pytest.raises(Killed):
            fit(run, first, epochs=9, callbacks=[*callbacks, KillAt(step)])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(trainer() if load else run, second, epochs=epochs + 2, resume=tmp_path / "f" if load else True)
    return [str(each.message) for each in found]


@pytest.mark.parametrize("load", [True, False])
def test_other_data_in_batches_are_told(data, tmp_path, load):
    x, y = data
    mine, other, targets = parts(x, y), parts(x + 1, y), parts(x, (y + 1) % 3)
    begun = "Trainer: training data: the epoch to resume began with another first batch: these are other data"
    between = "Trainer: training data: the first batch is another one than in the run to resume: these are other data"
    for source in (other, lambda: iter(targets), [(x, y, np.ones(len(x))) for x, y in mine], parts(x, y, 9)):
        for arguments, text in (({"step": 3}, begun), ({"epochs": 1}, between), ({"epochs": 2}, between)):
            (message,) = resumed(mine, source, tmp_path, load=load, **arguments)
            assert message.startswith(text)
    for arguments in ({"step": 3}, {"epochs": 1}, {"epochs": 2}, {"step": STEPS + 3}):
        assert resumed(mine, lambda: iter(mine), tmp_path, load=load, **arguments) == []


def test_sources_that_order_their_batches_are_not_doubted(data, tmp_path):
    for arguments in ({"step": 3}, {"step": STEPS + 3}, {"epochs": 1}, {"epochs": 2}):
        assert resumed(Loader(data), Loader(data), tmp_path, **arguments) == []
    (message,) = resumed(Loader(data), Loader((data[0] + 1, data[1])), tmp_path, step=STEPS + 3)
    assert "the epoch to resume began with another first batch" in message

    class Shuffles:
        """Without a seed, and without being told the pass."""

        rng = np.random.default_rng(0)

        def __iter__(self):
            order = self.rng.permutation(len(data[0]))
            return iter(parts(data[0][order], data[1][order]))

    assert resumed(Shuffles(), Shuffles(), tmp_path, epochs=2) == []
    (message,) = resumed(Shuffles(), Shuffles(), tmp_path, step=3)
    assert "a source that shuffles without a seed" in message


def test_files_of_older_versions_know_no_first_batch(data, tmp_path):
    """Position as they wrote it: 0 for the data of a stream, and nothing about its order."""
    run = trainer()
    fit(run, parts(*data), epochs=2)
    values = {**run.run.to_json(), "data": 0}
    assert values.pop("shuffled") is False
    old = Position.from_json(values)
    old.go_on(3, [])
    assert old.begins_with(5, False) == ""
    with pytest.raises(ValueError, match="shuffled of a run must be true or false, got 1"):
        Position.from_json({**run.run.to_json(), "shuffled": 1})


def test_a_stream_that_is_shorter_than_what_is_done(data):
    run = trainer()
    with pytest.raises(Killed):
        fit(run, Loader(data), callbacks=KillAt(5))
    with pytest.raises(ValueError, match="training data must have at least the 5 batches that are done, got 3 in pass"):
        fit(run, Loader((data[0][:20], data[1][:20])), resume=True)


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_what_can_be_passed_once_is_refused_with_the_remedy(data):
    for source in ((part for part in [data]), iter([data]), zip([data[0]], [data[1]])):
        with pytest.raises(TypeError, match=r"must begin anew for each pass, got a .*give the function that makes it"):
            fit(trainer(), source)
        with pytest.raises(TypeError, match="evaluation data must begin anew"):
            trainer().evaluate(source)
    once = iter([data])
    with pytest.raises(ValueError, match="at least one batch in each pass, got 0 in pass 2"):
        fit(trainer(), lambda: once, epochs=2)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (lambda: 3, TypeError, "the function of training data must give an iterator over batches, got 3"),
        (list, TypeError, "training data must be a pair"),
        ({"a": 1}, TypeError, "training data must be a pair .* got dict"),
        (np.zeros((4, 3)), TypeError, "training data must be a pair .* got ndarray"),
        (lambda: [], ValueError, "training data must have at least one batch in each pass, got 0 in pass 1"),
        (lambda: [1], TypeError, r"training batch 1: must be \(x, y\) or \(x, y, weight\), got int"),
        (lambda: [(1, 2, 3, 4)], TypeError, "training batch 1: must be .* got 4 parts"),
        ([], TypeError, "must be a pair .* got list of 0"),
    ],
)
def test_what_gives_no_batches_is_named(source, error, message):
    with pytest.raises(error, match=message):
        fit(trainer(), source)


def test_the_batch_that_does_not_fit_is_named(data):
    x, y = data
    bad = x.copy()
    bad[12, 0] = np.nan
    for parts, message in [
        ([(x, y), (x[:3], y)], "training batch 2: x and y must have the same length, got 3 and 50"),
        ([(x, y), (x, y), (bad, y)], "training batch 3: x must be finite, got nan in row 12 of 50"),
        ([(x[:, :2], y)], "layer 0"),
        ([(x, y + 3)], r"labels must lie in \[0, 3\)"),
    ]:
        run = trainer()
        with pytest.raises(ValueError, match=message):
            fit(run, lambda parts=parts: parts)
        assert len(run.history.step_loss) == len(parts) - 1


def test_a_list_of_batches_and_a_pair_of_lists(data):
    x, y = data
    assert len(fit(trainer(), [x.tolist() and x[:2], list(y[:2])]).step_loss) == 1  # a pair as a list
    assert len(fit(trainer(), [(x, y), (x, y)]).step_loss) == 2
    with pytest.raises(TypeError, match="got two pairs; batches must be a list of them"):
        fit(trainer(), ((x, y), (x, y)))
    with pytest.raises(TypeError, match="got tuple of 4; or a triple with weights, or a list of batches"):
        fit(trainer(), ((x, y),) * 4)


def test_images_and_targets_of_different_sizes_are_named(data):
    images = [np.zeros((1, 4, 4), np.uint8)] * 3 + [np.zeros((1, 5, 4), np.uint8)]
    for ragged in (images, np.array([*images, None], object)[:4]):
        with pytest.raises(ValueError, match=r"training x must have one shape .*\(1, 4, 4\) in row 0 and \(1, 5, 4"):
            fit(trainer(), (ragged, [0, 1, 2, 0]))
    with pytest.raises(ValueError, match=r"training y must have one shape for all entries, got \(2,\) in row 0 and"):
        fit(trainer(), (data[0][:2], [[1, 0], [1]]))


# ---- the thread ------------------------------------------------------------------------------------------------------


def test_an_error_in_the_thread_arrives_with_its_traceback(data):
    def broken():
        yield data
        raise LookupError("the disk is gone")

    run = trainer()
    with pytest.raises(LookupError, match="the disk is gone") as caught:
        fit(run, broken)
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert len(run.history.step_loss) == 1


def test_batches_are_made_ahead_and_never_many(data):
    samples = prepare("training", data, trainer().model, minidl.SoftmaxCrossEntropyLoss())
    made, allowed = [], threading.Semaphore(0)

    def source():
        for batch in batches(samples, 1):
            made.append(batch)
            allowed.release()
            yield batch

    with Ahead(source(), lambda: None) as ahead:
        for _ in range(WAITING + 1):  # those that wait and the one in the making, with nobody asking
            assert allowed.acquire(timeout=10)
        assert not allowed.acquire(timeout=0.2)
        assert next(ahead).rows == [0]
        assert allowed.acquire(timeout=10)
        assert not allowed.acquire(timeout=0.2)
        assert [int(next(ahead).rows[0]) for _ in range(3)] == [1, 2, 3]
    assert len(made) <= 4 + WAITING + 1


def test_after_the_end_or_an_error_the_batches_stay_at_their_end():
    def broken():
        raise LookupError("gone")
        yield

    waited = []

    def check():
        waited.append(1)
        if len(waited) > 100:
            raise TimeoutError("still waiting")

    for source, first in ((iter(()), StopIteration), (broken(), LookupError)):
        with Ahead(source, check) as ahead:
            for error in (first, StopIteration, StopIteration):
                with pytest.raises(error):
                    next(ahead)


def test_a_source_is_closed_when_the_run_ends(data):
    closed = []

    def source():
        try:
            while True:
                yield data
        finally:
            closed.append(threading.current_thread() is threading.main_thread())

    with pytest.raises(Killed):
        fit(trainer(), source, callbacks=KillAt(3))
    gc.collect()
    assert closed == [False]


def test_ctrl_c_while_a_batch_is_waited_for(data):
    release = threading.Event()

    def slow():
        yield data
        signal.raise_signal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else os.kill(
            os.getpid(), signal.SIGINT
        )
        release.wait(2)
        yield data

    history = fit(trainer(), slow, epochs=2)
    release.set()
    assert (history.interrupted, len(history.step_loss)) == (True, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_neither_hangs_nor_goes_on(data):
    code = []

    class Fork(minidl.Callback):
        def on_step_end(self, trainer, history):
            if len(history.step_loss) == 2:
                child = os.fork()
                if not child:
                    self.child = True
                    return
                code.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    callback = Fork()
    try:
        history = fit(trainer(), Loader(data), callbacks=callback)
    except BaseException as error:
        if not hasattr(callback, "child"):
            raise
        # The child: the run that has lost its thread ends, and a new one works.
        good = isinstance(error, RuntimeError) and "forked process" in str(error)
        good = good and fit(trainer(), Loader(data)).epochs == 1
        os._exit(17 if good else 1)
    if hasattr(callback, "child"):
        os._exit(2)
    assert history.epochs == 1
    assert code == [17]


def test_the_modules_are_imported_when_they_are_needed():
    import subprocess

    text = "import sys, minidl; print('minidl.training.ahead' in sys.modules, 'minidl.metrics' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


def test_a_loader_that_fills_one_array_again_and_again(rng):
    x, y = rng.standard_normal((60, 4)).astype(np.float32), rng.integers(0, 3, 60)

    def refilled():
        images, labels = np.empty((10, 4), np.float32), np.empty(10, int)
        for start in range(0, 60, 10):
            images[:], labels[:] = x[start : start + 10], y[start : start + 10]
            yield images, labels

    listed = [(x[start : start + 10], y[start : start + 10]) for start in range(0, 60, 10)]
    weights, losses = [], []
    for source in (listed, refilled):
        model = minidl.Model(minidl.Linear(4, 3, rng=0))
        trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
        losses.append(trainer.fit(source, epochs=2, verbose=False).step_loss)
        weights.append(model.state()["0.weight"])
        losses[-1].append(trainer.evaluate(source)["loss"])
    np.testing.assert_array_equal(*weights)
    assert losses[0] == losses[1]
