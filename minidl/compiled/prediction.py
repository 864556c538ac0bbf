"""A plan's prediction for one shape and number of images, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._ext.program import Map, Program
from minidl.compiled import arena
from minidl.compiled.fusing import fused
from minidl.compiled.lowering import Lowering, Unlowered, image
from minidl.compiled.operation import Convolution, Enter, Leave, Operation
from minidl.compiled.value import Value, View
from minidl.layers.plan import Plan, numbers


class Prediction:
    """The program of a plan whose inputs have these shapes, (C, H, W) of an image.

    operations: what it runs, in order. Raises Unlowered where a layer has no operation.
    """

    def __init__(
        self, plan: Plan, n: int, shapes: Sequence[tuple[int, ...]], dtype: np.dtype, given: Sequence[Any],
        scaling: Callable[[int], tuple[Any, Any]],
    ) -> None:
        lowering = Lowering(dtype)
        views: dict[int, View] = {}
        entering: list[Operation] = []
        for i, (shape, kind) in enumerate(zip(shapes, given)):
            if len(shape) != 3:
                raise Unlowered(f"an input of shape {shape}")
            value = Value(tuple(map(int, shape)))  # type: ignore[arg-type]
            scale, shift = scaling(i)
            entering.append(Enter(value, value, [f"input {i}"], dtype=kind, scale=scale, shift=shift))
            views[i] = View(value, value.shape)
        for step in plan._steps:
            found = lowering.lower(plan.places[id(step.node)], step.node, [views[i] for i in numbers(step.read)])
            views.update(zip(numbers(step.write), found))
        outputs = [views[i] for i in numbers(plan.output)]
        self.watched = lowering.watched
        self.operations = entering + fused(lowering.operations, [view.value for view in outputs])
        self.operations += [Leave(view.value, view.value, ["output"], shape=view.shape) for view in outputs]
        if not any(isinstance(operation, Convolution) and not operation.linear for operation in self.operations):
            raise Unlowered("a network without convolutions")
        self.dtype, self.n = dtype, n
        self.program = self._program()

    def _program(self) -> Any:
        probe = Program(self.dtype, self.n, 1)
        for operation in self.operations:
            if isinstance(operation, Convolution):
                operation.x.widen(operation.halo())
        for operation in self.operations:
            if isinstance(operation, Enter) and self._narrow(operation.y, probe.L):
                operation.y.lanes = operation.y.shape[0]

        def made(value: Value) -> Map:
            return Map(value.shape, value.lanes or probe.L, value.halo, max(value.at, 0))

        elements = arena.place(self.operations, lambda value: self.n * made(value).size)
        program = Program(self.dtype, self.n, elements)
        maps: dict[int, Map] = {}

        def maps_of(value: Value) -> Map:
            return maps.setdefault(id(value), made(value))

        for operation in self.operations:
            operation.emit(program, maps_of)
        return program

    def _narrow(self, value: Value, lanes: int) -> bool:
        """Whether an input of few channels may stand with these alone: only whole convolutions can read it so."""
        readers = [operation for operation in self.operations if any(value is read for read in operation.reads())]
        return value.shape[0] < lanes and all(
            isinstance(operation, Convolution) and operation.groups == 1 and operation.other is not value
            for operation in readers
        )

    def run(self, *images: np.ndarray) -> list[np.ndarray]:
        """The outputs for C-contiguous arrays of the given dtypes."""
        return self.program.run(*images)


__all__ = ["Prediction", "Unlowered", "image"]
