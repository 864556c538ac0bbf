"""A model out of a file that was opened on the page: its layers, shapes, receptive fields, times."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np

from minidl.checks.layer_times import layer_times
from minidl.layers import Conv2D, Linear
from minidl.layers.input_shapes import input_shapes, known_shape
from minidl.layers.summary import summary
from minidl.layers.walk import places
from minidl.live.layer_list import VALUES, sizes
from minidl.live.looks import pictured
from minidl.live.packed import images, numbers
from minidl.model import Model
from minidl.networks.load import load_model
from minidl.plots.boxes import network_boxes
from minidl.plots.layered import Layered

SIDES = (28, 32, 64, 224, 96, 128)
"""Sides of images that are tried where a file does not tell the shape of its input."""
GAP = 0.3
"""Inches between the boxes of the graph."""
BEST = 5
"""So many classes of a picture are told."""


KINDS = "a model that Model.save has written (.safetensors) or an ONNX file (.onnx)"
FOREIGN = {
    b"\x89PNG": "a picture: open a network first, then run it on pictures",
    b"\xff\xd8\xff": "a picture: open a network first, then run it on pictures",
    b"PK\x03\x04": "an archive, perhaps of PyTorch or Keras: export the network to ONNX there",
    b"\x89HDF": "an HDF5 file, perhaps of Keras: export the network to ONNX there",
}
"""What some files are that may be taken for models, by their first bytes."""


STREAM = "of the page"


class Stream(io.BytesIO):
    """A file's bytes under a name that no file has: what errors begin with."""

    name = STREAM


def read(content: bytes, name: str) -> Model:
    """The network in a file's bytes. Raises ValueError in one line that names the file and is for its owner."""
    who = repr(name[-100:])
    foreign = FOREIGN.get(content[:4]) or FOREIGN.get(content[:3])
    if foreign is not None:
        raise ValueError(f"{who} is {foreign}")
    onnx_file = name.lower().endswith(".onnx")
    # Of safetensors the first 8 bytes are the size of a JSON object that begins behind them.
    if not content or not (onnx_file or content[8:9] == b"{"):
        what = "is empty" if not content else "is no model's file"
        raise ValueError(f"{who} {what}: it must be {KINDS}")
    length = int.from_bytes(content[:8], "little")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if onnx_file:
                from minidl import onnx

                return onnx.load(content)
            return load_model(Stream(content))
    except ValueError as error:
        if not onnx_file and length > len(content) - 8:
            why = "it is cut off: load the whole file down again, or copy it again"
        elif not onnx_file and b'"architecture"' not in content[: 8 + length]:
            why = "it has weights alone and not the network that they are of; Model.save writes both"
        else:
            why = str(error)
            for inner in ("load_model: ", f"safetensors file {STREAM!r}", "ONNX bytes"):
                why = why.removeprefix(inner)
            why = why.lstrip(":, ")
        raise ValueError(f"{who} cannot be opened: {why}") from error


