"""A training as one safetensors file: all that its next steps depend on, so that they end in the same bits.

tensors    model.<parameter or buffer>, optimizer.<slot>, history.<list>, callback.<number>.<array>
metadata   format, producer, mean, std, and state: a JSON object with run (the position), optimizer (kind, slots, lr,
           those inside), generators (minidl's default one, and each layer's own), callbacks (what is no array), loss
           (what it has learnt of the training targets, where it has) and settings
           (`minidl.training.settings`, of the script that wrote the file; files of 0.1.0 may lack them)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.losses import Loss
from minidl.support import random
from minidl.training.history import History
from minidl.training.position import Position
from minidl.training.settings import rates, settings
from minidl.training.snapshot import Snapshot, random_layers, unchanged_on_error
from minidl.training.state import State, Training

FORMAT = "minidl checkpoint 1"

Content = tuple[dict[str, np.ndarray], dict[str, str]]
"""Tensors and metadata, as `safetensors` writes and reads them."""


def pack(training: Training) -> Content:
    """Everything of a training that stands between two steps.

    Raises TypeError or ValueError for a callback's state that is neither arrays nor JSON, and for a generator that is
    not numpy's own.
    """
    tensors = {f"model.{name}": array for name, array in training.model.state().items()}
    tensors |= {f"optimizer.{name}": array for name, array in training.optimizer.state().items()}
    if training.average is not None:
        tensors |= {f"average.{name}": array for name, array in training.average.state().items()}
    tensors |= {f"history.{name}": array for name, array in training.history.state().items()}
    callbacks = []
    for i, (kind, state) in enumerate(training.state.callback_states()):
        arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        tensors |= {f"callback.{i}.{name}": array for name, array in arrays.items()}
        callbacks.append({"kind": kind, "values": {name: state[name] for name in state if name not in arrays}})
    for callback in callbacks:
        try:
            json.dumps(callback["values"])
        except (TypeError, ValueError) as error:
            raise TypeError(f"Trainer: the state of {callback['kind']} must be arrays and JSON: {error}") from error
    state = {
        "run": None if training.run is None else training.run.to_json(),
        "optimizer": {
            **_kind(training.optimizer),
            **{name: optimizer.lr for name, optimizer in rates(training.optimizer).items()},
        },
        "generators": {
            "default": random.state(random.generator()),
            "layers": {path: random.state(layer.rng) for path, layer in random_layers(training.model).items()},
        },
        "callbacks": callbacks,
        "settings": training.state.settings,
    }
    learnt = training.loss.observed() if isinstance(training.loss, Loss) else {}
    if learnt:
        state["loss"] = learnt
    return tensors, {**training.model.metadata(), "format": FORMAT, "state": json.dumps(state)}


def unpack(training: Training, content: Content) -> None:
    """Bring a training to where `pack` saw it; the states of the callbacks wait in it for the next `fit`.

    Everything is checked first: on any error all is as it was. Raises ValueError or TypeError that names what is not
    that of a checkpoint, or not that of this model and optimiser.
    """
    tensors, metadata = content
    found = metadata.get("format")
    if found != FORMAT:
        if found is None:
            found = "none; one of an older minidl" if "history" in metadata else "none; for weights alone: Model.load"
        raise ValueError(f"no checkpoint that this version can read: the format must be {FORMAT!r}, got {found}")
    mean, std = training.model.statistics(metadata)
    parts = _split(tensors)
    history = History.from_state(parts["history"])
    try:
        state = json.loads(metadata["state"])
        position = None if state["run"] is None else Position.from_json(state["run"])
        default = random.from_state(state["generators"]["default"])
        layers = {str(path): random.from_state(value) for path, value in state["generators"]["layers"].items()}
        kind = {name: state["optimizer"][name] for name in ("kind", "slots")}
        inner = [name for name in rates(training.optimizer) if name in state["optimizer"]]  # 0.1.0 has none of those
        saved = {name: _rate(name, state["optimizer"][name]) for name in {"lr", *inner}}
        was = {str(name): str(text) for name, text in dict(state.get("settings", {})).items()}
        learnt = dict(state.get("loss", {}))
        states = [(str(entry["kind"]), dict(entry["values"])) for entry in state["callbacks"]]
        for name, array in parts["callback"].items():
            number, _, rest = name.partition(".")
            states[int(number)][1][rest] = array
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"its state is damaged: {error}") from error
    mine = random_layers(training.model)
    if set(mine) != set(layers):
        names, given = (", ".join(sorted(each)) or "none" for each in (layers, mine))
        raise ValueError(f"layers with a generator of their own must be {names}, as in the checkpoint, got {given}")
    for path, layer in mine.items():
        _check_generator(f"the generator of {layer.who}", layer.rng, layers[path])
    _check_generator("minidl's default generator", random.generator(), default)
    mine_now = settings(training)
    with unchanged_on_error(training, deep=False):
        if isinstance(training.loss, Loss):
            training.loss.load_observed(learnt)
        _load(training, kind, parts)
    # From here on nothing can fail.
    training.model.rescale(mean, std)
    # A rate that the script has changed since the file was written holds, as all its settings do.
    left = []
    for name, optimizer in rates(training.optimizer).items():
        same = name in saved and was.get(name, mine_now[name]) == mine_now[name]
        if same:
            optimizer.lr = saved[name]
        left.append(optimizer.lr if same else math.nan)
    training.state = State(history, position, training.validation, waiting=states, settings=was, rates=tuple(left))
    # In place: layers may share one generator.
    random.generator().bit_generator.state = default.bit_generator.state
    for path, layer in mine.items():
        layer.rng.bit_generator.state = layers[path].bit_generator.state


def _rate(name: str, value: Any) -> float:
    return checks.real("optimizer", name, value, "at least 0", lambda rate: rate >= 0)


def _split(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Tensors by the part before the first point of their name."""
    parts: dict[str, dict[str, np.ndarray]] = {
        part: {} for part in ("model", "optimizer", "average", "history", "callback")
    }
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise ValueError(f"tensor {name} must belong to one of {', '.join(parts)}")
        parts[part][rest] = array
    return parts


