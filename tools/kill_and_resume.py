"""Kill trainings by SIGKILL, resume them, and compare their ends with undisturbed ones, bit by bit.

    python tools/kill_and_resume.py [--times 50] [--seed 0] [--ranks 1]

Every training runs in a process of its own on the embedded digits, with batch normalisation and dropout, one of the
settings of `CASES`, and a checkpoint after each step. Half of the kills come at a random time, half within the writing
of a random checkpoint: before or after a call to the system, or in the middle of a write (`breaking.py`). Each training
is killed one to three times before it may end; processes take one or two threads in turn. What is compared: weights,
running statistics, optimiser slots, averages, best weights, and the history without its seconds.
With --ranks 2 each training runs on two ranks (extra `mpi`), one of which is killed.
Ends with an error if one bit differs or a temporary file is left. The checkpoints are written to a temporary folder:
TMPDIR=/dev/shm makes it quick where the disk is slow.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import breaking
import numpy as np

import minidl
from minidl import data
from minidl.data.augment.transforms import Crop, Cutout
from minidl.support import atomic

CASES: dict[str, tuple[Callable[[], Any], dict[str, Any], Callable[[], Any]]] = {
    "SGD": (lambda: minidl.SGD(minidl.OneCycle(0.1), 0.9, nesterov=True), {"seed": 0}, lambda: None),
    "Adam, no seed": (lambda: minidl.Adam(minidl.Cosine(0.01)), {"seed": None}, lambda: None),
    "SGD, average, augmentation": (
        lambda: minidl.SGD(0.05, 0.9, groups={"*.bias": {"lr": 2.0}}),
        {"seed": 1, "augment": (Crop(2, "reflect"), Cutout(6))},
        lambda: minidl.WeightAverage(0.95),
    ),
    "Lookahead of AdamW, average, augmentation, no seed": (
        lambda: minidl.Lookahead(minidl.AdamW(0.01, clip_norm=1.0), every=3),
        {"seed": None, "augment": (Crop(1),)},
        lambda: minidl.WeightAverage(0.9, every=2),
    ),
}
"""Name -> optimiser, arguments of `fit`, average."""

IMAGES, BATCH, EPOCHS = 500, 48, 3
STEPS = EPOCHS * -(-IMAGES // BATCH)
MOMENTS = 150
"""Of them there are so many within the writing of a checkpoint, about; a process can be made to die at each."""


def network() -> minidl.Model:
    """Small, with everything that has a state; one dropout has a generator of its own, one has minidl's."""
    return minidl.Model(
        *(minidl.Conv2D(1, 8, 3, padding=1), minidl.BatchNorm2D(8), minidl.Relu(), minidl.MaxPool2D(2)),
        *(minidl.Conv2D(8, 8, 3, padding=1), minidl.BatchNorm2D(8), minidl.Relu(), minidl.AvgPool2D(2)),
        *(minidl.Flatten(), minidl.Dropout(0.2, rng=5), minidl.Linear(392, 32), minidl.Relu()),
        *(minidl.Dropout(0.1), minidl.Linear(32, 10)),
    )


# ---- the process that is killed --------------------------------------------------------------------------------------


def work(case: str, path: Path, die_at: int, ranks: int) -> None:
    """Train, from the checkpoint if there is one; print "ready" and the processes before, and a digest of the end."""
    optimizer, arguments, average = CASES[case]
    parallel, processes, first = None, [os.getpid()], True
    if ranks > 1:
        from mpi4py import MPI

        from minidl.mpi import DataParallel

        parallel = DataParallel()
        processes, first = MPI.COMM_WORLD.allgather(os.getpid()), parallel.rank == 0
    (x, y), _ = data.load_digits_mini()
    minidl.seed(7)
    trainer = minidl.Trainer(network(), minidl.SoftmaxCrossEntropyLoss(), optimizer(), average(), parallel=parallel)
    best = minidl.KeepBest("val_loss")
    if die_at and first:
        breaking.watch(breaking.kill_at(die_at))
    if first:
        print("ready", *processes, flush=True)
    history = trainer.fit(
        (x[:IMAGES], y[:IMAGES]),
        (x[IMAGES : IMAGES + 100], y[IMAGES : IMAGES + 100]),
        EPOCHS,
        BATCH,
        callbacks=[minidl.Checkpoint(path, every_seconds=0), best],
        verbose=False,
        resume=path,
        **arguments,
    )
    found = {"model": trainer.model.state(), "optimizer": trainer.optimizer.state(), "history": history.state()}
    found["average"] = {} if trainer.average is None else trainer.average.state()
    found["best"] = {name: np.asarray(value) for name, value in best.state().items()}
    del found["history"]["seconds"]
    total = hashlib.sha256()
    for part, arrays in found.items():
        for name in sorted(arrays):
            total.update(f"{part}.{name}".encode() + arrays[name].tobytes())
    if first:
        print(total.hexdigest(), flush=True)


