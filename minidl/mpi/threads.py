"""How many threads each rank computes with: the processors of a node are dealt out to the ranks that are on it."""

from __future__ import annotations

import os
from typing import Any

from minidl.config import get_num_threads, set_num_threads
from minidl.support.processors import usable_processors

WISHES = ("MINIDL_NUM_THREADS", "OMP_NUM_THREADS")
"""Where one of these is set, nothing is dealt."""


def dealt(index: int, ranks: int, processors: int) -> int:
    """Threads of the rank number `index` of so many that share so many processors, at least 1."""
    return max(1, processors // ranks + (index < processors % ranks))


def deal(mpi: Any, comm: Any) -> None:
    """Set this rank's threads. A collective call.

    Ranks that may run on the same processors share them. A launcher that binds each rank to processors of its own has
    dealt already: these are the rank's.
    """
    node = comm.Split_type(mpi.COMM_TYPE_SHARED)
    try:
        mask = tuple(sorted(os.sched_getaffinity(0)))
    except AttributeError:  # no masks on this system
        mask = ()
    sharing = [rank for rank, other in enumerate(node.allgather(mask)) if other == mask]
    threads = dealt(sharing.index(node.rank), len(sharing), usable_processors())
    node.Free()
    if not any(os.environ.get(name) for name in WISHES) and threads != get_num_threads():
        set_num_threads(threads)
