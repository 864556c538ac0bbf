"""Where the time of a prediction goes."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels import checks
from minidl.layers.base import Layer
from minidl.layers.fused import Block
from minidl.model import Model, as_images
from minidl.support.several import Several, Shape


class LayerTime(NamedTuple):
    """One step of a prediction. places, kinds: of its layers, several where the backend merges neighbours.

    shape: of its output, batch included; of several outputs as (N, shape, shape, ...). seconds: how long it takes.
    """

    places: tuple[str, ...]
    kinds: tuple[str, ...]
    shape: Shape
    seconds: float


def layer_times(model: Model, x: Any, repeats: int = 5) -> list[LayerTime]:
    """How long each step of a prediction takes, one after the other and in this order; the smallest of some repeats.

    x: one batch (N, C, H, W) or (N, F), uint8 or float, a list of them for several inputs. The steps are what the
    current backend runs: a convolution and its Relu are one where it merges them. Entering and leaving the backend's
    layout do not count. `Model.predict` of few images may run the layers as one program instead, see `compile_info`,
    and then takes less than their sum. Raises TypeError or ValueError that names the layer or argument for what does
    not fit.
    """
    if not isinstance(model, Model):
        raise TypeError(f"layer_times: model must be a minidl.Model, got {type(model).__name__}")
    repeats = checks.integer("layer_times", "repeats", repeats, 1)
    images = None if model.merges else as_images(model.who, "input", x)
    entered = model._enter_several(x, True) if images is None else model._enter(images, True)
    model.infer(entered)  # checks shapes, and touches all memory once
    plan = model._plan()
    steps: list[tuple[Layer, Shape]] = []
    ends: list[float] = []

    def done(node: Layer, y: Any) -> None:
        ends.append(time.perf_counter())
        steps.append((node, tuple((Several(y) if isinstance(y, tuple) else y).shape)))

    seconds = []
    for _ in range(repeats):
        steps.clear()
        ends[:] = [time.perf_counter()]
        plan.infer(entered, done)
        seconds.append(np.diff(ends))
    return [_named(plan.places, *step, float(least)) for step, least in zip(steps, np.min(seconds, axis=0))]


def _named(places: dict[int, str], node: Layer, shape: Shape, seconds: float) -> LayerTime:
    """The step as users read it: by the layers that a block stands for."""
    layers = node.layers if isinstance(node, Block) else [node]
    return LayerTime(
        tuple(places.get(id(layer), "") for layer in layers),
        tuple(type(layer).__name__ for layer in layers),
        shape,
        seconds,
    )
