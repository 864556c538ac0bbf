"""What a layer has inside: other layers and parameters, and the names that these have by their places."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from minidl.layers.parameter import Parameter, Parameters
from minidl.support.held import Keys, Thing, held, put, swapped
from minidl.support.settings import Settings


class Tree(Settings):
    """The layers and parameters in the attributes of a layer, directly or in lists, tuples and dicts.

    Names are made from the places when they are asked for, so that a layer may belong to several trees.
    """

    _unnamed: tuple[str, ...] = ()
    """Attributes left out of the names of what they hold: "0.weight", not "layers.0.weight"."""
    _hidden: tuple[str, ...] = ()
    """Attributes with layers that have their place elsewhere."""

    name: str
    _path: str

    @property
    def who(self) -> str:
        """The layer as messages name it: its place in the model, if it has one, and its name."""
        return f"layer {self._path} ({self.name})" if self._path else self.name

    def _held(self, kind: type[Thing]) -> list[tuple[Keys, Thing]]:
        attributes = vars(self).copy()  # another thread may set one meanwhile
        if self._hidden:
            attributes = {name: value for name, value in attributes.items() if name not in self._hidden}
        return held(attributes, kind)

    def _name(self, keys: Keys) -> str:
        return ".".join(map(str, keys[1:] if keys[0] in self._unnamed else keys))

    def _places(self) -> list[tuple[Keys, Any]]:
        """The layers inside and the way to each."""
        return self._held(Tree)

    def named_children(self) -> dict[str, Any]:
        """Layers inside this one by the name that they have in parameter names, in order.

        These are the layers in the attributes, and in lists, tuples and dicts there: "body", "blocks.0".
        """
        places = self._places()
        found = {self._name(keys): layer for keys, layer in places}
        if len(found) < len(places):
            names = [self._name(keys) for keys, _ in places]
            twice = ", ".join(name for name in found if names.count(name) > 1)
            raise ValueError(f"{self.who}: each layer inside must have a name of its own, got {twice} twice")
        return found

    def children(self) -> list[Any]:
        """Layers inside this one, in order."""
        return [layer for _, layer in self._places()]

    def _copy(self, part: Callable[[Any], Any]) -> Any:
        """A copy that shares everything but the layers inside, which are `part` of them."""
        other = shallow(self)
        layers = {id(layer): part(layer) for _, layer in self._held(Tree)}
        for name in vars(other) if layers else ():
            if name not in self._hidden:
                vars(other)[name] = swapped(vars(other)[name], layers)
        return other

    def named_parameters(self) -> dict[str, Parameter]:
        """Trainable parameters by name in order of construction, those of the layers inside included.

        A name is the parameter's place seen from here ("weight", "3.body.0.weight"): each of two models that share
        layers has a complete set of its own. Raises ValueError where two parameters have one name.
        """
        own: dict[str, Parameter] = {}
        for keys, parameter in self._held(Parameter):
            name = self._name(keys)
            if own.setdefault(name, parameter) is not parameter:
                raise ValueError(f"{self.who}: each parameter must have a name of its own, got {name} twice")
        return self._gathered("parameter", own, lambda child: child.named_parameters())

    def _gathered(self, what: str, own: dict[str, Any], inside: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """`own` things and those of each layer inside by name; ValueError where two have one name."""
        found, owners = dict(own), dict.fromkeys(own, self.name)
        for key, child in self.named_children().items():
            for name, thing in inside(child).items():
                whole = f"{key}.{name}"
                if whole in found:
                    raise ValueError(
                        f"{self.who}: the {what} {whole} must be one, but layers {owners[whole]!r} and {key!r} both"
                        " have one of this name; give one of them another name"
                    )
                found[whole], owners[whole] = thing, key
        return found

    def parameters(self) -> list[Parameter]:
        """Trainable parameters in the order of `named_parameters`; of a layer with layers inside, their `name` is set.

        The list remembers the names, also when another model gives others. Raises ValueError for a layer with
        parameters that stands in two places.
        """
        self._place()
        return Parameters(self.named_parameters())

    def _each_parameter(self) -> Iterator[Parameter]:
        for _, parameter in self._held(Parameter):
            yield parameter
        for child in self.children():
            yield from child._each_parameter()

    def _place(self, path: str = "") -> None:
        """Give each layer inside a place of its own, seen from here; a layer without any keeps its place."""
        if self.children():
            self._separate({id(self)})
            self._locate(path)

    def _separate(self, seen: set[int]) -> None:
        """Give every place below a layer object of its own, so that each remembers its own forward."""
        for keys, layer in self._places():
            if id(layer) in seen:
                if layer.children() or layer._held(Parameter):
                    raise twice(self.who, layer)
                layer = copy.copy(layer)
                put(vars(self), keys, layer)
            seen.add(id(layer))
            layer._separate(seen)

    def _locate(self, path: str) -> None:
        """Take a place: the path goes into messages and into `Parameter.name`, here and inside."""
        self._path = path
        prefix = f"{path}." if path else ""
        for keys, parameter in self._held(Parameter):
            parameter.name = prefix + self._name(keys)
        for key, child in self.named_children().items():
            child._locate(prefix + key)


def twice(who: str, layer: Any) -> ValueError:
    """The error of a layer that would share its weights where only a graph can."""
    return ValueError(
        f"{who}: {layer.name} stands in two places; a layer with parameters or layers inside can stand in one; to share"
        " its weights, call it as often as you like between the inputs and outputs of one Graph, and not inside of"
        " another layer there"
    )


def shallow(layer: Any) -> Any:
    """A copy that shares everything; what copies and pickles leave out, too."""
    other = object.__new__(type(layer))
    vars(other).update(vars(layer))
    return other
