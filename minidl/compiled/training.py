"""A plan's training step for few images, compiled: forward, and back to the gradients of all parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.lanearray import lanes
from minidl._ext.training_program import TrainingProgram
from minidl.compiled.choice import Cost
from minidl.compiled.gradient import Backward, Gradients, backward
from minidl.compiled.held import Held
from minidl.compiled.learning import Dropout, LearningLowering
from minidl.compiled.lowering import Unlowered
from minidl.compiled.operation import Convolution, Enter, Leave, Operation
from minidl.compiled.parts import parts_of
from minidl.compiled.segment import Foreign, Scaling, Segment, plain
from minidl.layers.parameter import unwritten
from minidl.layers.plan import Plan, numbers
from minidl.support.several import Several


class Training:
    """The programs of a plan's training step, for inputs of these shapes, (C, H, W) of an image.

    dtype: of parameters and scores; given: of the images. Parameters are read, and gradients written, where they stand:
    `holds` tells whether they still do. Raises Unlowered where no convolution of the plan can be compiled, and where
    layers share parameters.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: Sequence[tuple[int, ...]],
        dtype: np.dtype,
        given: Sequence[np.dtype],
        scaling: Scaling,
    ) -> None:
        if any(step.shared or step.again for step in plan.steps):
            raise Unlowered("layers that share parameters")
        parameters = [parameter for step in plan.layers for parameter in step.parameters()]
        if not all(array.flags.carray for parameter in parameters for array in (parameter._data, parameter.grad)):
            raise Unlowered("parameters that are not in C order")
        self.plan = plan
        self.used = 0
        """When it was last used, in uses of any."""
        self._dtype, self._lanes = dtype, lanes(dtype)
        self._held = Held()
        for step in plan.layers:
            self._held.take_learning(step.node)
        self.parts: list[Any] = parts_of(plan, shapes, given, self._segment, LearningForeign, scaling)
        operations = [operation for part in self._segments() for operation in part.operations]
        if not any(isinstance(operation, Convolution) and not operation.linear for operation in operations):
            raise Unlowered("a network without convolutions")
        self._outputs = numbers(plan.output)
        self._cost = Cost(operations, self._lanes, training=True)
        self.ready = False
        """Whether its programs are there."""

    def _segment(self) -> LearningSegment:
        return LearningSegment(self._dtype, self._lanes, self._held)

    def _segments(self) -> list[LearningSegment]:
        return [part for part in self.parts if isinstance(part, LearningSegment)]

    def is_faster(self, n: int) -> bool:
        """Whether a step of n images is faster than with images in lanes."""
        return self._cost.prefers_channels(n)

    def holds(self) -> bool:
        """Whether parameters and settings are what they were."""
        return self._held.holds()

    def prepare(self) -> None:
        """Make the programs."""
        if self.ready:
            return
        wanted: set[int] = set()  # values of the plan whose gradient some layer before them needs
        for part in self.parts:
            if part.learns() or any(value in wanted for value in part.reads):
                wanted.update(part.writes)
        for part in self.parts:
            part.prepare_backward([value for value in part.reads if value in wanted])
        self.ready = True

    def forward(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The scores of each output, for images of the dtypes that were given, one array an input."""
        values: dict[int, Any] = dict(enumerate(images))
        for part in self.parts:
            part.run(len(images[0]), values)
        return [values[i] for i in self._outputs]

    def backward(self, gradients: Sequence[np.ndarray]) -> None:
        """Set the gradients of all parameters. gradients: of each output of the last `forward`."""
        known = dict(zip(self._outputs, gradients))
        for part in reversed(self.parts):
            part.run_backward(known)

    def release(self) -> None:
        """Forget what the last `forward` remembered."""
        for part in self.parts:
            part.release()


class LearningSegment(Segment):
    """Layers one after the other, as one program forward and back."""

    kind = LearningLowering

    def learns(self) -> bool:
        """Whether a parameter wants a gradient."""
        return any(operation.learns() for operation in self.operations)

    def prepare_backward(self, asked: Sequence[int]) -> None:
        """Make the program. asked: the inputs, by their numbers in the plan, whose gradients go out."""
        needed = {id(self._views[i].value) for i in asked}
        for operation in self.operations:
            if operation.learns() or any(id(value) in needed for value in operation.reads()):
                needed.add(id(operation.y))
        gradients = Gradients(needed)
        self._coming = [i for i in self.writes if id(self._views[i].value) in needed]
        values = [self._views[i].value for i in self._coming]
        if len({id(value) for value in values}) < len(values):
            raise Unlowered("an output that goes out twice")
        way: list[Any] = []
        for value in values:
            start = gradients.start(value)
            way.append(Enter(start, start, ["gradient"], dtype=self.dtype))
        way += backward([each for each in self.operations if not isinstance(each, (Enter, Leave))], gradients)
        self._going = []
        for i in asked:
            found = gradients.of(self._views[i].value)
            if found is not None:
                self._going.append(i)
                way.append(Leave(found, found, ["gradient"], shape=self._views[i].shape))
        for each in way:
            if isinstance(each, Backward):
                each.widen()
        self._way: list[Operation | Backward] = way
        self._program = self._made()

    def run_backward(self, gradients: dict[int, np.ndarray]) -> None:
        """Read gradients of what went out, and write those of what came in."""
        found = self._program.backward(*(plain(gradients[i]) for i in self._coming))
        collect(gradients, self._going, found)

    def run(self, n: int, values: dict[int, Any]) -> None:
        """Read arrays of n images from `values`, and write there."""
        for each in self.operations:
            if isinstance(each, Dropout):
                each.draw(self._program)
        found = self._program.forward(n, *(plain(values[i]) for i in self.reads))
        values.update(zip(self.writes, found))

    def release(self) -> None:
        """Forget what the last `forward` remembered."""
        self._program.release()

    def _made(self) -> Any:
        size, placed = self._maps([*self.operations, *self._way])
        program = TrainingProgram(self.dtype, size)
        for each in self.operations:
            each.emit(program, placed)
        program.turn()
        for back in self._way:
            back.emit(program, placed)
        self.nbytes = program.nbytes
        return program


class LearningForeign(Foreign):
    """A step that has no operation: it runs as in the plan, forward and back."""

    def __init__(self, step: Any, label: str, backend: Any) -> None:
        super().__init__(step, label, backend)
        self.reads, self.writes = numbers(step.read), numbers(step.write)

    def learns(self) -> bool:
        """Whether a parameter wants a gradient."""
        return bool(self.step.learns())

    def prepare_backward(self, asked: Sequence[int]) -> None:
        """asked: the inputs, by their numbers in the plan, whose gradients are wanted."""
        self._asked = list(asked)

    def run(self, n: int, values: dict[int, Any]) -> None:
        """Read arrays of n images from `values`, and write there."""
        step, backend = self.step, self.backend
        entered = [backend.enter(plain(values[i]), False) for i in self.reads]
        y = step.node.run(entered[0] if isinstance(step.read, int) else Several(entered), True)
        outputs = [y] if isinstance(step.write, int) else list(y)
        values.update((i, backend.leave(part)) for i, part in zip(self.writes, outputs))

    def run_backward(self, gradients: dict[int, np.ndarray]) -> None:
        """Read gradients of what went out, and write those of what came in."""
        step, backend = self.step, self.backend
        if not (self._asked or self.learns()):
            return
        dy = [backend.enter(plain(gradients[i]), False) for i in self.writes]
        step.node.need_dx = bool(self._asked)
        with unwritten([parameter for parameter in step.parameters() if parameter.frozen]):
            dx = step.node._backward(dy[0] if isinstance(step.write, int) else Several(dy))
        step.node.need_dx = True
        if self._asked:
            parts = [dx] if isinstance(step.read, int) else list(dx)
            pairs = [pair for pair in zip(self.reads, parts) if pair[0] in self._asked]
            collect(gradients, [i for i, _ in pairs], [backend.leave(part) for _, part in pairs])

    def release(self) -> None:
        """Forget what the last `forward` remembered."""
        self.step.node.release()


def collect(gradients: dict[int, np.ndarray], numbers: Sequence[int], found: Sequence[np.ndarray]) -> None:
    """Add gradients to those that other readers of the same values have given."""
    for i, gradient in zip(numbers, found):
        gradients[i] = gradients[i] + gradient if i in gradients else gradient
