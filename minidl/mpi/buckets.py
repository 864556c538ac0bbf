"""Gradients in one flat buffer, summed over the ranks piece by piece while the backward pass still runs.

The buffer has the parameters in the order in which a backward pass finishes them, the last layer first. A bucket is a
piece of it, of about `BUCKET` bytes or one larger parameter, and is sent as soon as all of its gradients are there.
Parameters get their place in the buffer as `grad`, so that layers write into it and nothing is copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl.layers.parameter import Parameter, aligned

BUCKET = 2**18
"""Bytes after which a bucket is closed: of powers of two the one that suits `benchmarks/scaling.py`'s networks best."""

FEW = 64
"""A bucket of one of so many parts of that size, or less, waits for the next parameter even if that is large."""

LINE = 64
"""Bytes of a cache line: each gradient begins with one."""


class Buckets:
    """The gradients of the parameters that are not frozen.

    mpi: the module mpi4py.MPI. comm: the ranks. parameters: of one dtype, in the order of the forward pass. Every rank
    must make it of the same parameters. Raises TypeError for parameters of two dtypes.
    """

    def __init__(self, mpi: Any, comm: Any, parameters: Sequence[Parameter], size: int = BUCKET) -> None:
        self._mpi, self._comm = mpi, comm
        self._all = list(parameters)
        self._frozen = [parameter.frozen for parameter in parameters]
        self._learning = [parameter for parameter in reversed(self._all) if not parameter.frozen]
        dtypes = {parameter.data.dtype for parameter in self._learning}
        if len(dtypes) > 1:
            raise TypeError(f"DataParallel: parameters must have one dtype, got {sorted(map(str, dtypes))}")
        dtype = dtypes.pop() if dtypes else np.dtype(np.float32)
        line = LINE // dtype.itemsize
        starts, ends, self._bucket, at = [], [0], {}, 0
        for parameter in self._learning:
            if parameter.data.nbytes >= size and (at - ends[-1]) * dtype.itemsize >= size // FEW:
                ends.append(at)  # what is there need not wait for a large one
            starts.append(at)
            self._bucket[id(parameter)] = len(ends) - 1
            at += -(-parameter.data.size // line) * line
            if (at - ends[-1]) * dtype.itemsize >= size:
                ends.append(at)
        if at > ends[-1]:
            ends.append(at)
        self.flat = aligned(np.zeros(at, dtype))
        """All gradients; their sums over the ranks once the requests of `rest` are done."""
        self._pieces = [self.flat[start:end] for start, end in itertools.pairwise(ends)]
        self._place: dict[int, np.ndarray] = {}
        for parameter, start in zip(self._learning, starts):
            place = self.flat[start : start + parameter.data.size].reshape(parameter.data.shape)
            place[...] = parameter.grad
            parameter.grad = self._place[id(parameter)] = place
        self._counts = [0] * len(self._pieces)
        for bucket in self._bucket.values():
            self._counts[bucket] += 1
        self._left: list[int] = []
        self._waiting: set[int] = set()
        self._sent = 0
        self._requests: list[Any] = []

    def fits(self, parameters: Sequence[Parameter]) -> bool:
        """Whether these are the parameters that it was made of, frozen or not as they were."""
        return parameters == self._all and [parameter.frozen for parameter in parameters] == self._frozen

    def begin(self) -> None:
        """A backward pass begins."""
        self._left, self._waiting = list(self._counts), set(self._place)
        self._sent, self._requests = 0, []

    def ready(self, parameters: Iterable[Parameter]) -> None:
        """The gradients of these are there: send the buckets that are full, in their order, and move what is sent."""
        for parameter in parameters:
            key = id(parameter)
            if key in self._waiting:
                self._waiting.remove(key)
                self._take(parameter)
                self._left[self._bucket[key]] -= 1
        while self._sent < len(self._left) and not self._left[self._sent]:
            piece = self._pieces[self._sent]
            self._requests.append(self._comm.Iallreduce(self._mpi.IN_PLACE, piece))
            self._sent += 1
        # MPI works on what is on its way only while it is called.
        self._mpi.Request.Testall(self._requests)

    def rest(self) -> list[Any]:
        """Send what is left; the requests of all buckets."""
        self.ready(self._learning)
        return self._requests

    def _take(self, parameter: Parameter) -> None:
        """A layer of one's own may have another array as its gradient."""
        place = self._place[id(parameter)]
        if parameter.grad is not place:
            place[...] = parameter.grad
            parameter.grad = place
