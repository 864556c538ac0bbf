"""A network out of its file, without the script that made it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

from minidl import layers as own_layers
from minidl import safetensors
from minidl.layers.architecture import build
from minidl.layers.base import Layer
from minidl.model import Model
from minidl.model.weights import of_model

SLACK = 1 << 20
"""Elements that the layers may have beyond those of the file's tensors."""


def load_model(path: str | os.PathLike[str] | BinaryIO, layers: Mapping[str, type[Layer]] | None = None) -> Model:
    """The model that `Model.save` or `Trainer.save` has written, with all that its constructor and `freeze` had set.

    path: a file's name or a binary file object. layers: classes of layers that are not minidl's, by the names of the
    classes. The file holds names and settings of layers, never code: only minidl's layers and the given ones are
    called. Generators are not kept: a `Dropout` draws from minidl's default one. Raises OSError if the file cannot be
    read, ValueError that names the file if it is damaged, has no architecture (weights of another program: build the
    model and use `Model.load`), or has layers that are neither minidl's nor given.
    """
    own = dict(layers or {})
    for name, kind in own.items():
        if not isinstance(name, str) or not isinstance(kind, type) or not issubclass(kind, Layer):
            raise TypeError(f"load_model: layers must be classes of layers by name, got {name!r}: {kind!r}")
    tensors, metadata = safetensors.load(path)
    who = f"load_model: {os.fspath(path)!r}" if isinstance(path, (str, os.PathLike)) else "load_model"
    if "architecture" not in metadata:
        why = metadata.get("no architecture")
        reason = f" ({why})" if why else ""
        raise ValueError(f"{who}: it has no architecture{reason}: build the model, and use Model.load for the weights")
    try:
        elements = sum(tensor.size for tensor in of_model(tensors, metadata).values())
        model = build(metadata["architecture"], _find, own, elements + SLACK)
    except ValueError as error:
        raise ValueError(f"{who}: its architecture is damaged, or another's: {error}") from error
    if not isinstance(model, Model):
        raise ValueError(f"{who}: its architecture must be that of a Model, got {type(model).__name__}")
    try:
        model.take(tensors, metadata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{who}: {error}") from error
    return model


def _find(name: str) -> type[Layer] | None:
    if name == "Model":
        return Model
    if name == "CapsuleNetwork":
        from minidl.networks.capsules import CapsuleNetwork

        return CapsuleNetwork
    kind = None if name.startswith("_") else getattr(own_layers, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer else None
