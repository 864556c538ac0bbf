"""Networks of any form: layers that are called on the outputs of others.

    x = minidl.Input((3, 32, 32))
    a = minidl.Conv2D(3, 8, 3, padding=1)(x)
    b = minidl.Conv2D(3, 8, 1)(x)
    y = minidl.Linear(8192, 10)(minidl.Flatten()(minidl.Add()(a, b)))
    model = minidl.Model(minidl.Graph(x, y))

A value that several layers read gets the sum of their gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minidl.kernels import checks
from minidl.layers.base import Call, Layer
from minidl.layers.container import Container
from minidl.layers.node import Call as Use
from minidl.layers.node import Node
from minidl.layers.parameter import Parameter
from minidl.support.several import Several, Shape

__all__ = ["Graph", "Input"]

MOST_STEPS = 10_000
"""Calls of layers in a graph, those in graphs inside counted at each call: graphs in graphs may double them."""
Wire = tuple[str, tuple[int, ...], int]
"""(name of the layer, numbers of the values that it reads, how many it gives); these get the next numbers."""


def Input(shape: int | Sequence[int], name: str = "input") -> Node:  # noqa: N802 -- it stands among the layers
    """The node that images come in by.

    shape: of one image, without N: (C, H, W), (F,), or an int F. name: for messages. Raises TypeError or ValueError
    for other shapes.
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    sizes = tuple(checks.integer("Input", "shape", size, 1) for size in sizes)
    if len(sizes) not in (1, 2, 3):
        raise ValueError(f"Input: shape must be (C, H, W) or (F,), that of one image without N, got {shape!r}")
    if not isinstance(name, str):
        raise TypeError(f"Input: name must be a text, got {name!r}")
    return Node(sizes, name)


