"""The progress line in pipes, terminals, notebooks and with tqdm."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import minidl
from minidl.training import progress as module
from minidl.training.history import History
from minidl.training.progress import LiveLine, Progress, TqdmLine, duration, numbers, progress

NAN = float("nan")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Stands in for `time`; moves one second a look."""

    now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


def run(line):
    for epoch in (1, 2):
        line.start(epoch, 2, 200)
        line.update(100, 2.5, 0.25)
        line.update(200, 1.5, 0.5)
        line.line(f"epoch {epoch} done")
    line.close()


def test_a_pipe_gets_one_line_an_epoch():
    stream = io.StringIO()
    line = progress(stream=stream)
    assert type(line) is Progress
    run(line)
    assert stream.getvalue() == "epoch 1 done\nepoch 2 done\n"


def test_not_verbose_prints_nothing(capsys):
    run(progress(verbose=False))
    assert capsys.readouterr().out == ""


def test_dumb_terminals_count_as_pipes(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress(stream=Terminal())) is Progress


def test_a_terminal_without_tqdm_redraws_its_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(module, "time", Clock())
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    line = progress(stream=stream)
    assert type(line) is LiveLine
    run(line)
    pieces = stream.getvalue().split("\r")
    assert pieces[1] == (
        "epoch 1/2 [############............]  50%  loss 2.5000  acc  25.00 %  100 images/s  0:01 left"
    )
    assert pieces[2].startswith("epoch 1/2 [########################] 100%  loss 1.5000  acc  50.00 %  100 images/s")
    assert pieces[3] == " " * len(pieces[2])
    assert pieces[4] == "epoch 1 done\n"
    assert pieces[-1] == "epoch 2 done\n"


def test_the_line_never_reaches_the_terminals_edge(monkeypatch):
    monkeypatch.setattr(module, "time", Clock())
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    line = LiveLine(stream)
    line.start(1, 10, 10)
    line.update(5, 1.0, 0.5)
    assert stream.getvalue().startswith("\repoch  1/10 [")
    assert len(stream.getvalue()) == 40
    line.close()
    line.close()
    assert stream.getvalue().count("\n") == 1


def test_nothing_is_drawn_more_often_than_the_interval(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "INTERVAL", 3.5)
    stream = Terminal()
    line = LiveLine(stream)
    line.start(1, 1, 100)
    for done in range(1, 9):
        line.update(done, 1.0, 0.5)
    assert stream.getvalue().count("\r") == 2


def test_a_terminal_with_tqdm_uses_it(monkeypatch):
    tqdm = pytest.importorskip("tqdm").tqdm
    monkeypatch.setenv("TERM", "xterm")
    assert type(progress(stream=Terminal())) is TqdmLine
    stream = Terminal()

    def eager(**arguments):
        return tqdm(**arguments, mininterval=0, miniters=1, ncols=100)

    run(TqdmLine(stream, eager))
    text = stream.getvalue()
    assert "epoch 1/2:  50%" in text
    assert "100/200" in text
    assert "loss 2.5000  acc  25.00 %" in text
    assert text.endswith("epoch 2 done\n")
    assert text.count("done\n") == 2


class Bar:
    """Stands in for tqdm: writes down what is asked of it."""

    def __init__(self, calls, **arguments):
        self.calls, self.n = calls, arguments["initial"]
        calls.append(f"open {arguments['total']}")

    def update(self, n):
        self.n += n
        self.calls.append(f"at {self.n}")
        return True

    def set_postfix_str(self, text, refresh):
        pass

    def write(self, text, file):
        file.write(text + "\n")
        self.calls.append("write")

    def close(self):
        self.calls.append("close")


@pytest.mark.parametrize(
    ("images", "calls"),
    [
        (200, ["open 200", "at 100", "write", "at 200", "close"]),
        (0, ["open None", "at 100", "close"]),
    ],
)
def test_a_line_within_an_epoch_leaves_tqdms_bar_alone(images, calls):
    made, stream = [], io.StringIO()
    line = TqdmLine(stream, lambda **arguments: Bar(made, **arguments))
    line.start(1, 1, images)
    line.update(100, 2.5, 0.25)
    line.line("said")
    line.update(200, 1.5, 0.5)
    line.line("done")
    line.close()
    assert made == calls
    assert stream.getvalue() == "said\ndone\n"


def test_a_notebooks_output_counts_as_live():
    kernel_stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    assert module.interactive(kernel_stream())
    assert not module.interactive(io.StringIO())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_numbers_leave_out_an_unknown_accuracy():
    assert numbers("val", 0.12244, 0.96234) == "val loss 0.1224  acc  96.23 %"
    assert numbers("", 0.5, NAN) == "loss 0.5000"


class Tee:
    """What scripts put in the place of sys.stdout: it can write, and no more."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def fitted():
    model = minidl.Model(minidl.Linear(2, 2, rng=1))
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    return run.fit((np.eye(2, dtype=np.float32), [0, 1]), epochs=2, seed=0)


def test_streams_of_somebody_s_own_get_one_line_an_epoch(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Tee())
    history = fitted()
    lines = sys.stdout.text.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert f"train loss {history['train_loss'][1]:.4f}" in lines[1]


def test_without_a_stream_nothing_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert fitted().epochs == 2


def test_a_validation_loss_that_is_nan_is_shown():
    history = History()
    history.append(train_loss=0.5, train_accuracy=0.25, val_loss=NAN, val_accuracy=0.1, lr=0.1, seconds=1)
    line = "epoch 1/3  train loss 0.5000  acc  25.00 %  val loss nan  acc  10.00 %  lr 0.1  1.0 s"
    assert module.epoch_line(history, 3, validated=True) == line
    assert module.epoch_line(history, 3, validated=False) == line.replace("  val loss nan  acc  10.00 %", "")


@pytest.mark.parametrize(("images", "speed"), [(9, "9.0"), (10, "10"), (2468, "2,468")])
def test_where_nobody_knows_how_many_images_come(monkeypatch, images, speed):
    """Fewer than ten a second have a digit behind the point."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(module, "time", Clock())
    stream = Terminal()
    line = progress(stream=stream)
    line.start(1, 1, 0)
    line.update(images, 2.5, 0.25)
    assert stream.getvalue().endswith(f"epoch 1/1  {images:,} images  loss 2.5000  acc  25.00 %  {speed} images/s")


def test_every_line_is_flushed():
    class Counted(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Counted()
    run(progress(stream=stream))
    assert stream.flushed == 2


def test_the_next_epoch_closes_the_bar_of_an_epoch_that_was_left():
    made = []
    line = TqdmLine(io.StringIO(), lambda **arguments: Bar(made, **arguments))
    line.start(1, 2, 200)
    assert "close" not in made
    line.start(2, 2, 200)
    assert made.count("close") == 1