def _kind(optimizer: Any) -> dict[str, Any]:
    """Class and slots; of an optimiser around another one both classes, and the inner one's slots."""
    if hasattr(optimizer, "optimizer"):
        inner = _kind(optimizer.optimizer)
        return {**inner, "kind": f"{type(optimizer).__name__} of {inner['kind']}"}
    return {"kind": type(optimizer).__name__, "slots": list(getattr(optimizer, "slot_names", ()))}


def _load(training: Training, kind: dict[str, Any], parts: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Set model, optimiser and average, or none of them."""
    before = Snapshot(training.model, training.optimizer)
    shapes = {name: array.shape for name, array in training.model.state().items()}
    training.model.load_state(parts["model"])
    try:
        given = _kind(training.optimizer)
        if kind != given:
            was, now = (f"{k['kind']} with slots {', '.join(map(str, k['slots'])) or 'none'}" for k in (kind, given))
            raise ValueError(f"the optimizer must be {was}, as in the checkpoint, got {now}")
        if training.average is None and parts["average"]:
            raise ValueError("it has averaged weights, which need Trainer(average=minidl.WeightAverage())")
        if training.average is not None and not parts["average"]:
            raise ValueError("it has no averaged weights, so average of the Trainer must be None")
        for part in ("optimizer", "average"):
            for name, array in parts[part].items():
                owner = name.rpartition(".")[0]
                if owner and shapes.get(owner) != array.shape:
                    rule = f"must have shape {shapes[owner]}" if owner in shapes else "belongs to no parameter"
                    raise ValueError(f"the {part}'s {name} {rule}, got {array.shape}")
        training.optimizer.load_state(parts["optimizer"])
        if training.average is not None:
            training.average.load_state(parts["average"])
    except BaseException:
        before.restore()
        raise


def _check_generator(what: str, mine: np.random.Generator, saved: np.random.Generator) -> None:
    was, given = type(saved.bit_generator).__name__, type(mine.bit_generator).__name__
    if was != given:
        raise ValueError(f"{what} must be a {was}, as in the checkpoint, got a {given}")