class Graph(Container):
    """Layers between nodes, as one layer.

    inputs, outputs: one node or a list of nodes; what lies between them belongs to the graph. An input may be any node:
    a graph may be a part of another. With several inputs it takes a list of arrays in their order, with several outputs
    it gives one. A layer with a name of its own has that name in those of its parameters ("stem.weight"), any other its
    number in the order of the calls ("0.weight"). One layer object may be called in several places: its weights are
    shared, and their gradients added. (Without parameters and layers inside each place gets a copy.)

    Raises TypeError for what is no node; ValueError that names the node if an output does not depend on the inputs
    alone, an input is not read, two parameters or buffers get one name, or more than 10,000 layers are called.
    """

    _unnamed = ("layers",)
    _ranks = (2, 3, 4)

    def __init__(
        self, inputs: Node | Iterable[Node], outputs: Node | Iterable[Node], *, name: str | None = None
    ) -> None:
        super().__init__(name)
        ins, outs = _nodes(self.who, "inputs", inputs), _nodes(self.who, "outputs", outputs)
        self._take(*_wired(self.who, ins, outs), [tuple(node.shape) for node in ins])

    def _take(
        self, layers: Mapping[str, Layer], wires: Sequence[Wire], given: Sequence[int], shapes: Sequence[Shape]
    ) -> None:
        self.layers = dict(layers)
        self._wires = list(wires)
        self._results = tuple(given)
        """Numbers of the values that come out."""
        self._shapes = tuple(shapes)
        self._calls = sum(_calls(layers[name]) for name, _, _ in wires)
        self.merges = len(shapes) > 1
        self.outputs = len(given)
        self._place(self._path)
        self.named_parameters(), self.buffers()  # refuse here what could not be saved

    def contents(self) -> list[Layer]:
        """The layers inside."""
        return list(self.layers.values())

    def _inputs(self) -> int:
        return len(self._shapes)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shape of one image of each input, as it was built."""
        return self._shapes

    def flow(self, call: Call, *x: Any) -> Any:
        """Each use of a layer, in the order of the calls that built the graph."""
        values = list(x)
        for name, read, _ in self._wires:
            found = call(name, self.layers[name], *(values[value] for value in read))
            values += found if isinstance(found, Several) else [found]
        found = [values[value] for value in self._results]
        return found[0] if self.outputs == 1 else Several(found)

    def _check(self, x_shape: Shape) -> Shape:
        given = x_shape[1:] if self.merges else (x_shape[1:],)
        if len(given) != len(self._shapes):
            raise ValueError(f"{self.who}: it takes {len(self._shapes)} inputs, got {len(given)}")
        for i, (shape, built) in enumerate(zip(given, self._shapes)):
            # Height and width may be others, where the layers can take them.
            if len(shape) != len(built) or tuple(shape[:1]) != tuple(built[:1]):
                which = f"input {i}" if self.merges else "input"
                raise ValueError(f"{self.who}: {which} was built for images {tuple(built)}, got {tuple(shape)}")
        return super()._check(x_shape)

    # ---- without nodes: files, copies --------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """The layers by name and how they are wired, for `remake`: the nodes of the constructor are not kept."""
        return {
            "inputs": self._shapes,
            "outputs": self._results,
            "layers": tuple(self.layers.values()),
            "names": tuple(self.layers),
            "wires": tuple(self._wires),
            "name": super().settings().get("name"),
        }

    @classmethod
    def remake(cls, settings: Mapping[str, Any]) -> Graph:
        """The graph of these `settings`. Raises TypeError or ValueError for what cannot be wired so."""
        who = "Graph"
        names, layers = list(settings["names"]), list(settings["layers"])
        if len(names) != len(layers) or len(set(names)) != len(names):
            raise ValueError(f"{who}: each layer must have a name of its own, got {len(layers)} and {names!r:.80}")
        nodes: list[Node] = [Input(shape, f"input {i}") for i, shape in enumerate(settings["inputs"])]
        values, found = list(nodes), dict(zip(names, layers))
        wires: list[Wire] = []
        calls = 0
        for name, read, count in settings["wires"]:
            if name not in found or not all(type(value) is int and 0 <= value < len(values) for value in read):
                raise ValueError(f"{who}: no layer {name!r:.40} can read the values {read!r:.60}, of {len(values)}")
            calls = _within(who, calls + _calls(found[name]))
            made = found[name](*(values[value] for value in read))
            parts = made if isinstance(made, list) else [made]
            if len(parts) != count:
                raise ValueError(f"{who}: {name} must give {count} values, got {len(parts)}")
            values += parts
            wires.append((name, tuple(read), count))
        given = list(settings["outputs"])
        if not given or not all(type(value) is int and 0 <= value < len(values) for value in given):
            raise ValueError(f"{who}: outputs must be numbers of values, below {len(values)}, got {given!r:.60}")
        graph = cls.__new__(cls)
        Container.__init__(graph, settings.get("name"))
        graph._take(found, wires, given, [node.shape for node in nodes])
        return graph

    def __repr__(self) -> str:
        """How large it is."""
        ends = f"{len(self._shapes)} -> {self.outputs}"
        return f"Graph({len(self.layers)} layers, {ends})"


def _nodes(who: str, what: str, given: Node | Iterable[Node]) -> list[Node]:
    found: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    for node in found:
        if not isinstance(node, Node):
            raise TypeError(f"{who}: {what} must be a node or a list of nodes, got {type(node).__name__}")
    if not found:
        raise ValueError(f"{who}: {what} must be at least one node, got none")
    return found


def _wired(who: str, inputs: list[Node], outputs: list[Node]) -> tuple[dict[str, Layer], list[Wire], list[int]]:
    """Layers by name, wires in the order of the calls, and the numbers of the outputs."""
    uses = _between(who, inputs, outputs)
    _within(who, sum(_calls(use.layer) for use in uses))
    numbers = {id(node): i for i, node in enumerate(inputs)}
    if len(numbers) < len(inputs):
        raise ValueError(f"{who}: each input must be given once")
    values = dict(numbers)  # by id of the node; of a use by (id, index)
    places: dict[tuple[int, int], int] = {
        (id(node.call), node.index): i for i, node in enumerate(inputs) if node.call is not None
    }
    count = len(inputs)
    for use in uses:
        for i in range(use.layer.outputs):
            places.setdefault((id(use), i), count + i)
        count += use.layer.outputs

    def number(node: Node) -> int:
        found = values.get(id(node))
        return places[id(node.call), node.index] if found is None else found

    names = _names(uses)
    layers: dict[str, Layer] = {}
    taken: set[int] = set()  # layers by their id
    wires: list[Wire] = []
    read: set[int] = {number(node) for node in outputs}
    for use, name in zip(uses, names):
        if name not in layers:
            layers[name] = copy.copy(use.layer) if id(use.layer) in taken else use.layer
            taken.add(id(use.layer))
        sources = tuple(map(number, use.inputs))
        read.update(sources)
        wires.append((name, sources, use.layer.outputs))
    for i, node in enumerate(inputs):
        if i not in read:
            raise ValueError(f"{who}: input {i}, {node.name}, is not connected with an output")
    return layers, wires, [number(node) for node in outputs]


def _between(who: str, inputs: list[Node], outputs: list[Node]) -> list[Use]:
    """The uses of layers that the outputs depend on, up to the inputs, in the order in which they were made."""
    begin = {id(node) for node in inputs}
    given = {(id(node.call), node.index) for node in inputs if node.call is not None}
    found: dict[int, Use] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if id(node) in begin or (node.call is not None and (id(node.call), node.index) in given):
            continue
        if node.call is None:
            raise ValueError(
                f"{who}: an output depends on {node!r}, which is not among the inputs"
                f" {', '.join(each.name for each in inputs)}"
            )
        if node.call.number not in found:
            found[node.call.number] = node.call
            waiting += node.call.inputs
    return [found[number] for number in sorted(found)]


def _calls(layer: Layer) -> int:
    """How many layers a call of this one calls; at least 1."""
    if isinstance(layer, Graph):
        return max(layer._calls, 1)
    return max(sum(map(_calls, layer.children())), 1)


def _within(who: str, calls: int) -> int:
    if calls > MOST_STEPS:
        raise ValueError(
            f"{who}: it may call at most {MOST_STEPS} layers, those inside of others at each call, got {calls}"
        )
    return calls


def _names(uses: list[Use]) -> list[str]:
    """A name for each use; uses of one layer with parameters or layers inside have one name together."""
    known: dict[int, str] = {}
    taken: set[str] = set()
    names: list[str] = []
    for use in uses:
        layer = use.layer
        shares = bool(layer.children() or layer._held(Parameter))
        if shares and id(layer) in known:
            names.append(known[id(layer)])
            continue
        own = layer.name != type(layer).__name__
        name = layer.name if own and layer.name not in taken else str(len(taken))
        while name in taken:
            name += "_"
        taken.add(name)
        known[id(layer)] = name
        names.append(name)
    return names
