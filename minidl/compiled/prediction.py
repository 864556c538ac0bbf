"""A plan's prediction for one shape of images, compiled."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import lanes
from minidl._ext.watch import Watch
from minidl.compiled.choice import Cost
from minidl.compiled.lowering import Unlowered
from minidl.compiled.operation import Convolution, Operation
from minidl.compiled.parts import parts_of
from minidl.compiled.segment import Foreign, Scaling, Segment
from minidl.layers.parameter import Buffer, touched
from minidl.layers.plan import Plan, numbers

MOST_AT_ONCE = 16
"""Images that go at once through layers that no program holds, and so stand in arrays between these."""

__all__ = ["Prediction", "Unlowered"]


class Prediction:
    """The programs of a plan whose inputs have these shapes, (C, H, W) of an image.

    dtype: of parameters and scores; given: of the images. watched: (object, attribute) of what `scaling` is made of.
    parts: what runs, in order, after `prepare`. Raises Unlowered where no convolution of the plan can be compiled.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: Sequence[tuple[int, ...]],
        dtype: np.dtype,
        given: Sequence[np.dtype],
        scaling: Scaling,
        watched: Sequence[tuple[Any, str]] = (),
    ) -> None:
        self.outputs = numbers(plan.output)
        self.used = 0
        """When it was last used, in uses of any."""
        self._dtype, self._lanes = dtype, lanes(dtype)
        self._watch = Watch(touched, Buffer)
        for source, attribute in watched:
            self._watch.take(source, attribute)
        self.parts = parts_of(plan, shapes, given, self._segment, Foreign, scaling)
        operations = self.operations()
        if not any(isinstance(operation, Convolution) and not operation.linear for operation in operations):
            raise Unlowered("a network without convolutions")
        self._cost = Cost(operations, self._lanes)
        self.ready = False
        """Whether its programs are there."""
        self._lock = threading.Lock()

    def _segment(self) -> Segment:
        return Segment(self._dtype, self._lanes, self._watch)

    def operations(self) -> list[Operation]:
        """What the programs run, in order."""
        return [operation for part in self.parts if isinstance(part, Segment) for operation in part.operations]

    def is_faster(self, n: int) -> bool:
        """Whether it predicts n images faster than the plan, one layer after the other."""
        return self._cost.prefers_channels(n)

    def holds(self) -> bool:
        """Whether parameters, statistics and settings are what they were."""
        return self._watch.holds()

    def prepare(self) -> None:
        """Make the programs, once for all threads. Raises ValueError where one has too many inputs or outputs."""
        with self._lock:
            if not self.ready:
                for part in self.parts:
                    if isinstance(part, Segment):
                        part.prepare()
                self.ready = True

    def run(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The scores of each output, for images of the dtypes that were given, one array an input."""
        n, step = len(images[0]), MOST_AT_ONCE
        if n <= step or len(self.parts) == 1:  # a program deals its images itself
            return self._run(n, images)
        starts = range(0, n, step)
        parts = [self._run(min(step, n - i), [array[i : i + step] for array in images]) for i in starts]
        return [np.concatenate(output) for output in zip(*parts)]

    def _run(self, n: int, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        values: dict[int, Any] = dict(enumerate(images))
        for part in self.parts:
            part.run(n, values)
        return [values[i] for i in self.outputs]

    def nbytes(self) -> tuple[int, int]:
        """Bytes of packed weights, and of the memory that one image takes; 0 before `prepare`."""
        sizes = [part.nbytes for part in self.parts if isinstance(part, Segment)]
        return sum(weights for weights, _ in sizes), max(one for _, one in sizes)
