"""Requests to end: what SIGTERM does to a process that trains, and what is said of the weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.training.interrupt import Interrupt, Interrupted

SCRIPT = """
import signal, sys
import minidl
from minidl.data import load_digits_mini

class Terminate(minidl.Callback):
    def on_step_end(self, trainer, history):
        if len(history.step_loss) == int(sys.argv[2]):
            signal.raise_signal(signal.SIGTERM)
    def on_fit_end(self, trainer, history):
        print("end", history.interrupted, len(history.step_loss))

(x, y), _ = load_digits_mini()
minidl.seed(1)
model = minidl.Model(minidl.Flatten(), minidl.Linear(784, 10), minidl.Dropout(0.1))
trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.01))
trainer.fit((x[:200], y[:200]), epochs=2, batch_size=50, seed=0, verbose=False, resume=sys.argv[1],
            callbacks=[Terminate(), minidl.Checkpoint(sys.argv[1], every_epochs=9)])
print("weights", trainer.model.state()["1.weight"].sum(dtype="float64").hex())
"""


def train(path, step):
    """A process that gets SIGTERM after so many steps -> exit status, what it has printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(step)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="how a process has ended")
def test_sigterm_writes_the_checkpoint_and_then_ends_the_process_as_it_does_otherwise(tmp_path):
    status, whole = train(tmp_path / "whole", 0)
    assert (status, whole[0]) == (0, "end False 8")
    status, printed = train(tmp_path / "f", 6)
    assert status == -signal.SIGTERM
    assert printed == ["end True 6"]
    status, printed = train(tmp_path / "f", 0)
    assert (status, printed) == (0, whole)


def test_both_signals_are_granted_between_steps_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            with Interrupt() as interrupt:
                interrupt.check()
                signal.raise_signal(number)
                with pytest.raises(Interrupted):
                    interrupt.check()
            assert interrupt.asked == number
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_somebody_else_s_handler_of_sigterm_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
            interrupt.check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


class Press(minidl.Callback):
    def on_step_end(self, trainer, history):
        if len(history.step_loss) == 7:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_said_of_the_weights_is_true(rng, capsys, keep):
    model = minidl.Model(minidl.Linear(3, 3, rng=1))
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    data = rng.standard_normal((20, 3)).astype(np.float32), rng.integers(0, 3, 20)
    callbacks = [Press(), minidl.KeepBest("train_loss")] if keep else Press()
    history = run.fit(data, epochs=3, batch_size=5, seed=0, callbacks=callbacks)
    told = capsys.readouterr().out.splitlines()[1:]
    assert told[0] == "interrupted: the history has 1 epochs"
    loss = history["train_loss"][0]
    kept = f"KeepBest: the weights are those of epoch 1 (train_loss {loss:.4f})"
    assert told[1:] == ([kept] if keep else ["the weights are those of the last step"])
