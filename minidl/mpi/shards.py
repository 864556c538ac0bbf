"""Training data of which each rank has a part: one set, numbered through in the order of the ranks."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from minidl.mpi.faults import settle
from minidl.mpi.step import Part
from minidl.support.several import alike, parts
from minidl.training.call import Call
from minidl.training.position import Position
from minidl.training.samples import Batch, Samples, one_hot_labels, sampled


class Shard:
    """The part of this rank. samples: its own. start: number of its first image. whole: the call for the whole set."""

    def __init__(self, comm: Any, call: Call) -> None:
        settle(comm, _refusal(call))
        assert isinstance(call.data, Samples)
        self.samples = own = call.data
        sizes = comm.allgather(len(own.images))
        self.start = sum(sizes[: comm.rank])
        kinds = comm.allgather([(array.shape[1:], str(array.dtype)) for array in _arrays(own)])
        settle(comm, None if kinds[comm.rank] == kinds[0] else _other(kinds[0], kinds[comm.rank], comm.rank))
        target = _joined(comm, own.target)
        weight = None if own.weight is None else _joined(comm, own.weight)
        labels = None if len(parts(target)) > 1 else one_hot_labels(target)
        # Images stay where they are; what belongs to them has a row for each image of the whole set.
        data = own._replace(target=target, labels=labels, y=_joined(comm, own.y), weight=weight)
        given = call.position
        position = Position(
            sum(sizes), given.batch_size, given.epochs, given.seed, self._fingerprint(comm, sizes, data), given.augment
        )
        self.whole = replace(call, data=data, position=position)

    def part(self, batch: Batch) -> Part:
        """The rows of a batch, numbered as in the whole set, that are here."""
        here = (batch.rows >= self.start) & (batch.rows < self.start + len(self.samples.images))
        part = Part(
            self.samples,
            batch.rows[here] - self.start,
            None if batch.changes is None else batch.changes.part(here),
            None if batch.moved is None else batch.moved[here],
        )
        part.whole, part.first = len(batch.rows), int(np.argmax(here))
        return part

    def _fingerprint(self, comm: Any, sizes: list[int], data: Samples) -> int:
        """`samples.fingerprint` of the whole set: the ranks count on from each other, so that no image travels."""
        number, total = 0, sum(sizes)
        for array in (*parts(self.samples.images), *parts(data.target), data.weight):
            if array is None:
                continue
            rows = sampled(total)
            number = zlib.crc32(f"{(total, *array.shape[1:])} {array.dtype}".encode(), number)
            if len(array) == total and comm.size > 1:  # all ranks have it
                number = zlib.crc32(np.ascontiguousarray(array[rows]).tobytes(), number)
                continue
            mine = rows[(rows >= self.start) & (rows < self.start + len(array))] - self.start
            for rank in range(comm.size):
                if rank == comm.rank:
                    number = zlib.crc32(np.ascontiguousarray(array[mine]).tobytes(), number)
                number = comm.bcast(number, rank)
        return number


def _refusal(call: Call) -> Exception | None:
    if not isinstance(call.data, Samples):
        return TypeError("DataParallel: shard=True is for arrays (x, y), got data in batches")
    if call.augment is not None and call.augment.functions:
        return ValueError(
            "DataParallel: augment must be transforms with shard=True, got a function, which changes whole batches"
        )
    return None


def _other(first: Any, here: Any, rank: int) -> Exception:
    return ValueError(
        "DataParallel: the parts of the training data must be alike, got shapes and dtypes"
        f" {first} on rank 0 and {here} on rank {rank}"
    )


def _arrays(samples: Samples) -> list[np.ndarray]:
    found = [*parts(samples.images), *parts(samples.target)]
    return found if samples.weight is None else [*found, samples.weight]


def _joined(comm: Any, arrays: Any) -> Any:
    """One row for each image of the whole set, from those of each rank's images."""
    return alike(arrays, [np.concatenate(comm.allgather(array)) for array in parts(arrays)])
