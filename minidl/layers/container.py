"""Layers made of layers.

    Sequential(f1, ..., fk)       y = fk(... f1(x))            dx = f1'(... fk'(dy))
    Residual(body, shortcut)      y = body(x) + shortcut(x)    dx = body'(dy) + shortcut'(dy)      (He et al. 2016)

Where a backend fuses, a Sequential runs blocks of neighbours instead (see `fused`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from minidl import kernels
from minidl.layers import fused
from minidl.layers.base import Call, Layer, Shape
from minidl.layers.parameter import Parameter
from minidl.support.held import Keys

__all__ = ["Residual", "Sequential"]


class Plan(NamedTuple):
    """What a `Sequential` runs on one backend: nodes, how each is run in a prediction, and those that are blocks."""

    backend: Any
    nodes: list[Layer]
    inferences: list[tuple[Layer, Callable[[Any], Any]]]
    blocks: list[fused.Block]


class Sequential(Layer):
    """Layers one after the other.

    layers: in the order of the forward pass; the list `layers` may be changed later. Parameters get names like
    "0.weight" or "3.body.0.weight" from the places of their layers. A layer object without parameters may stand in
    several places: each later place gets a copy of its own. With a backend that fuses, neighbours run as one
    operation (`plan`); results are the same. Raises TypeError for what is no layer, ValueError for a layer with
    parameters or a container that stands in two places.
    """

    _unnamed = ("layers",)
    _hidden = ("_known", "_learning", "_nodes", "_plans")

    def __init__(self, *layers: Layer, name: str | None = None) -> None:
        super().__init__(name)
        self.layers = list(layers)
        self._known: list[Layer] | None = None
        self._nodes: list[Layer] | None = None  # of the last `run`
        self._plans: dict[Any, Plan] = {}  # by backend
        self._learning: tuple[list[Layer], list[list[Parameter] | None]] | None = None  # parameters of each node
        self._refresh()

    def _refresh(self) -> None:
        """Take in new layers: check, name, forget the plan."""
        if self.layers == self._known:
            return
        _check_layers(self, self.layers)
        self._known, self._nodes, self._x_shape = list(self.layers), None, None
        self._plans, self._inferred = {}, ((), None)
        try:
            self._place(self._path)
        except ValueError:
            self._known = None
            raise
        self._known = list(self.layers)

    def _places(self) -> list[tuple[Keys, Any]]:
        self._refresh()
        self._learning = None
        return super()._places()

    def flow(self, call: Call, x: Any) -> Any:
        """One layer after the other."""
        for name, layer in self.named_children().items():
            x = call(name, layer, x)
        return x

    def plan(self) -> list[Layer]:
        """What runs, in order: layers, and with a backend that fuses, blocks whose `.layers` are the merged ones."""
        return self._plan().nodes

    def _plan(self) -> Plan:
        self._refresh()
        backend = kernels.current()
        plan = self._plans.get(backend)
        if plan is None:
            nodes = fused.plan(self.layers) if backend.fuses else list(self.layers)
            inferences = [(node, node.inference()) for node in nodes]
            blocks = [node for node in nodes if isinstance(node, fused.Block)]
            # The first of two threads has made it: a step must not be given other blocks than it began with.
            plan = self._plans.setdefault(backend, Plan(backend, nodes, inferences, blocks))
        return plan

    def blocks(self) -> list[fused.Block]:
        """The merged neighbours of `plan`."""
        return self._plan().blocks

    def run(self, x: Any, train: bool) -> Any:
        """`forward` between layers: the backend's array in, the backend's array out."""
        self._nodes = self._plan().nodes
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
        for node, infer in plan.inferences:
            node.kernels = plan.backend
            x = infer(x)
        return x

    def _copy(self, part: Callable[[Any], Any]) -> Any:
        other = super()._copy(part)
        other._known, other._nodes, other._plans, other._learning = list(other.layers), None, {}, None
        return other

    def _check(self, x_shape: Shape) -> Shape:
        self._refresh()
        for layer in self.layers:
            x_shape = layer._check(x_shape)
        return x_shape

    def _forward(self, x: Any, train: bool) -> Any:
        for node in self._nodes or ():
            x = node.run(x, train)
        return x

    def _backward(self, dy: Any) -> Any:
        nodes = self._nodes
        if nodes is None:
            raise self._unready()
        first = -1
        if not self.need_dx:  # then the backward pass ends at the first node that learns
            first = self._first_learning(nodes)
        for i in range(len(nodes) - 1, max(first, 0) - 1, -1):
            node = nodes[i]
            node.need_dx = i != first
            dy = node._backward(dy)
        return dy if self.need_dx else None

    def learns(self) -> bool:
        """Whether a parameter is not frozen."""
        nodes = self._plan().nodes
        return self._first_learning(nodes) < len(nodes)

    def _first_learning(self, nodes: list[Layer]) -> int:
        """Index of the first node that learns. Nodes are searched once, but for those whose layers may change."""
        if self._learning is None or self._learning[0] is not nodes:
            fixed = [isinstance(node, fused.Block) or not node.children() for node in nodes]
            self._learning = nodes, [list(node._each_parameter()) if f else None for node, f in zip(nodes, fixed)]
        for i, (node, own) in enumerate(zip(nodes, self._learning[1])):
            if node.learns() if own is None else any(not parameter.frozen for parameter in own):
                return i
        return len(nodes)

    def release(self) -> None:
        """Forget what the last forward remembered, in every layer; `backward` then needs a new forward."""
        for layer in self.layers:
            layer.release()
        for plan in list(self._plans.values()):
            for block in plan.blocks:
                block.release()

    def multiply_adds(self, shape: Shape) -> int:
        """The layers' sum."""
        total = 0
        for layer in self.children():
            total += layer.multiply_adds(shape)
            shape = layer.output_shape(shape)
        return total

    def __len__(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        """The layer at a place."""
        return self.layers[index]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the plan as well."""
        return {**super().__getstate__(), "_learning": None, "_nodes": None, "_plans": {}}


class Residual(Layer):
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
            raise ValueError(
                f"{self.who}: {body.name} stands in two places;"
                " a layer with parameters or layers inside can stand in one"
            )
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

    def flow(self, call: Call, x: Any) -> Any:
        """body, shortcut if there is one, and their sum."""
        y = call("body", self.body, x)
        return call("", self, y, x if self.shortcut is None else call("shortcut", self.shortcut, x))

    def join(self, train: bool, *inputs: Any) -> Any:
        """The sum."""
        return kernels.current().add(*inputs)

    def join_shape(self, *shapes: Shape) -> Shape:
        """The shape of both."""
        y_shape, other = map(tuple, shapes)
        if y_shape != other:
            raise ValueError(f"{self.who}: body and shortcut must give the same shape, got {y_shape} and {other}")
        return y_shape

    def _check(self, x_shape: Shape) -> Shape:
        return self.join_shape(
            self.body._check(x_shape), x_shape if self.shortcut is None else self.shortcut._check(x_shape)
        )

    def _forward(self, x: Any, train: bool) -> Any:
        y = self.body.run(x, train)
        return self.kernels.add(y, x if self.shortcut is None else self.shortcut.run(x, train))

    def _infer(self, x: Any) -> Any:
        y, other = self._part(self.body, x), x if self.shortcut is None else self._part(self.shortcut, x)
        return self.kernels.add(y, other)

    def _part(self, layer: Layer, x: Any) -> Any:
        layer.kernels = self.kernels
        return layer.inference()(x)

    def _backward(self, dy: Any) -> Any:
        need_dx = self.body.need_dx = self.need_dx
        if self.kernels is None:
            raise self._unready()
        dx = self.body._backward(dy)
        if self.shortcut is None:
            return self.kernels.add(dx, dy) if need_dx else None
        self.shortcut.need_dx = need_dx
        shortcut_dx = self.shortcut._backward(dy)
        return self.kernels.add(dx, shortcut_dx) if need_dx else None

    def release(self) -> None:
        """Forget what the last forward remembered, in body and shortcut; `backward` then needs a new forward."""
        self.body.release()
        if self.shortcut is not None:
            self.shortcut.release()

    def multiply_adds(self, shape: Shape) -> int:
        """Those of body and shortcut."""
        return sum(child.multiply_adds(shape) for child in self.children())


def _check_layers(container: Layer, layers: list[Layer]) -> None:
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = " (write the layers as separate arguments)" if isinstance(layer, (list, tuple)) else ""
            hint = " (write the parentheses: it is a class)" if isinstance(layer, type) else hint
            raise TypeError(f"{container.who}: element {i} must be a layer, got {layer!r}{hint}")