# ---- the process that kills ------------------------------------------------------------------------------------------


def start(case: str, path: Path, threads: int, ranks: int, die_at: int = 0) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that trains, or goes on, and those of its ranks; returns when they are about to."""
    program = [sys.executable, __file__, "--work", case, str(path), str(die_at), str(ranks)]
    if ranks > 1:
        beside = Path(sys.executable).parent / "mpiexec"
        mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
        if mpiexec is None:
            sys.exit("--ranks needs mpiexec: pip install 'minidl[mpi]'")
        program = [mpiexec, "-n", str(ranks), *program]
    folder = str(Path(minidl.__file__).parents[1])
    environment = {**os.environ, "MINIDL_NUM_THREADS": str(threads), "PYTHONPATH": folder}
    process = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready, *processes = process.stdout.readline().split() or [""]
    if ready != "ready":
        sys.exit(f"{case}: the process did not start")
    return process, list(map(int, processes))


def finish(process: subprocess.Popen[str]) -> str:
    """The digest of a process that may end; "" if it was killed."""
    text = process.communicate()[0]
    if process.returncode not in (0, -signal.SIGKILL, signal.SIGKILL, 128 + signal.SIGKILL):  # mpiexec's are positive
        sys.exit(f"a training ended with {process.returncode}: {text}")
    found = re.search(r"(?m)^[0-9a-f]{64}$", text)
    return found[0] if found else ""


def disturb(case: str, path: Path, seconds: float, rng: random.Random, ranks: int) -> tuple[str, int, int]:
    """Kill a training up to three times, then let it end -> digest, kills at a time, kills within a write."""
    timed = written = 0
    for turn in range(rng.randint(1, 3)):
        at_a_time = rng.random() < 0.5
        die_at = 0 if at_a_time else rng.randint(1, MOMENTS * STEPS // 2)
        process, processes = start(case, path, 1 + turn % 2, ranks, die_at)
        if at_a_time:
            time.sleep(rng.uniform(0, seconds))
            with suppress(ProcessLookupError):
                os.kill(rng.choice(processes), signal.SIGKILL)
        text = finish(process)
        if text:  # it was faster
            return text, timed, written
        timed, written = timed + at_a_time, written + (not at_a_time)
    return finish(start(case, path, 2, ranks)[0]), timed, written


def main(argv: list[str] | None = None) -> None:
    """Run the cases in turn until so many trainings have been killed; report each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="trainings to kill (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the kills (default %(default)s)")
    parser.add_argument("--ranks", type=int, default=1, help="processes of a training (default %(default)s)")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.work:
        work(args.work[0], Path(args.work[1]), int(args.work[2]), int(args.work[3]))
        return
    rng = random.Random(args.seed)
    names = list(CASES)[: args.times]
    expected, seconds = {}, {}
    done = equal = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(names):
            process, _ = start(case, Path(folder, f"whole{i}"), 1, args.ranks)
            begun = time.monotonic()
            expected[case], seconds[case] = finish(process), time.monotonic() - begun
        while done < args.times:
            case, path = names[done % len(names)], Path(folder, f"run{done}")
            digest, timed, written = disturb(case, path, seconds[case], rng, args.ranks)
            if not timed + written:
                path.unlink()
                continue  # it ended before it could be killed
            done += 1
            equal += digest == expected[case]
            left = [name for name in os.listdir(folder) if name.endswith(atomic.TAIL)]
            verdict = "equal" if digest == expected[case] else "DIFFERENT"
            print(f"{done:3}  {verdict}  {timed} kills at a time, {written} within a write  {case}", flush=True)
            if left:
                sys.exit(f"temporary files are left: {', '.join(left)}")
    print(f"{equal} of {done} killed trainings ended in the bits of the undisturbed ones")
    if equal < done:
        sys.exit(1)


if __name__ == "__main__":
    main()
