"""Layers made of layers.

    Sequential(f1, ..., fk)       y = fk(... f1(x))            dx = f1'(... fk'(dy))
    Residual(body, shortcut)      y = body(x) + shortcut(x)    dx = body'(dy) + shortcut'(dy)      (He et al. 2016)

Both only say the way of their input, in `flow`; `Plan` runs it (see `plan`), merged where a backend fuses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minidl import kernels
from minidl.layers.base import Call, Layer
from minidl.layers.fused import Block
from minidl.layers.merge import Add
from minidl.layers.plan import Plan
from minidl.layers.tree import twice
from minidl.support.several import Several, Shape, joined, parted, side_by_side

__all__ = ["Residual", "Sequential"]

SAYS = {"_backward", "_forward", "_infer", "flow", "infer", "join", "run"}
"""What a class that defines one of them computes in a way of its own."""


class Container(Layer):
    """Base of layers that run the layers inside as `flow` says; a subclass defines `flow` and `contents`."""

    _hidden: tuple[str, ...] = ("_plans", "_ran")
    opens = True
    """Whether a plan around this one may run the layers inside one by one: not if a subclass has its own way."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        said = next(kind for kind in cls.__mro__ if vars(kind).keys() & SAYS)
        cls.opens = said.__module__.startswith("minidl.layers.")

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._plans: dict[Any, Plan] = {}  # by backend
        self._ran: Plan | None = None  # of the last `run`

    def contents(self) -> list[Layer]:
        """The layers inside, after a look whether they are named."""
        return self.children()

    def plan(self) -> list[Layer]:
        """What runs, in order: layers, and with a backend that fuses, blocks whose `.layers` are the merged ones.

        Layers of containers inside stand there one by one.
        """
        return self._plan().nodes

    def _plan(self, learning: bool = False) -> Plan:
        """The one for this backend, made anew after a change. learning: whether there is a way back."""
        backend = kernels.current()
        plan = self._plans.get(backend)
        if plan is None or not plan.holds() or (learning and not plan.owns()):
            made = Plan(self, backend, self._inputs())
            self._inferred = (), None  # other layers may refuse what the last ones took
            if plan is not None and self._plans.get(backend) is plan:
                self._plans.pop(backend, None)
            # The first of two threads has made it: a step must not be given other blocks than it began with.
            plan = self._plans.setdefault(backend, made)
        return plan

    def blocks(self) -> list[tuple[str, list[str]]]:
        """The merged neighbours of `plan`: the kind of block, and the places of its layers."""
        plan = self._plan()
        blocks = [node for node in plan.nodes if isinstance(node, Block)]
        return [(type(block).__name__, [plan.places[id(layer)] for layer in block.layers]) for block in blocks]

    def run(self, x: Any, train: bool) -> Any:
        """`forward` between layers: the backend's array in, the backend's array out."""
        self._ran = self._plan(learning=True)
        return super().run(x, train)

    def infer(self, x: Any) -> Any:
        """`run` without a way back: a node's input is free as soon as its output is there; nothing is remembered."""
        return self._infer(x) if self._pure else super().infer(x)

    def _infer(self, x: Any) -> Any:
        plan = self._plan()
        shape, dtype = self._inferred
        if x.shape[1:] != shape or x.dtype != dtype:
            self._accept(x)
            self._inferred = tuple(x.shape[1:]), x.dtype
        return plan.infer(x)

    def _forward(self, x: Any, train: bool) -> Any:
        plan = self._ran
        if plan is None:
            raise self._unready()
        return plan.forward(x, train)

    def _backward(self, dy: Any) -> Any:
        if self._ran is None:
            raise self._unready()
        return self._ran.backward(dy, self.need_dx)

    def release(self) -> None:
        """Forget what the last forward remembered, in every layer; `backward` then needs a new forward."""
        self._ran = None
        for plan in list(self._plans.values()):
            plan.release()
        for layer in self.contents():
            layer.release()

    def _check(self, x_shape: Shape) -> Shape:
        def call(name: str, part: Layer, *shapes: Shape) -> Any:
            if part is self:
                return self.join_shape(*shapes)
            shape = part._check(joined(shapes) if part.merges else shapes[0])
            return shape if part.outputs == 1 else Several(parted(shape))

        shapes = self.flow(call, *(parted(x_shape) if self.merges else [x_shape]))
        return shapes if self.outputs == 1 else joined(shapes)

    def multiply_adds(self, shape: Shape) -> int:
        """The layers' sum."""
        total = 0

        def call(name: str, part: Layer, *shapes: Shape) -> Any:
            nonlocal total
            if part is self:
                return self.join_shape(*((1, *each) for each in shapes))[1:]
            given = side_by_side(part.merges, shapes)
            total += part.multiply_adds(given)
            after = part.output_shape(given)
            return after if part.outputs == 1 else Several(after)

        self.flow(call, *(shape if self.merges else [shape]))
        return total

    def _copy(self, part: Callable[[Any], Any]) -> Any:
        other = super()._copy(part)
        other._plans, other._ran = {}, None
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the plan as well."""
        return {**super().__getstate__(), "_plans": {}, "_ran": None}


class _Layers:
    """A list of layers, checked when it is assigned; read, it is a plain attribute."""

    if TYPE_CHECKING:

        def __get__(self, container: Any, owner: type | None = None) -> list[Layer]: ...

    def __set__(self, container: Any, layers: Any) -> None:
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"{container.who}: layers must be a list of layers, got {layers!r}")
        _check_layers(container, layers)
        vars(container)["layers"] = layers if isinstance(layers, list) else list(layers)


class Sequential(Container):
    """Layers one after the other.

    layers: in the order of the forward pass; the list `layers` may be changed later. Parameters get names like
    "0.weight" or "3.body.0.weight" from the places of their layers. A layer object without parameters may stand in
    several places: each later place gets a copy of its own. With a backend that fuses, neighbours run as one
    operation (`plan`); results are the same. Raises TypeError for what is no layer, ValueError for a layer with
    parameters or a container that stands in two places.
    """

    _unnamed = ("layers",)
    _hidden = ("_known", "_plans", "_ran")
    layers = _Layers()

    def __init__(self, *layers: Layer, name: str | None = None) -> None:
        super().__init__(name)
        self.layers = list(layers)
        self._known: list[Layer] | None = None
        self._refresh()

    def _refresh(self) -> None:
        """Take in new layers: check, name, forget the plan."""
        if self.layers == self._known:
            return
        _check_layers(self, self.layers)
        self._known, self._x_shape = list(self.layers), None
        self._plans, self._ran, self._inferred = {}, None, ((), None)
        try:
            self._place(self._path)
        except ValueError:
            self._known = None
            raise
        self._known = list(self.layers)

    def _places(self) -> list[Any]:
        self._refresh()
        return super()._places()

    def contents(self) -> list[Layer]:
        """The layers inside, after a look whether they are named."""
        self._refresh()
        return self._known or []

    def flow(self, call: Call, *x: Any) -> Any:
        """One layer after the other."""
        y = x
        for name, layer in self.named_children().items():
            found = call(name, layer, *y)
            y = found if isinstance(found, Several) else (found,)
        return y[0] if len(y) == 1 else Several(y)

    @property
    def merges(self) -> bool:  # type: ignore[override]
        """Whether the first layer does."""
        return bool(self.layers) and self.layers[0].merges

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """How many arrays the last layer gives."""
        return self.layers[-1].outputs if self.layers else 1

    def _inputs(self) -> int:
        return self.layers[0]._inputs() if self.layers else 1

    def _copy(self, part: Callable[[Any], Any]) -> Any:
        other = super()._copy(part)
        other._known = list(other.layers)
        return other

    def __len__(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        """The layer at a place."""
        return self.layers[index]


class Residual(Container):
    """body(x) + shortcut(x), without an activation.

    body, shortcut: layers (for more than one, a Sequential) with outputs of the same shape. shortcut None: x itself.
    identity: start with a body that adds nothing, its last layer's parameters being zero: gamma of a normalisation
    (Goyal et al. 2017, arXiv 1706.02677, section 5.1), or the weight of a convolution (Zhang, Dauphin, Ma 2019,
    "Fixup", arXiv 1901.09321). Parameters get names like "body.0.weight" and "shortcut.weight".
    Raises TypeError for what is no layer, ValueError that names the layer if the two shapes differ, or if identity is
    asked of a body whose last layer has no parameters.
    """

    def __init__(
        self, body: Layer, shortcut: Layer | None = None, identity: bool = False, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.body = body
        self.shortcut = shortcut
        self.identity = bool(identity)
        _check_layers(self, [body] if shortcut is None else [body, shortcut])
        if shortcut is body and not (body.children() or body.parameters()):
            self.shortcut = copy.copy(shortcut)
        elif shortcut is body:
            raise twice(self.who, body)
        self._place()
        if self.identity:
            self._silence()

    def _silence(self) -> None:
        last = self.body
        while isinstance(last, Sequential) and last.layers:
            last = last.layers[-1]
        # Behind an activation zeros would stay for ever: a Relu has no gradient there.
        if last.children() or not last.parameters():
            raise ValueError(f"{self.who}: identity needs a body whose last layer has parameters, got {last!r}")
        for parameter in last.parameters():
            parameter.data[...] = 0

    joins = "sum"

    def contents(self) -> list[Layer]:
        """Body and shortcut, after a look whether they are named."""
        return [self.body] if self.shortcut is None else [self.body, self.shortcut]

    def flow(self, call: Call, *x: Any) -> Any:
        """body, shortcut if there is one, and their sum."""
        y = call("body", self.body, *x)
        return call("", self, y, x[0] if self.shortcut is None else call("shortcut", self.shortcut, *x))

    def join(self, train: bool, *inputs: Any) -> Any:
        """The sum."""
        return kernels.current().add(*inputs)

    def joiner(self) -> Layer:
        """The sum as a layer."""
        return Add(name=self.name)

    def join_shape(self, *shapes: Shape) -> Shape:
        """The shape of both."""
        y_shape, other = map(tuple, shapes)
        if y_shape != other:
            raise ValueError(f"{self.who}: body and shortcut must give the same shape, got {y_shape} and {other}")
        return y_shape


def _check_layers(container: Layer, layers: Sequence[Layer]) -> None:
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = " (write the layers as separate arguments)" if isinstance(layer, (list, tuple)) else ""
            hint = " (write the parentheses: it is a class)" if isinstance(layer, type) else hint
            raise TypeError(f"{container.who}: element {i} must be a layer, got {layer!r}{hint}")
