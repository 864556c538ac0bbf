"""An ONNX graph while it is being written: nodes and named arrays, without the `onnx` package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LOWEST, HIGHEST = 13, 17
"""Versions of ONNX's operators ("opset") that files may have."""

Input = Any
"""Of a node: a value's name, an array, a float for a scalar of the network's dtype, ints, or None for none."""


class Value(str):
    """A value's name in the graph, with the `shape` of one image (without N)."""

    shape: tuple[int, ...]

    def __new__(cls, name: str, shape: Iterable[int]) -> Value:
        """A name with a shape."""
        value = super().__new__(cls, name)
        value.shape = tuple(shape)
        return value


class Node:
    """One node: operator, name, names of what it reads ("" for what is left out) and gives, attributes."""

    def __init__(
        self, operator: str, name: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        self.operator, self.name, self.attributes = operator, name, attributes
        self.inputs, self.outputs = inputs, outputs


class Draft:
    """The graph so far. A writer of a layer calls `add` for each node.

    dtype: of values and weights. arrays: parameters and buffers by name; they keep their names in the file. place: of
    the layer that is being written, the beginning of names. nodes, initializers: what is there. needs: the opset that
    the layers at the places need, where it is above the lowest.
    """

    def __init__(self, dtype: Any, arrays: Mapping[str, np.ndarray]) -> None:
        self.dtype = np.dtype(dtype)
        self.place = ""
        self.nodes: list[Node] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.needs: dict[str, int] = {}
        self._named: dict[int, str] = {}
        for name, array in arrays.items():
            self._named.setdefault(id(array), name)
        self._taken = set(arrays)
        self._shaped: dict[tuple[str, tuple[int, ...]], str] = {}  # names of parameters in other shapes

    def add(self, operator: str, *inputs: Input, outputs: int = 1, **attributes: Any) -> Any:
        """One node more; its output's name, or a list of names where there are several.

        inputs: names of values, arrays, a float or ints (constants), None for an optional one that is left out.
        attributes: numbers, strings, or lists of them; None for one that is left out.
        """
        name = self.name(f"{self.place}/{operator}")
        ends = [""] if outputs == 1 else [f"_{i}" for i in range(outputs)]
        given = [self.name(f"{name}_output{end}") for end in ends]
        read = [self._source(name, source) for source in inputs]
        while read and not read[-1]:
            read.pop()
        told = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(Node(operator, name, read, given, told))
        return given[0] if outputs == 1 else given

    def need(self, opset: int) -> None:
        """Say that the nodes of this layer are of this opset or a later one."""
        if opset > LOWEST:
            self.needs[self.place] = max(opset, self.needs.get(self.place, 0))

    def shaped(self, array: np.ndarray, shape: Iterable[int]) -> str:
        """A parameter or buffer in another shape, as broadcasting asks for; it has its name the first time."""
        name, shape = self._named[id(array)], tuple(shape)
        if (name, shape) not in self._shaped:
            first = name not in self.initializers
            self._shaped[name, shape] = found = name if first else self.name(f"{name}_{'x'.join(map(str, shape))}")
            self.initializers[found] = array.reshape(shape)
        return self._shaped[name, shape]

    def scaled(self, x: str, scale: np.ndarray | None, shift: np.ndarray | None, axes: int) -> str:
        """x times a parameter plus another, one number of each a channel, for images of so many axes."""
        for operator, array in (("Mul", scale), ("Add", shift)):
            if array is not None:
                x = self.add(operator, x, self.shaped(array, (array.size, *(1,) * (axes - 1))))
        return x

    def mixed(self, x: str, rows: np.ndarray, columns: np.ndarray) -> str:
        """rows x columns^T of each map: rows (OH, H), columns (OW, W) say how much of each place an output has."""
        for matrix in (columns, rows):  # the constant stands behind, where most programs expect it
            x = self.add("MatMul", x, matrix.T.copy())
            x = self.add("Transpose", x, perm=(0, 1, 3, 2))
        return x

    def name(self, wanted: str) -> str:
        """This name, or one like it if there is one already; it is taken now."""
        name, count = wanted, 0
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def finish(self, values: list[Value], wanted: list[str]) -> list[Value]:
        """Call the values by other names, as the graph's outputs; one that is no node's is copied.

        So is what a convolution gives where a node reads it, too: ONNX Runtime 1.32 refuses the file, where that is a
        sum that it merges with a depthwise convolution.
        """
        inner = {name for node in self.nodes for name in node.inputs}
        last = {
            output
            for node in self.nodes
            for output in node.outputs
            if not (node.operator == "Conv" and output in inner)
        }
        found: list[Value] = []
        for value, name in zip(values, wanted):
            name = self.name(name)
            if value in last and value not in values[: len(found)]:
                for node in self.nodes:
                    node.inputs = [name if read == value else read for read in node.inputs]
                    node.outputs = [name if given == value else given for given in node.outputs]
            else:
                known = dict(zip(values, found)).get(value, value)
                self.nodes.append(Node("Identity", self.name(f"{name}/Identity"), [str(known)], [name], {}))
            found.append(Value(name, value.shape))
        return found

    def _source(self, node: str, source: Input) -> str:
        if source is None:
            return ""
        if isinstance(source, str):
            return str(source)
        if isinstance(source, np.ndarray) and id(source) in self._named:
            return self.shaped(source, source.shape)
        if isinstance(source, (float, np.floating)):
            source = np.array(source, self.dtype)
        array = source if isinstance(source, np.ndarray) else np.array(source, np.int64)
        name = self.name(f"{node}_constant")
        self.initializers[name] = array
        return name