class FileModel:
    """The network in a file's bytes, of minidl or ONNX. name: of the file, whose ending says which.

    Raises ValueError in one line for what is no such file, ImportError where ONNX files need the package onnx.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name[-100:]
        found = read(content, name)
        if found.merges or found.outputs > 1:
            raise ValueError(f"{self.name!r} has several inputs or outputs: this page takes networks with one of each")
        self.model = found
        self.shape: tuple[int, ...] = self._guess()

    def _guess(self) -> tuple[int, ...]:
        """The shape of an image: what the model knows, or the first that goes through."""
        known = known_shape(self.model)
        if known is not None:
            return tuple(known)
        layers = list(places(self.model).values())
        channels = next((layer.in_channels for layer in layers if isinstance(layer, Conv2D)), 1)
        tried: list[tuple[int, ...]] = [(channels, side, side) for side in SIDES]
        tried += [(layer.weight.data.shape[1],) for layer in layers if isinstance(layer, Linear)][:1]
        rows = [shape[0] for shape in tried if len(shape) == 1]
        tried += [(row // side**2, side, side) for row in rows for side in SIDES[:2] if row % side**2 == 0]
        for shape in sorted(tried, key=len, reverse=True):
            try:
                self.model.output_shape(shape)
                return shape
            except (ValueError, TypeError, IndexError):
                continue
        return tried[0]

    def told(self, shape: Any) -> dict[str, Any]:
        """The graph, and a row for each step of a prediction with its time on this machine.

        shape: of one image, a list of sizes; None for the one that is known or guessed. Raises ValueError that names
        the layer where the network cannot take it.
        """
        wanted = self.shape
        if shape is not None:
            if not isinstance(shape, list) or not all(type(size) is int and 0 < size <= 4096 for size in shape):
                raise ValueError("the sizes of an image must be whole numbers from 1 to 4096, such as 3, 224, 224")
            if len(shape) not in (1, 3):
                rule = "three sizes (channels, height, width) or one (a row of numbers)"
                raise ValueError(f"an image must have {rule}, got {len(shape)}")
            wanted = tuple(shape)
        if math.prod(wanted) > VALUES:
            raise ValueError(f"an image may have {VALUES:,} numbers here, {sizes(wanted)} are {math.prod(wanted):,}")
        input_shapes("the network", self.model, wanted)
        self.shape = wanted
        model = self.model
        table: Any = summary(model, self.shape)
        for row in table.rows:  # before anything of that size is made
            for shown in row[2].split(", "):
                count = math.prod(int(size) for size in shown.split(" x ") if size)
                if count > VALUES:
                    raise ValueError(f"{row[1]}: one image becomes {count:,} numbers, this page takes {VALUES:,}")
        columns = [i for i in range(len(table.head)) if any(row[i] for row in table.rows)]
        times = layer_times(model, np.zeros((1, *self.shape), np.uint8))
        count = sum(parameter.data.size for parameter in model.named_parameters().values())
        return {
            "name": self.name,
            "shape": list(self.shape),
            "weights": count,
            "work": model.multiply_adds(self.shape),
            "head": [table.head[i] for i in columns],
            "layers": [[row[i] for i in columns] for row in table.rows],
            "times": [
                {
                    "places": list(t.places),
                    "kinds": list(t.kinds),
                    "shape": list(t.shape[1:]),
                    "us": numbers(1e6 * t.seconds),
                }
                for t in times
            ],
            "graph": self._graph(),
            "classes": None if model.class_names is None else list(model.class_names),
        }

    def _graph(self) -> dict[str, Any]:
        """Boxes with their places in inches, and the ways between them."""
        boxes = network_boxes(self.model, self.shape)
        plan = Layered([box.width for box in boxes], [(a, b) for b, box in enumerate(boxes) for a in box.reads], GAP)
        heights = [max([boxes[item].height for item in row if item < plan.boxes] or [0.0]) for row in plan.rows]
        tops = np.concatenate([[0.0], np.cumsum([height + GAP for height in heights])])
        y = [float(tops[row] + heights[row] / 2) for row in plan.row]
        left = min(float(x) - width / 2 for x, width in zip(plan.x, plan.widths))
        told = [
            {
                "kind": box.kind,
                "lines": [f"{place} {text}".strip() for place, text in box.lines],
                "shape": box.shape,
                "x": numbers(float(plan.x[i]) - left),
                "y": numbers(y[i]),
                "w": numbers(box.width),
                "h": numbers(box.height),
            }
            for i, box in enumerate(boxes)
        ]
        ways = [[[numbers(float(plan.x[item]) - left), numbers(y[item])] for item in way] for way in plan.ways]
        return {"boxes": told, "ways": ways}

    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture for it; ValueError where it takes none."""
        if len(self.shape) != 3 or self.shape[0] not in (1, 3):
            raise ValueError(f"a picture has 1 or 3 channels, this network takes {sizes(self.shape)}: no picture")
        return self.shape[0], self.shape[1], self.shape[2]

    def run(self, image: np.ndarray) -> dict[str, Any]:
        """What the network says of an image (C, H, W), and its maps in every layer."""
        model = self.model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = model.predict_proba(image[None])[0]
            layers = pictured(model, image)
        told: dict[str, Any] = {"pixels": images(image), "layers": layers}
        if scores.ndim == 1:
            best = np.argsort(-scores, kind="stable")[:BEST]
            names = model.class_names
            told["best"] = [[str(i) if names is None else names[i], numbers(float(scores[i]))] for i in best.tolist()]
        return told
