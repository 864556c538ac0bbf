"""The next batch is made while the step runs: one thread, and never more than two batches that wait."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from minidl.training.samples import Batch

WAITING = 2
"""Batches that may be ready, beside the one in the making."""

POLL = 0.1
"""Seconds between two looks at Ctrl-C while the next batch is waited for."""


class Ahead:
    """An iterator over the batches of another one, which runs in a thread of its own.

    source: is iterated in the thread; an exception of it arrives here, where its batch is due, with its traceback.
    check: is called while a batch is waited for; it may raise. As a context it ends the thread: what `source` is
    making is still finished, and it is closed. After a fork the child has no such thread, and gets a RuntimeError.
    """

    def __init__(self, source: Iterator[Batch], check: Callable[[], None]) -> None:
        self._source = source
        self._check = check
        self._ready: deque[tuple[Batch | None, BaseException | None]] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._process = os.getpid()
        # A daemon: a process that is told to end does not wait for somebody's slow loader.
        self._thread = threading.Thread(target=self._make, name="minidl batches", daemon=True)

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if os.getpid() != self._process:
            return
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Ahead:
        return self

    def __next__(self) -> Batch:
        if os.getpid() != self._process:
            raise RuntimeError("Trainer: a training cannot go on in a forked process, whose batches nobody makes")
        with self._changed:
            while not self._ready:
                self._changed.wait(POLL)
                if not self._ready:
                    self._check()
            batch, error = self._ready.popleft()
            if batch is None:
                self._ready.append((None, None))  # the end stays the end, whoever asks again
            self._changed.notify_all()
        if error is not None:
            raise error
        if batch is None:
            raise StopIteration
        return batch

    def _make(self) -> None:
        """What the thread does."""
        try:
            for batch in self._source:
                if not self._put(batch, None):
                    break
            else:
                self._put(None, None)
        except BaseException as error:
            self._put(None, error)
        finally:
            close: Any = getattr(self._source, "close", None)
            if close is not None:
                close()

    def _put(self, batch: Batch | None, error: BaseException | None) -> bool:
        """Whether it is still wanted."""
        with self._changed:
            while len(self._ready) >= WAITING and not self._stopped:
                self._changed.wait()
            self._ready.append((batch, error))
            self._changed.notify_all()
            return not self._stopped
