"""Layers as text, and layers out of it: names and settings in JSON, never code.

    {"format": 1, "network": node, "frozen": [names of parameters], "frozen_statistics": [places of layers]}

A node is {"layer": name, "settings": {...}} for a layer of minidl, {"own": name, ...} for one of somebody else's. A
setting is a number, a string, true, false, null, a list of settings, or a node.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minidl.layers import initializers
from minidl.layers.base import Layer
from minidl.layers.walk import places
from minidl.support.settings import arguments, make

FORMAT = 1
MAX_TEXT = 8_000_000
MAX_NODES = 10_000
MAX_DEPTH = 64
"""The largest network that is read, in characters, layers, and layers inside of each other."""
MAX_TEXT_OF_A_NAME = 1000

Find = Callable[[str], "type[Layer] | None"]
"""The class of minidl's own layer of this name."""


class UntoldError(ValueError):
    """A layer whose settings JSON cannot hold."""


# ---- layers to text --------------------------------------------------------------------------------------------------


def describe(layer: Layer) -> dict[str, str]:
    """{"architecture": JSON}, or {"no architecture": why there is none}."""
    try:
        network = _node(layer, 0)
        found = places(layer)
        document = {
            "format": FORMAT,
            "network": network,
            "frozen": [name for name, parameter in layer.named_parameters().items() if parameter.frozen],
            "frozen_statistics": [place for place, part in found.items() if part.statistics_frozen],
        }
        return {"architecture": json.dumps(document, allow_nan=False, separators=(",", ":"))}
    except UntoldError as error:
        return {"no architecture": str(error)}
    except RecursionError:
        return {"no architecture": f"{layer.who}: a setting stands in itself, or too deep in others"}


def _node(layer: Layer, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise UntoldError(f"more than {MAX_DEPTH} layers stand inside of each other")
    kind, told = type(layer), layer.settings()
    for name, argument in arguments(kind).items():
        if name not in told and argument.default is argument.empty and argument.kind is not argument.VAR_POSITIONAL:
            raise UntoldError(f"{layer.who}: no attribute tells the argument {name}")
    settings = {name: _told(layer, name, value, depth + 1) for name, value in told.items()}
    origin = "layer" if kind.__module__.partition(".")[0] == "minidl" else "own"
    return {origin: kind.__name__, "settings": settings}


def _told(layer: Layer, name: str, value: Any, depth: int) -> Any:
    if isinstance(value, Layer):
        return _node(value, depth)
    if isinstance(value, (list, tuple)):
        return [_told(layer, name, item, depth) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and np.isfinite(value)):
        return value
    raise UntoldError(f"{layer.who}: JSON cannot hold {name}={value!r:.60}")


# ---- text to layers --------------------------------------------------------------------------------------------------


def build(text: str, find: Find, own: Mapping[str, type[Layer]], elements: int) -> Layer:
    """The layers that `describe` has told, with first weights of zero.

    find, own: the classes of minidl's layers and of others, by name. elements: how many the arrays of minidl's layers
    may have together. Raises ValueError that names what is wrong: all unknown names at once, a text that is too long,
    too deep or of another form, settings that a layer refuses.
    """
    document = _parse(text)
    nodes = list(_nodes(document["network"], 0))
    unknown = [f"{name} (minidl's)" for name in _names(nodes, "layer") if find(name) is None]
    unknown += [name for name in _names(nodes, "own") if name not in own]
    if unknown:
        raise ValueError(f"unknown layers {', '.join(unknown)}: give those of your own as layers={{name: class}}")
    with initializers.limit(elements):
        layer = _made(document["network"], find, own)
    parameters, found = layer.named_parameters(), places(layer)
    for key, things in (("frozen", parameters), ("frozen_statistics", found)):
        names = document.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) and name in things for name in names):
            raise ValueError(f"{key} must be names of the network's, got {names!r:.80}")
    for name in document.get("frozen", []):
        parameters[name].frozen = True
    for name in document.get("frozen_statistics", []):
        found[name].statistics_frozen = True
    return layer


def _parse(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    if len(text) > MAX_TEXT:
        raise ValueError(f"it must have at most {MAX_TEXT} characters, got {len(text)}")
    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(document, dict) or "network" not in document:
        raise ValueError("it must be a JSON object with a network")
    if document.get("format") != FORMAT:
        raise ValueError(f"its format must be {FORMAT}, got {document.get('format')!r:.40}; a newer minidl may read it")
    return document


def _nodes(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Each node, the form of everything checked, and that there are not too many."""
    budget = [MAX_NODES]

    def below(value: Any, depth: int) -> Iterator[dict[str, Any]]:
        if depth > 2 * MAX_DEPTH + 1 and isinstance(value, (dict, list)):  # a layer and a list for each
            raise ValueError(f"at most {MAX_DEPTH} layers may stand inside of each other")
        if isinstance(value, dict):
            budget[0] -= 1
            if budget[0] < 0:
                raise ValueError(f"at most {MAX_NODES} layers may stand in it")
            name = value.get("layer", value.get("own"))
            wrong = not isinstance(name, str) or len(name) > MAX_TEXT_OF_A_NAME
            if wrong or len(value) != 2 or not isinstance(value.get("settings"), dict):
                raise ValueError(f"a layer must have a name and settings, got {value!r:.80}")
            yield value
            for item in value["settings"].values():
                yield from below(item, depth + 1)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, (dict, list)):
                    yield from below(item, depth + 1)

    if not isinstance(value, dict):
        raise ValueError(f"its network must be a layer, got {value!r:.80}")
    return below(value, depth)


def _names(nodes: list[dict[str, Any]], origin: str) -> list[str]:
    return list(dict.fromkeys(node[origin] for node in nodes if origin in node))


def _made(value: Any, find: Find, own: Mapping[str, type[Layer]]) -> Any:
    if isinstance(value, list):
        return [_made(item, find, own) if isinstance(item, (dict, list)) else item for item in value]
    if not isinstance(value, dict):
        return value
    settings = {name: _made(item, find, own) for name, item in value["settings"].items()}
    name = str(value.get("layer", value.get("own")))
    kind = find(name) if "layer" in value else own[name]
    assert kind is not None
    title = settings.get("name")
    if not (title is None or (isinstance(title, str) and len(title) <= MAX_TEXT_OF_A_NAME)):
        raise ValueError(f"{name}: name must be a short text, got {title!r:.60}")
    draws = "layer" in value and {"init", "rng"} <= arguments(kind).keys()
    init = settings.get("init")
    if draws:  # the file has the weights: drawing others would take time, and numbers from the default generator
        settings["init"] = "zeros"
    try:
        layer = make(kind, settings)
        if draws:
            if init is not None:
                initializers.draw(name, init, (1, 1), np.random.default_rng(0))
            layer.init = init
    except Exception as error:  # whatever a constructor makes of settings that nobody has checked
        raise ValueError(f"{name} cannot be made: {error}") from error
    return layer
