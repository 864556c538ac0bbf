"""The machine: processor, cores, versions, environment, memory of this process."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import SLOWED_BLAS


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory() -> tuple[int, int]:
    """Bytes of this process in memory: now and at the peak.

    Linux's VmRSS and VmHWM; elsewhere getrusage's ru_maxrss twice. (Linux's own ru_maxrss would also count the
    parent before exec.)
    """
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak
    except (OSError, KeyError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak


def instruction_sets() -> list[str]:
    """Vector extensions among the processor's flags, the widest first; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    flags = set(text.partition("flags")[2].partition("\n")[0].split())
    return [name for name in ("avx512f", "avx2", "fma", "sse2", "asimd") if name in flags]


def describe() -> dict[str, Any]:
    """What a reader must know of the machine, for the JSON file and the tables' head."""
    settings = ("OMP_", "OPENBLAS_", "MKL_", "MINIDL_", "KMP_", "GOMP_")
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "instruction_sets": instruction_sets(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "environment": {key: value for key, value in sorted(os.environ.items()) if key.startswith(settings)},
        "unset": [key for key in SLOWED_BLAS if key in os.environ],
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }
