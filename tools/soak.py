"""Train for a long time, and import many times: memory, descriptors and threads must stay what they are.

    python tools/soak.py [--seconds 600] [--imports 200] [--together 8]

Round after round makes one of several small networks, trains it on the embedded digits with every callback, another
optimiser, another batch size and one to four threads, from arrays or from a stream, predicts batches of changing sizes,
saves, loads, and drops everything. After each round the process's memory, open files and threads are counted. What
memory has grown by between the second and the last quarter of the rounds is reported: medians, as a training of a
larger batch takes more.
Then so many processes import minidl and compute, `--together` at a time; all must print the same.
Ends with an error if memory has grown by more than `MOST`, or a file, a thread or a process is left or lost.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import minidl
from minidl import data

MOST = 2**24
"""Bytes of growth that are allowed."""
PROGRAM = """
import numpy as np, minidl
minidl.seed(1)
model = minidl.Model(minidl.Conv2D(1, 4, 3), minidl.Relu(), minidl.GlobalAvgPool2D(), minidl.Linear(4, 3))
print(minidl.kernels.current().name, model.predict(np.ones((5, 1, 6, 6), np.float32)).tobytes().hex())
"""


class Held(NamedTuple):
    """What a process holds: bytes of memory, open files, threads."""

    memory: int
    files: int
    threads: int


def held() -> Held:
    """Of this process, now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    return Held(pages * os.sysconf("SC_PAGE_SIZE"), files, threads)


# ---- one round -------------------------------------------------------------------------------------------------------


def networks() -> list[list[Any]]:
    """Layers of some small networks for digits."""
    inner = minidl.Residual(minidl.Sequential(minidl.Conv2D(8, 8, 1)))
    return [
        [
            *(minidl.Conv2D(1, 6, 3, padding=1), minidl.BatchNorm2D(6), minidl.Relu(), minidl.MaxPool2D(4)),
            *(minidl.Flatten(), minidl.Dropout(0.2), minidl.Linear(294, 10)),
        ],
        [
            *(minidl.Conv2D(1, 8, 5, stride=2), minidl.Silu(), minidl.GroupNorm(2, 8), minidl.Relu()),
            *(minidl.GlobalAvgPool2D(), minidl.Linear(8, 10)),
        ],
        [
            *(minidl.Conv2D(1, 8, 3, stride=3), minidl.Relu(), inner, minidl.AvgPool2D(3)),
            *(minidl.Flatten(), minidl.Linear(72, 10)),
        ],
    ]


def callbacks(folder: Path, images: np.ndarray, scheduled: bool) -> list[minidl.Callback]:
    """All of them; scheduled: but for the one that sets a rate which a schedule sets."""
    return [
        *(() if scheduled else (minidl.ReduceLROnPlateau(patience=1),)),
        minidl.KeepBest("val_loss"),
        minidl.EarlyStopping(patience=2),
        minidl.StopAtAccuracy(0.99),
        minidl.Checkpoint(folder / "e{epoch}", every_epochs=1, keep=1),
        minidl.Checkpoint(folder / "run", every_seconds=0),
        minidl.CSVLog(folder / "log.csv"),
        minidl.JSONLinesLog(folder / "log.jsonl"),
        minidl.FeatureMaps(images[:2], folder / "maps.gif"),
    ]


def optimizers() -> list[minidl.Optimizer]:
    """One of each kind."""
    return [
        minidl.SGD(minidl.OneCycle(0.1), 0.9, nesterov=True),
        minidl.AdamW(0.01, clip_norm=1.0),
        minidl.RMSProp(minidl.Cosine(0.01)),
        minidl.Lookahead(minidl.Adam(0.01)),
        minidl.Muon(minidl.SGD(0.01), ["0.weight"]),
    ]


def stream(x: np.ndarray, y: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches that a thread fetches."""
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def play(turn: int, folder: Path, rng: np.random.Generator) -> None:
    """One round."""
    (x, y), _ = data.load_digits_mini()
    kinds, rule = networks(), optimizers()[turn % 5]
    model = minidl.Model(*kinds[turn % len(kinds)], mean=0.13, std=0.31)
    minidl.set_num_threads(1 + turn % 4)
    average = minidl.WeightAverage(0.9) if turn % 2 else None
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), rule, average)
    size, count = int(rng.integers(1, 200)), int(rng.integers(100, 400))
    given: Any = (x[:count], y[:count]) if turn % 3 else stream(x[:count], y[:count], size)
    for path in folder.iterdir():
        path.unlink()
    for resume in (False, folder / "run"):
        trainer.fit(
            given,
            (x[400:460], y[400:460]),
            1 if not resume else 2,
            size,
            callbacks=callbacks(folder, x, getattr(rule, "schedule", None) is not None),
            verbose=False,
            resume=resume,
        )
    for n in rng.integers(1, 150, 3):
        model.predict(x[:n])
    model.save(folder / "weights")
    minidl.load_model(folder / "weights").predict(x[:5])


# ---- many rounds -----------------------------------------------------------------------------------------------------


def soak(seconds: float) -> Iterator[Held]:
    """What is held after each round."""
    end, rng, turn = time.monotonic() + seconds, np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            play(turn, Path(folder), rng)
            turn += 1
            yield held()


def growth(found: list[Held]) -> int:
    """Bytes by which the median of the last quarter of the rounds is above that of the second quarter."""
    quarter = len(found) // 4
    second, last = found[quarter : 2 * quarter], found[-quarter:]
    return int(median(each.memory for each in last) - median(each.memory for each in second))


def imports(count: int, together: int) -> set[str]:
    """What so many processes print that import minidl and compute."""
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    program, said = [sys.executable, "-c", PROGRAM], set()
    for begin in range(0, count, together):
        started = [
            subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(min(together, count - begin))
        ]
        for process in started:
            text = process.communicate(timeout=300)[0]
            said.add(f"{process.returncode} {text}")
    return said


def main(argv: list[str] | None = None) -> None:
    """Soak, import, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--imports", type=int, default=200)
    parser.add_argument("--together", type=int, default=8)
    given = parser.parse_args(argv)
    found, bad = list(soak(given.seconds)), False
    if len(found) >= 8:
        grown, quarter = growth(found), found[len(found) // 4]
        files, threads = ({getattr(each, name) for each in found[len(found) // 4 :]} for name in ("files", "threads"))
        print(f"{len(found)} rounds: {quarter.memory >> 20} MiB after a quarter, {grown / 2**20:+.1f} MiB from then on")
        print(
            f"open files {sorted(files)}, threads of the system {sorted(threads)}, of Python {threading.active_count()}"
        )
        bad = (
            grown > MOST
            or len(files) > 1
            or threading.active_count() > 1
            or max(threads) > max(each.threads for each in found[:4])
        )
    else:
        print(f"{len(found)} rounds, too few to tell")
    if given.imports:
        said = imports(given.imports, given.together)
        print(f"{given.imports} imports, {given.together} at a time: {len(said)} different outputs")
        bad = bad or len(said) != 1 or not next(iter(said)).startswith("0 ")
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
