"""Neighbouring layers that run as one program, and the layers between these that have no operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._ext.map import Map
from minidl._ext.program import Program
from minidl.compiled import arena
from minidl.compiled.fusing import fused, join
from minidl.compiled.lowering import Lowering
from minidl.compiled.operation import Convolution, Enter, Leave, Operation
from minidl.compiled.value import Value, View
from minidl.layers.plan import numbers
from minidl.support.several import Several

AT_ONCE_BYTES = 1 << 20
"""A thread takes so many images through a program at once that what they need stays in its cache of this size."""
MOST_AT_ONCE = 16


class Segment:
    """Layers one after the other, lowered by `lower`; `close` names what is needed behind them, `prepare` makes it run.

    dtype: of the program. watch: of what it is made of. reads, writes: the plan's values that come in and go out.
    """

    kind: type[Lowering] = Lowering

    def __init__(self, dtype: np.dtype, lanes: int, watch: Any) -> None:
        self.dtype, self.lanes = dtype, lanes
        self.reads: list[int] = []
        self.writes: list[int] = []
        self.operations: list[Operation] = []
        self.lowering = self.kind(dtype, watch)
        self.nbytes = 0, 0
        """Bytes of packed weights, and of the memory that one image takes; 0 before `prepare`."""
        self._views: dict[int, View] = {}
        self._entering: list[Operation] = []
        self._program: Any = None

    def enter(self, number: int, shape: tuple[int, ...], dtype: Any, scale: Any = None, shift: Any = None) -> None:
        """Take in a value of the plan; shape: (C, H, W), (F,) or (I, D) of an image."""
        if number in self._views:
            return
        view = self._views[number] = View.of(shape)
        self._entering.append(Enter(view.value, view.value, ["input"], dtype=dtype, scale=scale, shift=shift))
        self.reads.append(number)

    def lower(self, label: str, step: Any) -> None:
        """Add a step of the plan whose inputs are here. Raises Unlowered."""
        found = self.lowering.lower(label, step.node, [self._views[i] for i in numbers(step.read)])
        self._views.update(zip(numbers(step.write), found))

    def close(self, needed: Sequence[int]) -> None:
        """No more layers come. needed: the values that others read."""
        self.writes = [i for i in needed if i in self._views and i not in self.reads]
        outputs = [self._views[i] for i in self.writes]
        self.operations = self._entering + fused(self.lowering.operations, [view.value for view in outputs])
        self.operations += [Leave(view.value, view.value, ["output"], shape=view.shape) for view in outputs]
        join(self.operations, [view.value for view in outputs], self.dtype.itemsize)
        for operation in self.operations:
            if isinstance(operation, Convolution):
                operation.x.widen(operation.halo())
        for operation in self._entering:
            if self._stands_narrow(operation.y):
                operation.y.lanes = operation.y.shape[0]

    def prepare(self) -> None:
        """Make the program, unless it is there."""
        if self._program is None:
            self._program = self._made()

    def run(self, n: int, values: dict[int, Any]) -> None:
        """Read arrays of n images from `values`, and write there."""
        found = self._program.run(n, *[plain(values[i]) for i in self.reads])
        values.update(zip(self.writes, found))

    def _made(self) -> Any:
        size, placed = self._maps(self.operations)
        program = Program(self.dtype, size)
        for i, operation in enumerate(self.operations):
            operation.emit(program, placed)
            for behind in (1, 2):
                if i >= behind and self.operations[i - behind].joined == behind:
                    program.join(behind + 1)
        self.nbytes = weights, one = program.nbytes
        # Weights that no cache holds are read once for all images that go at once.
        program.at_once = min(max(AT_ONCE_BYTES, weights // 4) // one or 1, MOST_AT_ONCE)
        return program

    def _maps(self, operations: Sequence[Any]) -> tuple[int, Callable[[Value], Map]]:
        """Elements of an arena for these operations, and the map of each value in it."""

        def made(value: Value) -> Map:
            return Map(value.shape, value.lanes or self.lanes, value.halo, max(value.at, 0))

        maps: dict[int, Map] = {}
        size = arena.place(operations, lambda value: made(value).size)
        return size, lambda value: maps.setdefault(id(value), made(value))

    def _stands_narrow(self, value: Value) -> bool:
        """Whether an input of few channels may stand with these alone: only whole convolutions can read it so."""
        readers = [operation for operation in self.operations if any(value is read for read in operation.reads())]
        return value.shape[0] < self.lanes and all(
            isinstance(operation, Convolution) and operation.takes_few_lanes() and operation.other is not value
            for operation in readers
        )


class Foreign:
    """A step that has no operation: it runs as in the plan, on arrays that are entered and left again."""

    def __init__(self, step: Any, label: str, backend: Any) -> None:
        self.step, self.label, self.backend = step, label, backend

    def run(self, n: int, values: dict[int, Any]) -> None:
        """Read arrays of n images from `values`, and write there."""
        step, backend = self.step, self.backend
        entered = [backend.enter(plain(values[i]), True) for i in numbers(step.read)]
        step.node.kernels = backend
        y = step.infer(entered[0] if isinstance(step.read, int) else Several(entered))
        outputs = [y] if isinstance(step.write, int) else list(y)
        values.update((i, backend.leave(part)) for i, part in zip(numbers(step.write), outputs))


def plain(array: np.ndarray) -> np.ndarray:
    """`array` itself, or a copy as a program reads it."""
    return array if array.flags.carray else np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


Scaling = Callable[[int], tuple[np.ndarray | None, np.ndarray | None]]
"""Number of an input -> scale and shift of its channels, None for 1 and 0."""
