"""The native backend: one image per vector lane, compiled for several instruction sets, threaded.

The operations are bound in `minidl/_ext/`; how they work is told in docs/kernels/. Environment: MINIDL_ISA ("avx512",
"avx2", "baseline") forces an instruction set, MINIDL_NUM_THREADS the number of threads.
"""

from __future__ import annotations

import os

from minidl._ext.lanearray import config, get_num_threads, isa, isas, set_num_threads, use_isa, use_winograd
from minidl.kernels import assemble

name = "native"
fuses = True

_bound = [f"minidl._ext.{family}" for family in assemble.FAMILIES if family != "matrix"]
assemble.collect(__name__, ["minidl._ext.lanearray", *_bound, "minidl.kernels.im2col.matrix"])


def _usable_processors() -> int:
    """Processors that this process may run on: its affinity mask, and the quota of its control group."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count


def _configure() -> None:
    wanted = os.environ.get("MINIDL_NUM_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted) > 0):
        raise ValueError(f"MINIDL_NUM_THREADS must be a positive integer, got {wanted!r}")
    set_num_threads(int(wanted) if wanted else _usable_processors())
    if os.environ.get("MINIDL_ISA"):
        use_isa(os.environ["MINIDL_ISA"])


_configure()
