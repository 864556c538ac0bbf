"""How many threads an estimator computes with: its share of those that the process may use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minidl import kernels
from minidl.config import get_num_threads, set_num_threads
from minidl.kernels import checks
from minidl.support import processors

_lock = threading.Lock()
_wishes: list[int] = []
_outside = 1
"""Threads of the process while no estimator computes."""


@contextmanager
def sharing(who: str, n_threads: int | None) -> Iterator[None]:
    """Compute with at most `n_threads` threads (None: as many as are set), and with others' estimators beside it.

    Estimators that compute in several Python threads of one process share its threads: k of them get a k-th each. The
    processes of joblib and Dask are told their share by OMP_NUM_THREADS before they begin; no wish goes beyond it.
    Results do not depend on any of this.
    """
    global _outside
    if "native" not in kernels.available():
        yield
        return
    most = processors.wanted_threads(os.environ)
    wish = None if n_threads is None else min(checks.integer(who, "n_threads", n_threads, 1), most)
    with _lock:
        if not _wishes:
            _outside = get_num_threads()
        _wishes.append(_outside if wish is None else wish)
        number = _wishes[-1]
        _deal()
    try:
        yield
    finally:
        with _lock:
            _wishes.remove(number)
            _deal()


def _deal() -> None:
    wanted = max(1, min(_wishes) // len(_wishes)) if _wishes else _outside
    if wanted != get_num_threads():
        set_num_threads(wanted)
