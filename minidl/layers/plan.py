"""What a container runs: the layers inside, and inside of those, as one list of steps over numbered values.

`flow` of the container and of the containers in it is followed once; neighbours that one operation computes become
blocks (see `fused`). A value is forgotten as soon as its last reader is done, in the backward pass its gradient.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from minidl.layers.base import Layer
from minidl.layers.conv import Conv2D
from minidl.layers.conv_transpose import ConvTranspose2D
from minidl.layers.fused import Block, folded, merged
from minidl.layers.parameter import Parameter, unwritten
from minidl.layers.setting import changed
from minidl.support.several import Several

_numbers = itertools.count(1)
NOTHING = nullcontext()

Slots = int | tuple[int, ...]
"""Number of a value; several where a layer has several inputs or outputs."""


class Step:
    """One layer or block at its place.

    read, write: values. free: values that nobody reads afterwards. again: whether the layer stands at an earlier place,
    too, and so remembers by a twin. own: its parameters, None where they may change. shared: whether others have some
    of them, too. infer: how the node is run with nothing remembered.
    """

    __slots__ = ("again", "free", "infer", "node", "own", "read", "shared", "write")

    def __init__(self, node: Layer, read: Slots, write: Slots) -> None:
        self.node = node
        self.read = read
        self.write = write
        self.free: tuple[int, ...] = ()
        self.again = False
        self.shared = False
        self.infer = node.inference()
        fixed = isinstance(node, Block) or not node.children()
        self.own: list[Parameter] | None = list(node._each_parameter()) if fixed else None

    def learns(self) -> bool:
        """Whether a parameter is not frozen."""
        if self.own is None:
            return self.node.learns()
        return any(not parameter.frozen for parameter in self.own)

    def parameters(self) -> list[Parameter]:
        """Those of the node."""
        return list(self.node._each_parameter()) if self.own is None else self.own


class Plan:
    """The steps of `container` on `backend`, and what the last `run` of them remembers.

    opened: the containers whose layers are steps here, with the layers that they had; `holds` tells whether they still
    have them, and `owns` whether these still have their parameters. inputs: how many arrays come in.
    """

    def __init__(self, container: Any, backend: Any, inputs: int) -> None:
        self._changed = changed[0]
        self.backend = backend
        self.inputs = inputs
        self.opened: list[tuple[Any, list[Layer]]] = []
        self.layers: list[Step] = []  # not merged
        self._slots = inputs
        self.places: dict[int, str] = {}  # of each layer, by its id
        found = self._follow(container, tuple(range(inputs)), "")
        self.output: Slots = found
        self.steps = self.predictions = self.layers
        if backend.fuses:
            self.steps = merged(self.layers, numbers(found), Step)
            self.predictions = folded(self.steps, numbers(found), Step)
        self.nodes = [step.node for step in self.steps]
        self._mark()
        self._parameters = [
            (vars(step.node), name, value)
            for step in self.layers
            for name, value in vars(step.node).items()
            if isinstance(value, Parameter) or name == "bias"  # which may come later
        ]
        self._ran: list[Layer] = []  # node of each step in the last `forward`
        self._number = 0  # of the last `forward`
        # Without a convolution a prediction is never compiled, and is not to look for it each time.
        self.compiles = getattr(backend, "compiles", False) and any(
            type(step.node) in (Conv2D, ConvTranspose2D) for step in self.layers
        )
        self.compiled: dict[Any, Any] = {}  # what predictions have made of it

    # ---- how it is made ----------------------------------------------------------------------------------------------

    def _follow(self, container: Any, values: tuple[int, ...], place: str) -> Slots:
        self.opened.append((container, container.contents()))

        def call(name: str, part: Layer, *inputs: int) -> Any:
            if part is container:
                return self._add(container.joiner(), inputs, place)
            inside = f"{place}.{name}" if place else name
            return self._follow(part, inputs, inside) if opens(part) else self._add(part, inputs, inside)

        return container.flow(call, *values)

    def _add(self, node: Layer, inputs: tuple[int, ...], place: str) -> Slots:
        self.places.setdefault(id(node), place)
        read: Slots = tuple(inputs) if node.merges else inputs[0]
        first, self._slots = self._slots, self._slots + node.outputs
        write: Slots = first if node.outputs == 1 else Several(range(first, self._slots))
        self.layers.append(Step(node, read, write))
        return write

    def _mark(self) -> None:
        """What is free after which step, and what several steps have in common."""
        for steps in (self.steps, self.predictions):
            kept = set(numbers(self.output))
            for step in reversed(steps):
                touched = dict.fromkeys((*numbers(step.read), *numbers(step.write)))
                step.free = tuple(value for value in touched if value not in kept)
                kept |= touched.keys()
        seen: set[int] = set()
        owners = Counter(id(parameter) for step in self.steps for parameter in step.parameters())
        for step in self.steps:
            step.again = id(step.node) in seen
            seen.add(id(step.node))
            step.shared = any(owners[id(parameter)] > 1 for parameter in step.parameters())

    def last(self, passes: type[Layer] | tuple[type[Layer], ...]) -> list[Layer | None]:
        """The layer that computes each output, those that are `passes` looked through; None for an input."""
        makers = {value: step for step in self.layers for value in numbers(step.write)}

        def maker(value: int) -> Layer | None:
            step = makers.get(value)
            while step is not None and isinstance(step.node, passes) and isinstance(step.read, int):
                step = makers.get(step.read)
            return None if step is None else step.node

        return [maker(value) for value in numbers(self.output)]

    def holds(self) -> bool:
        """Whether the containers still have the layers that the plan was made of, and these their settings."""
        return self._changed is changed[0] and all(container.contents() == known for container, known in self.opened)

    def owns(self) -> bool:
        """Whether the layers still have the parameters of which it is known which learn, and which are shared."""
        return all(attributes.get(name) is value for attributes, name, value in self._parameters)

    # ---- how it runs -------------------------------------------------------------------------------------------------

    def forward(self, x: Any, train: bool) -> Any:
        """The outputs for the backend's arrays; each layer remembers what `backward` needs."""
        values = self._values(x)
        ran = self._ran = []
        number = self._number = next(_numbers)
        for step in self.steps:
            node = step.node.twin() if step.again else step.node
            node.run_number = number
            ran.append(node)
            self._put(values, step, node.run(_at(values, step.read), train))
        return _at(values, self.output)

    def infer(self, x: Any, done: Callable[[Layer, Any], None] | None = None) -> Any:
        """The outputs; nothing is remembered, here or in a layer. done: is told each node with its output."""
        values = self._values(x)
        for step in self.predictions:
            step.node.kernels = self.backend
            y = step.infer(_at(values, step.read))
            self._put(values, step, y)
            if done is not None:
                done(step.node, y)
        return _at(values, self.output)

    def _values(self, x: Any) -> list[Any]:
        values: list[Any] = [None] * self._slots
        values[: self.inputs] = x if isinstance(x, Several) else [x]
        return values

    def _put(self, values: list[Any], step: Step, y: Any) -> None:
        write = step.write
        if isinstance(write, int):
            values[write] = y
        else:
            for value, part in zip(write, y):
                values[value] = part
        for value in step.free:
            values[value] = None

    def backward(self, dy: Any, need_dx: bool, ready: Callable[[list[Parameter]], None] | None = None) -> Any:
        """The inputs' gradients, None without need_dx; sets the gradients of all parameters on the way.

        Steps with nothing behind them that learns are left out. ready: is told the parameters of each step whose
        gradients are there, but for those that several steps share.
        """
        needed = [need_dx] * self.inputs + [False] * (self._slots - self.inputs)
        gradients: list[Any] = [None] * self._slots
        self._collect(gradients, self.output, dy)
        written: set[int] = set()
        for step, node, behind in reversed(self._way(needed)):
            write, read = step.write, step.read
            dy = _at(gradients, write)
            if isinstance(write, int):
                gradients[write] = None
                asked = dy is not None
            else:
                asked = any(part is not None for part in dy)
                for value in write:
                    gradients[value] = None
            if not asked:  # an output that no loss sees
                for parameter in step.parameters():
                    if id(parameter) not in written and not parameter.frozen:
                        parameter.grad[...] = 0
                continue
            if node.run_number != self._number:
                raise RuntimeError(
                    f"{node.who}: it has run in another model since this forward, and remembers that; models that share"
                    " layers must go forward and backward one after the other"
                )
            node.need_dx = behind
            frozen = [parameter for parameter in step.parameters() if parameter.frozen]
            with unwritten(frozen) if frozen else NOTHING:
                dx = self._shared(step, node, dy, written) if step.shared else node._backward(dy)
            if ready is not None and not step.shared:
                ready(step.parameters())
            if not behind:
                continue
            if isinstance(read, int) and gradients[read] is None:
                gradients[read] = dx
            else:
                self._collect(gradients, read, dx, needed)
        if not need_dx:
            return None
        return Several(gradients[: self.inputs]) if self.inputs > 1 else gradients[0]

    def _way(self, needed: list[bool]) -> list[tuple[Step, Layer, bool]]:
        """The steps of the backward pass from first to last, and whether the input's gradient is asked of each.

        needed: whether that of a value is, which is known of the inputs and found for the others.
        """
        way: list[tuple[Step, Layer, bool]] = []
        for step, node in zip(self.steps, self._ran):
            read = step.read
            behind = needed[read] if isinstance(read, int) else any(needed[value] for value in read)
            if behind or step.learns():
                way.append((step, node, behind))
                write = step.write
                for value in (write,) if isinstance(write, int) else write:
                    needed[value] = True
        return way

    def _collect(self, gradients: list[Any], slots: Slots, found: Any, needed: list[bool] | None = None) -> None:
        """Add gradients to those that other readers of the same values have given."""
        for value, gradient in zip(numbers(slots), (found,) if isinstance(slots, int) else found):
            if gradient is None or (needed is not None and not needed[value]):
                continue
            before = gradients[value]
            gradients[value] = gradient if before is None else self.backend.add(before, gradient)

    def _shared(self, step: Step, node: Layer, dy: Any, written: set[int]) -> Any:
        """The step backward, its parameters' gradients added to those of the places that have been."""
        own = step.parameters()
        kept = [(parameter, parameter.grad.copy()) for parameter in own if id(parameter) in written]
        dx = node._backward(dy)
        for parameter, gradient in kept:
            parameter.grad += gradient
        written.update(map(id, own))
        return dx

    def release(self) -> None:
        """Forget what the last `forward` remembered, and compiled predictions."""
        self._ran = []
        self.compiled.clear()
        for node in self.nodes:
            node.release()


def opens(layer: Layer) -> bool:
    """Whether a layer's inside is known by its `flow`."""
    return getattr(layer, "opens", False)


def numbers(slots: Slots) -> tuple[int, ...]:
    """The values, one or several, as a tuple."""
    return (slots,) if isinstance(slots, int) else slots


def _at(values: list[Any], slots: Slots) -> Any:
    return values[slots] if isinstance(slots, int) else Several(values[value] for value in slots)
