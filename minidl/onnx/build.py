"""The network that grows while a file's operators are read in turn: values, names of layers, and what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minidl import layers
from minidl.layers.base import Layer
from minidl.layers.node import Node
from minidl.layers.parameter import Parameter
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused
from minidl.onnx.tied import Sources
from minidl.onnx.views import View, identity, settled

Value: TypeAlias = "Node | View | Constant"
Values: TypeAlias = "list[Value | None]"
Function: TypeAlias = "Callable[[Build, Operator, Values], Any]"
Shape = tuple[int, ...]


class Build:
    """What operators work with. readers: how often each value is read; batch: the file's number of images, if fixed.

    dtype: of the network; own: whether minidl has written the file.
    """

    def __init__(self, readers: Mapping[str, int], batch: int | None, dtype: np.dtype, own: bool = False) -> None:
        self._own = own
        self.readers = readers
        self.batch = batch
        self.dtype = dtype
        self.rows: set[int] = set()
        """Layers, by id, that stand for a product of rows: nobody else reads what they give."""
        self.sources = Sources()
        self._names: set[str] = set()
        self._aliases: dict[int, list[str]] = {}

    # ---- values ------------------------------------------------------------------------------------------------------

    def shape(self, value: Value | None) -> Shape:
        """Sizes of one image of a value that depends on the input."""
        if not isinstance(value, (Node, View)):
            raise Refused("", "an input that must come from the images is missing or a constant")
        return tuple(value.shape)

    def node(self, value: Value | None) -> Node:
        """The value as layers take it, of at most 3 sizes without N."""
        if isinstance(value, Node):
            return value
        shape = self.shape(value)
        assert isinstance(value, View)
        if value.node is None:
            if len(shape) not in (1, 2, 3):
                raise Refused("", f"values must have 2 to 4 dimensions, this one has {len(shape) + 1}: (N, {shape})")
            value.node = self._reshaped(self.settle(value), shape)
        return value.node

    def settle(self, value: View) -> Node:
        """A node with the value's numbers in its order, of whatever sizes."""
        found = settled(value)
        if found is None:
            axes = tuple(axis + 1 for axis in value.order)
            raise Refused("perm", f"sizes (N, {value.split}) in the order {(0, *axes)} are not supported")
        node = value.source
        for shape, layer in found:
            node = layer(self._reshaped(node, shape))
        return node

    def _reshaped(self, node: Node, shape: Shape) -> Node:
        if tuple(node.shape) == tuple(shape):
            return node
        made: Node = layers.Flatten()(node) if len(shape) == 1 else layers.Reshape(shape)(node)
        return made

    def reshaped(self, value: Value | None, shape: Shape) -> Node | View:
        """The value's numbers, in their order, as an image of this shape; a layer is made only where one needs it."""
        have = self.shape(value)
        if math.prod(have) != math.prod(shape):
            raise Refused("", f"an image of shape {have} does not fit the shape {tuple(shape)}")
        if isinstance(value, View):
            node = value.source if identity(value.order) else self.settle(value)
        else:
            node = self.node(value)
        return node if tuple(node.shape) == tuple(shape) else View(node, tuple(shape))

    def pointwise(self, value: Value | None, layer: Layer) -> Node | View:
        """The layer, which looks at each number alone, on a value; what waits to be rearranged goes on waiting."""
        source = value.source if isinstance(value, View) else self.node(value)
        made: Node = layer(source)
        return View(made, value.split, value.order) if isinstance(value, View) else made

    # ---- constants ---------------------------------------------------------------------------------------------------

    def array(self, value: Value | None, what: str) -> np.ndarray:
        """A constant's array. Raises `Refused` if it depends on the images."""
        if not isinstance(value, Constant) or not value.fixed:
            raise Refused(what, f"{what} must be a constant of the file")
        return value.arrays[0]

    def weight(self, value: Value | None, what: str, ndim: int | None = None) -> np.ndarray:
        """A constant array of floats, of the network's dtype."""
        array = self.array(value, what)
        if array.dtype.kind != "f" or ndim not in (None, array.ndim):
            rule = "floats" if ndim is None else f"floats in {ndim} dimensions"
            raise Refused(what, f"{what} must be {rule}, got {array.dtype} of shape {array.shape}")
        return np.ascontiguousarray(array, self.dtype) if array.ndim else np.asarray(array, self.dtype)

    def vector(self, value: Value | None, what: str, size: int) -> np.ndarray:
        """One float for each channel."""
        array = self.weight(value, what)
        if array.size != size:
            raise Refused(what, f"{what} must have {size} numbers, got shape {array.shape}")
        return array.reshape(size)

    def number(self, value: Value | None, what: str) -> float:
        """A constant of one number."""
        array = self.array(value, what)
        if array.size != 1 or array.dtype.kind not in "fiu":
            raise Refused(what, f"{what} must be one number, got {array.dtype} of shape {array.shape}")
        return float(array.reshape(()))

    def given(self, operator: Operator, inputs: Values, place: int, name: str, default: Any = None) -> Any:
        """A setting as a list of numbers: an input of newer versions, an attribute of older ones."""
        if place < len(inputs) and inputs[place] is not None:
            return self.array(inputs[place], name).ravel().tolist()
        value = operator.get(name)
        if value is None:
            return default
        return list(value) if isinstance(value, tuple) else [value]

    # ---- names -------------------------------------------------------------------------------------------------------

    def name(self, operator: Operator, *weights: Value | None) -> str:
        """A layer's name: its weights', "features.0" of "features.0.weight", or else the operator's."""
        name = operator.name
        for weight in weights:
            if isinstance(weight, Constant) and weight.trained.rpartition(".")[0]:
                name = weight.trained.rpartition(".")[0]
                break
        name = re.sub(r"[^\w]+", ".", name, flags=re.ASCII).strip(".") or operator.kind
        taken, number = name, 1
        while taken in self._names:
            number += 1
            taken = f"{name}_{number}"
        self._names.add(taken)
        return taken

    def filled(self, layer: Layer, **arrays: np.ndarray | None) -> None:
        """Put the file's numbers into the layer's parameters and buffers of these names, None: as it was made.

        A weight of float32 is there: it came as `init`, without a copy.
        """
        layer.astype(self.dtype)
        for name, array in arrays.items():
            if array is not None and (name != "weight" or array.dtype != np.float32):
                place = getattr(layer, name)
                (place.data if isinstance(place, Parameter) else place)[...] = array

    def made_of(self, layer: Layer, *weights: Value | None) -> Layer:
        """The layer; its weights are those of the file. Where minidl's own file has constants there, they stay."""
        names = [each.trained if isinstance(each, Constant) else "" for each in weights]
        if self._own and not any(names):
            layer.freeze()
        self.sources.add(layer, *names)
        return layer

    def called(self, name: str, value: Value | None) -> None:
        """Note a value's name in the file: several operators hand on the value that they read, under another one."""
        source = value.source if isinstance(value, View) else value
        if isinstance(source, Node) and source.call is not None:
            self._aliases.setdefault(source.call.number, []).append(name)

    def once(self, node: Node) -> bool:
        """Whether what a layer gives is read in one place alone, whatever names it has, the file's outputs included."""
        assert node.call is not None
        # Operators that hand a value on read one name of it: where none is read twice, there is one last reader.
        return all(self.readers.get(name, 0) <= 1 for name in self._aliases.get(node.call.number, ()))
