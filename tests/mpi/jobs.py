"""Python programs on several ranks: `run` starts them by mpiexec, and brings back what each rank has found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mpi4py", reason="the extra mpi")

HERE = Path(__file__).parent
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
if MPIEXEC is None:
    pytest.skip("there is no mpiexec", allow_module_level=True)

HEAD = """
import os, signal, sys
sys.path[:0] = {path!r}
import numpy as np
import minidl
from minidl.mpi import DataParallel
import programs

def give(**found):
    "What this rank has found, for the test."
    np.savez(f"{folder}/rank{{rank}}.npz", **found)

parallel = DataParallel({arguments})
rank, size = parallel.rank, parallel.size
"""


@dataclass
class Job:
    """How a job has ended. status: of mpiexec. found: what each rank gave, by rank."""

    status: int
    text: str
    seconds: float
    found: dict[int, dict[str, Any]] = field(default_factory=dict)


def run(ranks: int, folder: Path, code: str, arguments: str = "", fails: bool = False, threads: str = "1") -> Job:
    """Run `code` on so many ranks, each with `parallel`, `rank`, `size`, `give` and the module `programs`.

    arguments: of DataParallel. fails: whether a status other than 0 is expected; AssertionError with the job's own
    words otherwise. threads: MINIDL_NUM_THREADS.
    """
    folder.mkdir(exist_ok=True)
    path = [str(HERE), str(HERE.parent), str(HERE.parents[1])]
    script = folder / "script.py"
    script.write_text(HEAD.format(path=path, folder=folder, arguments=arguments) + code, encoding="utf-8")
    environment = {**os.environ, "MINIDL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": "1"}
    begun = time.monotonic()
    done = subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
    )
    job = Job(done.returncode, done.stdout + done.stderr, time.monotonic() - begun)
    assert (job.status != 0) == fails, job.text
    for rank in range(ranks):
        file = folder / f"rank{rank}.npz"
        if file.exists():
            with np.load(file) as arrays:
                job.found[rank] = {name: arrays[name] for name in arrays.files}
    return job
