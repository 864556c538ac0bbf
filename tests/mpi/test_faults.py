"""Nothing ends in ranks that wait: errors, kills, exits, NaN, and requests to end."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
from mpi import jobs

TRAIN = """
class At(minidl.Callback):
    "Something that happens after a step, on one rank."
    def __init__(self, step, happen):
        self.step, self.happen = step, happen
    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.step and rank == size - 1:
            self.happen()

def trainer(model=None):
    model = programs.perceptron("float32") if model is None else model
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1, momentum=0.9), parallel=parallel)

def fit(callbacks=(), data=None, **arguments):
    made = trainer()
    given = {"epochs": 2, "batch_size": 10, "seed": 1, "verbose": False, **arguments}
    made.fit(programs.images() if data is None else data, callbacks=callbacks, **given)
    return made

def fail():
    raise MemoryError("no room for more")
"""

ENDS = {
    "raises": ("fit([At(3, fail)])", "MemoryError: no room for more"),
    "raises where somebody catches it": (
        "try:\n    fit([At(3, fail)])\nexcept MemoryError:\n    print('caught')",
        "MemoryError: no room for more",
    ),
    "is killed": ("fit([At(3, lambda: os.kill(os.getpid(), signal.SIGKILL))])", ""),
    "exits": ("fit([At(3, lambda: sys.exit(3))])", "SystemExit: 3"),
    "raises before": ("if rank:\n    fail()\nfit()", "MemoryError: no room for more"),
    "exits before": ("if rank:\n    sys.exit(5)\nfit()", "rank 1 of 2 has ended, but rank 0 waits for it in fit"),
    "is done before": ("if rank == 0:\n    fit()", "rank 1 of 2 has ended, but rank 0 waits for it in fit"),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_rank_that_fails_ends_the_job(what, tmp_path):
    body, text = ENDS[what]
    job = jobs.run(2, tmp_path, TRAIN + body, fails=True)
    assert text in job.text
    assert job.seconds < 30


NAN = """
x, y = programs.images()
x = x.astype(np.float32) / 255
x[-1] = 3e38                                    # its row is somebody's
model = minidl.Model(minidl.Flatten(), minidl.Linear(784, 8, rng=1), minidl.Relu(), minidl.Linear(8, 10, rng=2))
made = trainer(model)
before = model.state()
try:
    made.fit((x, y), epochs=1, batch_size=60, seed=1, verbose=False)
except FloatingPointError as error:
    text = str(error)
give(text=np.array(text), same=np.array([np.array_equal(array, before[name]) for name, array in model.state().items()]))
"""


def test_a_loss_that_is_no_number_names_layer_and_rank_everywhere(tmp_path):
    order = list(np.random.default_rng(1).permutation(60))
    place = order.index(59) // 20
    found = jobs.run(3, tmp_path, TRAIN + NAN, "sync_batchnorm=True").found
    assert len(found) == 3
    for each in found.values():
        assert "epoch 1, step 1: the first output that is not finite is that of layer 1 Linear" in str(each["text"])
        assert f"(on rank {place} of 3)" in str(each["text"])
        assert each["same"].all()


REFUSALS = """
import minidl.mpi.agreement as agreement
x, y = programs.images()
texts = []

def refused(call):
    try:
        call()
    except (RuntimeError, TypeError, ValueError) as error:
        texts.append(f"{type(error).__name__}: {error}")
    else:
        texts.append("nothing")

