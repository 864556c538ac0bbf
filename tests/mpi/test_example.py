"""The example trains on two ranks, and goes on alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from mpi import jobs

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_mpi.py"


def test_two_ranks_train_and_one_goes_on(tmp_path):
    pytest.importorskip("matplotlib")
    options = ["--limit", "300", "--batch-size", "30", "--out", str(tmp_path / "out")]
    two = [str(jobs.MPIEXEC), "-n", "2", sys.executable, str(EXAMPLE), *options, "--epochs", "2"]
    done = subprocess.run(two, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes, this one with ") == 1
    assert [int(number) for number in re.findall(r"(?m)^epoch (\d)/2 ", done.stdout)] == [1, 2]
    assert float(re.search(r"test accuracy (\d+\.\d\d)%", done.stdout)[1]) > 60
    done = subprocess.run([sys.executable, str(EXAMPLE), *options, "--epochs", "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 epochs are done" in done.stdout
    assert [int(number) for number in re.findall(r"(?m)^epoch (\d)/3 ", done.stdout)] == [3]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "run.safetensors",
        "model.safetensors",
        "curves.png",
    }
