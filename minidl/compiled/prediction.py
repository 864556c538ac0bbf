"""A plan's prediction for one shape of images, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import lanes
from minidl._ext.program import Map, Program
from minidl._ext.watch import Watch
from minidl.compiled import arena
from minidl.compiled.choice import forced, prefers_channels
from minidl.compiled.fusing import fused
from minidl.compiled.lowering import Lowering, Unlowered
from minidl.compiled.operation import Convolution, Enter, Leave, Operation
from minidl.compiled.value import Value, View
from minidl.layers.parameter import touched
from minidl.layers.plan import Plan, numbers

SLICE_BYTES = 2 << 20
"""Images go through the whole network so many at a time that what they need stays in a cache of this size."""
MOST_AT_ONCE = 16

__all__ = ["Prediction", "Unlowered"]


class Prediction:
    """The program of a plan whose inputs have these shapes, (C, H, W) of an image.

    dtype: of parameters and scores; given: of the images. scaling: see `predictions`; watched: (object, attribute) of
    what it is made of. operations: what is run, in order. Raises Unlowered where a layer has no operation.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: Sequence[tuple[int, ...]],
        dtype: np.dtype,
        given: Sequence[np.dtype],
        scaling: Callable[[int], tuple[Any, Any]],
        watched: Sequence[tuple[Any, str]] = (),
    ) -> None:
        lowering = Lowering(dtype)
        views: dict[int, View] = {}
        entering: list[Operation] = []
        for i, (shape, kind) in enumerate(zip(shapes, given)):
            if len(shape) != 3:
                raise Unlowered(f"an input of shape {shape}")
            value = Value((int(shape[0]), int(shape[1]), int(shape[2])))
            scale, shift = scaling(i)
            entering.append(Enter(value, value, [f"input {i}"], dtype=kind, scale=scale, shift=shift))
            views[i] = View(value, value.shape)
        for step in plan.layers:
            found = lowering.lower(plan.places[id(step.node)], step.node, [views[i] for i in numbers(step.read)])
            views.update(zip(numbers(step.write), found))
        outputs = [views[i] for i in numbers(plan.output)]
        self.operations = entering + fused(lowering.operations, [view.value for view in outputs])
        if not any(isinstance(operation, Convolution) and not operation.linear for operation in self.operations):
            raise Unlowered("a network without convolutions")
        self.operations += [Leave(view.value, view.value, ["output"], shape=view.shape) for view in outputs]
        self.dtype, self._lanes = dtype, lanes(dtype)
        self._faster: dict[int, bool] = {}
        self._watch = Watch([*lowering.watched, *watched], touched)
        self._program: Any = None
        self._slice = 1

    def is_faster(self, n: int) -> bool:
        """Whether it predicts n images faster than the plan, one layer after the other."""
        asked = forced()
        if asked is not None:
            return asked
        known = self._faster.get(n)
        if known is None:
            if len(self._faster) > 1000:
                self._faster.clear()
            known = self._faster[n] = prefers_channels(self.operations, n, self._lanes)
        return known

    def holds(self) -> bool:
        """Whether parameters and statistics are what they were."""
        return self._watch.holds()

    def run(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The scores of each output, for C-contiguous images, one array an input, of the dtypes that were given."""
        if self._program is None:
            self._program = self._made()
        n, step = len(images[0]), self._slice
        if n <= step:
            return self._program.run(n, *map(_plain, images))
        parts = []
        for start in range(0, n, step):
            some = [_plain(array[start : start + step]) for array in images]
            parts.append(self._program.run(len(some[0]), *some))
        return [np.concatenate(output) for output in zip(*parts)]

    def nbytes(self) -> tuple[int, int]:
        """Bytes of packed weights, and of the memory that one image takes; 0 before the first run."""
        return (0, 0) if self._program is None else self._program.nbytes

    def _made(self) -> Any:
        for operation in self.operations:
            if isinstance(operation, Convolution):
                operation.x.widen(operation.halo())
        for operation in self.operations:
            if isinstance(operation, Enter) and self._stands_narrow(operation.y):
                operation.y.lanes = operation.y.shape[0]

        def made(value: Value) -> Map:
            return Map(value.shape, value.lanes or self._lanes, value.halo, max(value.at, 0))

        program = Program(self.dtype, arena.place(self.operations, lambda value: made(value).size))
        maps: dict[int, Map] = {}

        def placed(value: Value) -> Map:
            return maps.setdefault(id(value), made(value))

        for operation in self.operations:
            operation.emit(program, placed)
        weights, one = program.nbytes
        # Weights that no cache holds are read once for all images of a slice.
        self._slice = int(min(max(max(SLICE_BYTES, weights // 4) // one, 1), MOST_AT_ONCE))
        return program

    def _stands_narrow(self, value: Value) -> bool:
        """Whether an input of few channels may stand with these alone: only whole convolutions can read it so."""
        readers = [operation for operation in self.operations if any(value is read for read in operation.reads())]
        return value.shape[0] < self._lanes and all(
            isinstance(operation, Convolution) and operation.groups == 1 and operation.other is not value
            for operation in readers
        )


def _plain(array: np.ndarray) -> np.ndarray:
    """`array` itself, or a copy as a program reads it."""
    return array if array.flags.carray else np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])
