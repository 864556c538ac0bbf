"""How many threads to compute with: the environment's wish, else the processors that this process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

MOST = 2**31 - 1
"""The largest C int; the pool of threads has a lower limit of its own."""


def wanted_threads(environment: Mapping[str, str], root: str | os.PathLike[str] = "/") -> int:
    """MINIDL_NUM_THREADS of the environment, else OMP_NUM_THREADS, else `usable_processors(root)`.

    Of OMP_NUM_THREADS, a list with a number for each nested level (OpenMP 5.2, section 21.1.2), the first counts; as in
    OpenMP, what is no positive number is as good as not set. Raises ValueError for such a MINIDL_NUM_THREADS.
    """
    wanted = environment.get("MINIDL_NUM_THREADS", "")
    if wanted:
        threads = _count(wanted)
        if not threads:
            raise ValueError(f"MINIDL_NUM_THREADS must be a positive integer, got {wanted!r}")
        return threads
    openmp = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return _count(openmp) or usable_processors(root)


def usable_processors(root: str | os.PathLike[str] = "/") -> int:
    """Processors that this process may use at a time, at least 1: those of its affinity mask (else of the machine), and
    no more than the quotas of its control groups allow, rounded down.

    A share of a processor is no place for a thread: at a barrier the others would wait for it until the next period.
    root: of the file system whose /proc/self describes the process.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # no masks on this system
        count = os.cpu_count() or 1
    return max(1, min([count, *(int(quota) for quota in _quotas(Path(root)))]))


def _count(text: str) -> int:
    """The number that a text says, at most `MOST`; 0 if it says none."""
    digits = text.lstrip("0")[:20]  # of more digits Python makes no number
    return min(int(digits), MOST) if text.isdecimal() and digits else 0


def _quotas(root: Path) -> Iterator[float]:
    """Processors that each control group of the process, and each group around it, grants; none if it has no limit."""
    try:
        memberships = _read(root / "proc/self/cgroup").splitlines()
        mounts = _read(root / "proc/self/mountinfo").splitlines()
    except OSError:  # another system, or no /proc
        return
    groups = {}  # of the process, by controller; "" is the one hierarchy of version 2
    for line in memberships:  # cgroups(7): "4:cpu,cpuacct:/path", "0::/path"
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        groups.update(dict.fromkeys(controllers.split(","), path))
    for line in mounts:  # proc_pid_mountinfo(5): id, parent, device, root, mount point, ... - type, source, options
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" and "" in groups:
            group, limit = groups[""], _quota_v2
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(",") and "cpu" in groups:
            group, limit = groups["cpu"], _quota_v1
        else:
            continue
        top, point = map(_unescaped, fields[3:5])
        for folder in _from_inside(root / point.lstrip("/"), top, group):
            with suppress(OSError, ValueError):  # no such limit here: the root group has none, "max" and -1 are none
                yield limit(folder)


def _from_inside(point: Path, top: str, group: str) -> Iterator[Path]:
    """The folders of a group and of those around it, up to `point`, where the group `top` is mounted.

    In a container the group may lie outside of what is mounted: then what is mounted is all that can be seen.
    """
    below = os.path.relpath(group, top) if group.startswith("/") else "."
    parts = [] if below == "." or ".." in below.split("/") else below.split("/")
    for depth in range(len(parts), -1, -1):
        yield point.joinpath(*parts[:depth])


def _quota_v2(folder: Path) -> float:
    quota, period = _read(folder / "cpu.max").split()
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> float:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float:
    """Quota over period, both in microseconds; ValueError if there is no limit."""
    time, of = int(quota), int(period)
    if time <= 0 or of <= 0:
        raise ValueError("no limit")
    return time / of


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _unescaped(text: str) -> str:
    """Blanks in the paths of mountinfo are octal: "\\040"."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
