"""What must not end in ranks that wait for ever: errors of one rank, and requests to end that come to some of them."""

from __future__ import annotations

import atexit
import faulthandler
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from minidl.training.interrupt import Interrupt, Interrupted

STATUS = 1
"""Exit status of a job that an error has ended."""

START = 300.0
"""Seconds that a rank waits for the others to come to `DataParallel()`."""

PAUSE = 0.001
"""Seconds between two looks at who has arrived."""

GRACE = 2.0
"""Seconds that rank 0 has to tell of an error that all ranks have, before another one ends the job."""


class Everywhere:
    """Marks errors that every rank raises at the same place."""

    @staticmethod
    def mark(error: BaseException) -> Any:
        """The error, marked."""
        error.everywhere = True  # type: ignore[attr-defined]
        return error

    @staticmethod
    def marks(error: BaseException | None) -> bool:
        """Whether it is marked."""
        return getattr(error, "everywhere", False)


def settle(comm: Any, error: BaseException | None) -> None:
    """Raise where any rank has an error: on that rank its own, on the others a RuntimeError that tells of it."""
    told = comm.allgather(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise Everywhere.mark(error)
    for rank, text in enumerate(told):
        if text is not None:
            raise Everywhere.mark(RuntimeError(f"DataParallel: rank {rank} cannot begin: {text}"))


def end_job(comm: Any, error: BaseException) -> None:
    """Tell of an error of this rank alone, and end the processes of all: the others wait for this one."""
    sys.stdout.flush()
    sys.stderr.write(f"rank {comm.rank} of {comm.size} has failed and ends the job:\n")
    traceback.print_exception(type(error), error, error.__traceback__)
    sys.stderr.flush()
    comm.Abort(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code else STATUS)


def end_job_on_errors(comm: Any) -> None:
    """Let every error that nobody catches end the whole job: the other ranks may wait for this one, or will."""
    former = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if Everywhere.marks(error) and comm.rank:
            time.sleep(GRACE)  # rank 0 says it
            comm.Abort(STATUS)
        sys.stdout.flush()
        former(kind, error, trace)
        sys.stderr.flush()
        comm.Abort(STATUS)

    sys.excepthook = hook


@contextmanager
def not_for_ever() -> Iterator[None]:
    """Ends the process, with a traceback, if this is still open after `START` seconds.

    While MPI starts nobody can be told of a rank that is gone, and no Python code runs, of other threads neither.
    """
    stream = sys.__stderr__
    if stream is not None and not stream.closed:
        faulthandler.dump_traceback_later(START, exit=True, file=stream)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class Farewells:
    """Ranks that have ended, told to one that still waits for them: without a word they would wait in MPI's own end.

    mpi: the module mpi4py.MPI. comm: the ranks, with no other messages. Rank 0 hears of all others, rank 1 of rank 0.
    """

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi, self._comm = mpi, comm
        atexit.register(self._leave)  # before MPI ends, which mpi4py leaves to the interpreter's last moments

    def meet(self) -> None:
        """Wait until all ranks are here; end the job if one has ended instead."""
        arrived = self._comm.Ibarrier()
        while not arrived.Test():
            status = self._mpi.Status()
            if self._comm.Iprobe(status=status):
                text = f"rank {status.source} of {self._comm.size} has ended, but rank {self._comm.rank} waits for it"
                end_job(self._comm, RuntimeError(f"DataParallel: {text} in fit, which every rank must call"))
            time.sleep(PAUSE)

    def _leave(self) -> None:
        comm = self._comm
        if self._mpi.Is_finalized():
            return
        told = comm.isend(None, int(comm.rank == 0))
        for rank in range(comm.size):
            if rank != comm.rank and (comm.rank == 0 or (comm.rank == 1 and rank == 0)):
                comm.recv(source=rank)
        told.wait()


class SharedInterrupt(Interrupt):
    """Ctrl-C and SIGTERM of any rank as a request that all grant after the same step.

    A step tells the others what has come here (`signals`), and `grant` hears what has come to any. comm: the ranks.
    total: the sums of the ranks' numbers.
    """

    def __init__(self, comm: Any, total: Callable[[Any], Any]) -> None:
        super().__init__()
        self._comm, self._total = comm, total
        self._granted = False

    def signals(self) -> tuple[float, float]:
        """Whether Ctrl-C, and whether SIGTERM, has come to this rank."""
        return float(self.asked == signal.SIGINT), float(self.asked == signal.SIGTERM)

    def grant(self, counts: Any) -> None:
        """To how many ranks each has come."""
        if counts[0] or counts[1]:
            self.asked = int(signal.SIGTERM if counts[1] else signal.SIGINT)
            self._granted = True

    def check(self) -> None:
        """Raise Interrupted once all ranks know of it."""
        if self._granted:
            raise Interrupted

    def pass_on(self) -> None:
        """As for one process, when all have come so far: the first that ends may end the others."""
        self.grant(self._total(self.signals()))
        super().pass_on()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None and number == signal.SIGINT:
            self._comm.Abort(128 + number)  # at once, and not this rank alone
        super()._note(number, frame)
