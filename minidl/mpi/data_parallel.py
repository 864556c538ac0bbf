"""`DataParallel`: what a `Trainer` asks of the processes that train one model, answered by MPI."""

from __future__ import annotations

import itertools
import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from minidl.layers.dropout import Dropout
from minidl.layers.parameter import Parameter
from minidl.layers.walk import walk
from minidl.mpi import agreement, faults, norm, threads
from minidl.mpi.buckets import Buckets
from minidl.mpi.faults import Everywhere, Farewells, SharedInterrupt, end_job, end_job_on_errors, settle
from minidl.mpi.shards import Shard
from minidl.mpi.step import Clock, Part, RankStep
from minidl.support import random
from minidl.training import checkpoint, resume
from minidl.training.call import Call
from minidl.training.interrupt import Interrupt
from minidl.training.parallel import Parallel, Scored
from minidl.training.samples import Batch
from minidl.training.state import Training
from minidl.training.step import NonFiniteLoss, Step
from minidl.training.stream import Data, Stream, one_pass


class DataParallel(Parallel):
    """Ranks that train one model together: each computes its rows of every batch, gradients are summed.

        parallel = minidl.mpi.DataParallel()
        trainer = minidl.Trainer(model, loss, optimizer, parallel=parallel)
        trainer.fit(train, validation=test, epochs=10, batch_size=256, seed=0)      # mpiexec -n 8 python train.py

    batch_size is that of all ranks together, and the batches are those of one process: the results are those of one
    process, too, but for the order of sums. All ranks call `fit` with the same arguments, and have the same weights
    after each step, to the bit. Losses, accuracies, metrics and validation are those of all ranks. Callbacks are called
    on every rank; those that write files (`Callback.writes`) on rank 0 alone, which alone prints and saves.
    `Trainer.evaluate` computes where it is called, and does not wait for other ranks.

    comm: a communicator of mpi4py; None for all processes that mpiexec has started, one without it. rank, size: of the
    communicator. sync_batchnorm: whether batch normalisation takes the statistics of the whole batch; without it each
    rank takes those of its rows, and running statistics are means over the ranks. shard: whether each rank is given a
    part of the data, (x, y) of its own, of training and validation; the whole set is then numbered through in the order
    of the ranks, and targets and weights of training data, no images, are sent to all. Without shard each rank is given
    the same data, memory-mapped for instance, and reads its rows.

    The processors of each machine are dealt out to its ranks as threads, unless MINIDL_NUM_THREADS or OMP_NUM_THREADS
    is set. clock: how long this rank has waited in steps for others (see `step.Clock`).

    An error that one rank alone meets ends all processes, with its traceback and a status other than 0. Raises
    ImportError without mpi4py, TypeError for a comm that is none.
    """

    def __init__(self, comm: Any = None, sync_batchnorm: bool = False, shard: bool = False) -> None:
        with faults.not_for_ever():
            try:
                from mpi4py import MPI
            except ImportError as error:
                raise ImportError("minidl.mpi needs mpi4py and an MPI library: pip install 'minidl[mpi]'") from error
        if comm is not None and not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"DataParallel: comm must be None or a communicator of mpi4py, got {comm!r}")
        for name, value in (("sync_batchnorm", sync_batchnorm), ("shard", shard)):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"DataParallel: {name} must be True or False, got {value!r}")
        self.sync_batchnorm, self.shard = bool(sync_batchnorm), bool(shard)
        self._mpi = MPI
        with faults.not_for_ever():  # nobody else's messages come between
            self._comm, farewells = ((MPI.COMM_WORLD if comm is None else comm).Dup() for _ in range(2))
        self.rank, self.size = self._comm.rank, self._comm.size
        self.clock = Clock()
        self._alone = False
        self._interrupt: SharedInterrupt | None = None
        self._buckets: Buckets | None = None
        self._shard: Shard | None = None
        self._stream: Stream | None = None
        if self.size > 1:
            end_job_on_errors(self._comm)
        self._farewells = Farewells(MPI, farewells) if self.size > 1 else None
        threads.deal(MPI, self._comm)

    def __repr__(self) -> str:
        """Rank and size."""
        return f"DataParallel(rank {self.rank} of {self.size})"

    # ---- before a run, and around it ---------------------------------------------------------------------------------

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Waits for all ranks; an error of one is raised on all."""
        if self._farewells is not None:
            self._farewells.meet()
        error = None
        try:
            yield
        except Exception as fault:
            error = fault
        settle(self._comm, error)

    def agreed(self, training: Training, call: Call) -> Call:
        """The call with the callbacks of this rank, and with the whole set of which it has a part.

        Raises ValueError, on every rank, where they do not ask for the same.
        """
        agreement.check(self._comm.allgather(agreement.told(training, call, self.sync_batchnorm, self.shard)))
        self._shard = Shard(self._comm, call) if self.shard else None
        call = call if self._shard is None else self._shard.whole
        self._stream = call.data if isinstance(call.data, Stream) else None
        return replace(call, callbacks=[each for each in call.callbacks if self.rank == 0 or not each.writes])

    def interrupt(self) -> Interrupt:
        """Ctrl-C and SIGTERM of all ranks."""
        self._interrupt = SharedInterrupt(self._comm, self.total)
        return self._interrupt

    @contextmanager
    def running(self, training: Training) -> Iterator[None]:
        """Ends the job if an error comes that the other ranks do not have."""
        self._alone = False
        if self.sync_batchnorm:
            norm.put(training.model, lambda: norm.Across(self._mpi, self._comm))
        try:
            yield
        except BaseException as error:
            shared = Everywhere.marks(error) or (isinstance(error, FloatingPointError) and not self._alone)
            if not shared and self.size > 1:
                end_job(self._comm, error)
            raise
        finally:
            self._buckets = None
            for layer in walk(training.model):
                if isinstance(layer, Dropout):
                    layer.first_row = 0
            if self.sync_batchnorm:
                norm.put(training.model, None)

    def begin(self, training: Training, call: Call, start: bool | str | os.PathLike[str]) -> None:
        """Rank 0 begins or resumes, and the others get all that it has: weights, optimiser, generators, history."""
        content = None
        with self.settling():
            if self.rank == 0:
                resume.begin(training, call, start)
                content = checkpoint.pack(training)
        content = self._comm.bcast(content)
        with self.settling():
            if self.rank:
                checkpoint.unpack(training, content)
                resume.begin(training, call, True)

    # ---- steps -------------------------------------------------------------------------------------------------------

    def share(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """This rank's rows of each batch: neighbours, or those that it has."""
        for batch in batches if self._stream is None else self._equal(batches, self._stream):
            yield self._part(batch) if self._shard is None else self._shard.part(batch)

    def _equal(self, batches: Iterator[Batch], stream: Stream) -> Iterator[Batch]:
        """The batches of a stream; raises ValueError, on every rank, where the ranks' sources do not give the same."""
        for number in itertools.count(1):
            batch = next(batches, None)
            here = 0 if batch is None else len(batch.rows), stream.first
            for rank, other in enumerate(first := self._comm.allgather(here)):
                if other != first[0]:
                    what = f"{other[0]} images" if other[0] != first[0][0] else "others"
                    rule = (
                        f"must be the same on all ranks, got {first[0][0]} images on rank 0 and {what} on rank {rank}"
                    )
                    raise Everywhere.mark(ValueError(f"DataParallel: training batch {number} {rule}"))
            if batch is None:
                return
            yield batch

    def _part(self, batch: Batch) -> Part:
        count = len(batch.rows)
        first, end = (count * rank // self.size for rank in (self.rank, self.rank + 1))
        rows = slice(first, end)
        changes = None if batch.changes is None else batch.changes.part(rows)
        part = Part(batch.samples, batch.rows[rows], changes, None if batch.moved is None else batch.moved[rows])
        part.whole, part.first = count, first
        return part

    def step(self, training: Training) -> Step:
        """A step of all ranks."""
        return RankStep(self, training)

    @contextmanager
    def by_itself(self) -> Iterator[None]:
        """While this is open, a rank may meet errors that the others do not meet."""
        self._alone = True
        yield
        self._alone = False

    def buckets(self, parameters: Sequence[Parameter]) -> Buckets:
        """The buffer of their gradients."""
        if self._buckets is None or not self._buckets.fits(parameters):
            self._buckets = Buckets(self._mpi, self._comm, parameters)
        return self._buckets

    def sum(self, array: np.ndarray) -> Any:
        """The request for the sum of an array over the ranks, which will stand in its place."""
        return self._comm.Iallreduce(self._mpi.IN_PLACE, array)

    def wait(self, requests: list[Any]) -> None:
        """Until all sums are there."""
        with self.clock:
            self._mpi.Request.Waitall(requests)

    def total(self, numbers: Sequence[float]) -> np.ndarray:
        """The sums of the ranks' numbers."""
        array = np.array(numbers, np.float64)
        self._comm.Allreduce(self._mpi.IN_PLACE, array)
        return array

    def signals(self) -> tuple[float, float]:
        """See `SharedInterrupt.signals`."""
        return (0.0, 0.0) if self._interrupt is None else self._interrupt.signals()

    def granted(self, counts: np.ndarray) -> None:
        """See `SharedInterrupt.grant`."""
        if self._interrupt is not None:
            self._interrupt.grant(counts)

    # ---- measurements ------------------------------------------------------------------------------------------------

    def judged(self, data: Data, batch_size: int) -> Iterator[Batch]:
        """`batch_size` images at a time of this rank's share."""
        if self.shard:
            return one_pass(data, batch_size)
        return map(self._part, one_pass(data, batch_size * (1 if isinstance(data, Stream) else self.size)))

    def joined(self, sums: list[float], scored: Scored) -> tuple[list[float], Scored]:
        """Those of all ranks, scores in the order of the data."""
        *found, ints, terms = self.total([*sums, *self.signals()])
        self.granted(np.array([ints, terms]))
        each: list[Scored] = self._comm.allgather(scored) if any(self._comm.allgather(bool(scored))) else [[]]
        if self.shard:
            return list(map(float, found)), [part for parts in each for part in parts]
        rounds = itertools.zip_longest(*each)
        return list(map(float, found)), [part for parts in rounds for part in parts if part is not None]

    def end_epoch(self, training: Training) -> None:
        """Rank 0 says whether the run ends; weights and generators must be equal everywhere, and are made so.

        Other machines than rank 0's may round otherwise: a UserWarning then tells how far the weights were apart.
        """
        assert training.run is not None
        arrays = training.model.state()
        number = 0
        for array in arrays.values():
            number = zlib.crc32(np.ascontiguousarray(array).tobytes(), number)
        here = number, training.run.stopped, random.state(random.generator())
        first = self._comm.bcast(here)
        training.run.stopped = first[1]
        if here[2] != first[2]:
            random.generator().bit_generator.state = random.from_state(first[2]).bit_generator.state
        if not any(self._comm.allgather(number != first[0])):
            return
        far = 0.0
        for array in arrays.values():
            mine = array.copy()
            self._comm.Bcast(array)
            far = max(far, float(np.abs(array - mine).max(initial=0)))
        training.model.load_state(arrays)
        if far:
            warnings.warn(
                f"DataParallel: the weights of rank {self.rank} were up to {far:.3g} away from those of rank 0,"
                " which it has now: the ranks have other machines, or a callback has changed weights on some of them",
                stacklevel=2,
            )

    def overflow(
        self, training: Training, error: NonFiniteLoss, told: Callable[[], FloatingPointError]
    ) -> FloatingPointError:
        """Every rank tells what the first one says whose loss is no finite number."""
        if self.sync_batchnorm:
            norm.put(training.model, None)  # a rank looks for the layer by itself
        text = str(told()) if not np.isfinite(error.loss) else None
        for rank, found in enumerate(self._comm.allgather(text)):
            if found is not None:
                return Everywhere.mark(FloatingPointError(f"{found} (on rank {rank} of {self.size})"))
        return Everywhere.mark(FloatingPointError("Trainer: the sum of the ranks' losses is no finite number"))

    def __deepcopy__(self, memo: Any) -> DataParallel:
        """Ranks are not copied."""
        return self
