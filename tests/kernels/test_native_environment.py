"""What the environment decides before the first call: instruction set, number of threads, processors of the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)
from minidl.kernels import native
from minidl.support.processors import usable_processors

SHOW = "import minidl; minidl.show_config()"


def run(code, **environment):
    """The script's process in this environment, without the settings of this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINIDL_")}
    code = f"import sys; sys.path[:] = {sys.path!r}; {code}"  # the same minidl as here
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, timeout=100
    )


def rows(code=SHOW, **environment):
    process = run(code, **environment)
    assert process.returncode == 0, process.stderr
    return dict(line.split(maxsplit=1) for line in process.stdout.splitlines())


@pytest.mark.parametrize("isa", native.isas())
def test_the_instruction_set_can_be_forced(isa):
    shown = rows(MINIDL_ISA=isa)
    assert shown["isa"] == f"{isa} of {', '.join(native.isas())}"
    single, double = {"avx512": (16, 8), "avx2": (8, 4), "baseline": (4, 2)}[isa]
    assert shown["lanes"] == f"{single} float32, {double} float64"


def test_without_a_wish_the_widest_is_used():
    shown = rows(MINIDL_ISA="", MINIDL_NUM_THREADS="")
    assert shown["isa"].split()[0] == native.isas()[0]
    assert shown["backends"].endswith("(in use: native)")


def test_an_instruction_set_that_is_not_here_is_an_error():
    process = run(SHOW, MINIDL_ISA="sse9")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        f"ValueError: instruction set must be one of {', '.join(native.isas())} on this machine, got 'sse9'"
    )


@pytest.mark.parametrize("threads", ["1", "3", "007"])
def test_the_number_of_threads_can_be_set(threads):
    assert rows(MINIDL_NUM_THREADS=threads)["threads"] == str(int(threads))


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", " 2", "²"])
def test_a_bad_number_of_threads_is_an_error(threads):
    process = run(SHOW, MINIDL_NUM_THREADS=threads)
    assert process.returncode == 1
    expected = f"ValueError: MINIDL_NUM_THREADS must be a positive integer, got {threads!r}"
    assert process.stderr.splitlines()[-1] == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
class TestProcessors:
    def test_the_affinity_mask_decides(self):
        one = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}]); {SHOW}"
        assert rows(one, OMP_NUM_THREADS="")["threads"] == "1"
        assert rows(one, MINIDL_NUM_THREADS="3")["threads"] == "3"

    def test_openmp_s_wish_counts_where_there_is_no_other(self):
        assert rows(OMP_NUM_THREADS="5,2")["threads"] == "5"
        assert rows(OMP_NUM_THREADS="5", MINIDL_NUM_THREADS="3")["threads"] == "3"

    def test_all_processors_are_used(self):
        assert int(rows(OMP_NUM_THREADS="")["threads"]) == usable_processors()