refused(lambda: fit(data=(x[: 60 - rank], y[: 60 - rank])))
refused(lambda: fit(data=(x, np.roll(y, rank))))
refused(lambda: fit(validation=programs.images(20, rank)))
refused(lambda: fit(seed=rank))
shards = trainer()
shards = minidl.Trainer(shards.model, shards.loss, shards.optimizer, parallel=minidl.mpi.DataParallel(shard=True))
refused(lambda: shards.fit((x.astype(("uint8", "float32")[rank]), y), verbose=False))
refused(lambda: fit(batch_size=10 + rank))
refused(lambda: fit(epochs=1 + rank))
refused(lambda: fit(augment=() if rank else (programs.Flip(),)))
wide = minidl.Model(minidl.Flatten(), minidl.Linear(784, 10 + rank, rng=1))
refused(lambda: trainer(wide).fit((x, y), verbose=False))
refused(lambda: fit(data=(x, y[: 60 - rank])))
refused(lambda: fit(data=[(x[:7], y[:7])] * (2 + rank)))
refused(lambda: fit(data=lambda: iter([(x[:7], y[:7])] * (2 + rank))))
refused(lambda: fit(data=lambda: iter([(x[rank : rank + 7], y[:7])])))
agreement.__version__ = f"0.{rank}"
refused(fit)
agreement.__version__ = minidl.__version__
refused(fit)
give(texts=np.array(texts))
"""


def test_ranks_that_want_different_things_are_refused_everywhere(tmp_path):
    found = jobs.run(2, tmp_path, TRAIN + REFUSALS).found
    first, second = (list(map(str, found[rank]["texts"])) for rank in (0, 1))
    rule = "must be the same on all ranks, got"
    expected = [
        f"ValueError: DataParallel: the number of training images {rule} 60 on rank 0 and 59 on rank 1",
        f"ValueError: DataParallel: the checksum of the training data {rule} ",
        f"ValueError: DataParallel: the validation data {rule} 20 images of checksum ",
        f"ValueError: DataParallel: seed {rule} 0 on rank 0 and 1 on rank 1",
        "RuntimeError: DataParallel: rank 1 cannot begin: ValueError: DataParallel: the parts of the training data",
        f"ValueError: DataParallel: batch_size {rule} 10 on rank 0 and 11 on rank 1",
        f"ValueError: DataParallel: epochs {rule} 1 on rank 0 and 2 on rank 1",
        f"ValueError: DataParallel: augment {rule} ",
        f"ValueError: DataParallel: parameter 1.weight of the model {rule} (10, 784) on rank 0 and (11, 784) on rank 1",
        "RuntimeError: DataParallel: rank 1 cannot begin: ValueError: Trainer: training x and y must have the same",
        f"ValueError: DataParallel: the kind of training data {rule} 2 batches on rank 0 and 3 batches on rank 1",
        "ValueError: DataParallel: training batch 3 must be the same on all ranks, got 0 images on rank 0 and 7 images",
        "ValueError: DataParallel: training batch 1 must be the same on all ranks, got 7 images on rank 0 and others",
        f"ValueError: DataParallel: the version of minidl {rule} 0.0 on rank 0 and 0.1 on rank 1",
        "nothing",
    ]
    for text, start in zip(first, expected, strict=True):
        assert text.startswith(start), text
    assert first[4].endswith("on rank 1")
    assert second[4] == first[4].removeprefix("RuntimeError: DataParallel: rank 1 cannot begin: ")
    assert second[9].startswith("ValueError: Trainer: training x and y must have the same length, got 60 and 59")
    assert [text for i, text in enumerate(second) if i not in (4, 9)] == [*first[:4], *first[5:9], *first[10:]]


STOP = """
path = {path!r}
made = trainer()
calls = [minidl.Checkpoint(path), minidl.CSVLog(path + ".csv")]
if {number}:
    calls.append(At({step}, lambda: signal.raise_signal({number})))
made.fit(programs.images(), programs.images(20, 1), epochs=3, batch_size=10, seed=1, callbacks=calls,
         verbose=False, resume=path, augment=(programs.Crop(2),))
give(epochs=np.array(made.history.epochs), interrupted=np.array(made.history.interrupted), **made.model.state())
"""


def test_sigterm_to_one_rank_stops_all_after_the_same_step_and_the_run_goes_on_with_another_number(tmp_path):
    def job(ranks, name, number=0, step=8):
        path = str(tmp_path / "run" if name else tmp_path / "whole")
        (tmp_path / "run").parent.mkdir(exist_ok=True)
        code = TRAIN + STOP.format(path=path, number=number, step=step)
        return jobs.run(ranks, tmp_path / f"job{ranks}{name}", code, fails=number == signal.SIGTERM).found

    whole = job(2, "")
    assert job(2, "killed", signal.SIGTERM) == {}  # the processes end by it, and nothing after fit runs
    with open(tmp_path / "run.csv", encoding="utf-8") as file:
        assert len(file.readlines()) == 2
    asked = job(2, "asked", signal.SIGINT, 15)
    ended = job(3, "more")
    assert [int(each["epochs"]) for each in (whole[0], asked[0], ended[0])] == [3, 2, 3]
    assert asked[0]["interrupted"]
    assert asked[1]["interrupted"]
    for name, array in whole[0].items():
        np.testing.assert_array_equal(ended[1][name], ended[0][name])
        np.testing.assert_allclose(ended[0][name], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=name)


EARLY = """
import os, sys
if os.environ.get("PMI_RANK") == "1":
    sys.exit(3)
sys.path.insert(0, {path!r})
from minidl.mpi import DataParallel, faults
faults.START = 2
DataParallel()
"""


def test_ranks_do_not_wait_for_ever_for_one_that_has_never_come(tmp_path):
    script = tmp_path / "early.py"
    script.write_text(EARLY.format(path=str(jobs.HERE.parents[1])), encoding="utf-8")
    program = [str(jobs.MPIEXEC), "-n", "2", sys.executable, str(script)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "Timeout" in done.stderr
    assert "data_parallel.py" in done.stderr
