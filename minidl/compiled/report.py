"""What compiled predictions hold, and how each layer is computed, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._ext.conv import conv_form
from minidl.compiled.operation import Operation
from minidl.compiled.parts import shapes_of
from minidl.compiled.prediction import Prediction, Unlowered
from minidl.compiled.segment import Foreign
from minidl.compiled.training import Training
from minidl.layers import Conv2D
from minidl.layers.plan import Plan

MOST = 64
"""Images up to which the table says who predicts them."""


def report(key: Any, prediction: Prediction | None) -> str:
    """A table for the prediction kept under this key of `predictions`."""
    images = ", ".join(f"{shape} {dtype}" for shape, dtype in key[0])
    head = f"images {images}, {key[1]} by {key[2]}: "
    if prediction is None:
        return head + "not compiled"
    weights, one = prediction.nbytes()
    if not one:
        return head + "not needed yet: so many images are predicted faster with images in lanes"
    counts = [n for n in range(1, MOST + 1) if prediction.is_faster(n)]
    lines = [
        f"{head}channels in lanes for {_ranges(counts)} of 1 to {MOST} images",
        f"{weights / 1e6:.2f} MB of packed weights, {one / 1e6:.2f} MB an image",
    ]
    for part in prediction.parts:
        if isinstance(part, Foreign):
            lines.append(f"{part.label:<48} by itself, between two programs")
            continue
        lines += [_line(operation) for operation in part.operations]
    return "\n".join(lines)


def ways(
    plan: Plan, shapes: Sequence[tuple[int, ...]], dtype: np.dtype, images: int, train: bool = False
) -> dict[str, str]:
    """Layout and algorithm of each layer by its place, for floats of these shapes, (C, H, W) or (F,) of an image.

    images: how many go through at once. train: in a training step, otherwise in a prediction.
    """
    kinds = [dtype] * len(shapes)
    found = {
        plan.places[id(step.node)]: _with_images(step, (images, *shape), dtype) for step, shape in _reads(plan, shapes)
    }
    try:
        if not plan.compiles:
            return found
        make = Training if train else Prediction
        compiled = make(plan, shapes, dtype, kinds, lambda i: (None, None))
        if not compiled.is_faster(images):
            return found
        compiled.prepare()
    except (Unlowered, TypeError, ValueError):  # as where they are made to be used
        return found
    between = {part.label for part in compiled.parts if isinstance(part, Foreign)}
    found |= {place: "channels" for place in found if place not in between}  # what only sees values in another shape
    for part in compiled.parts:
        for operation in () if isinstance(part, Foreign) else part.operations:
            found |= {place: f"channels, {_how(operation)}" for place in operation.labels if place in found}
    return found


def _reads(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> list[tuple[Any, tuple[int, ...]]]:
    """Each step, and the shape of its first input."""
    known = shapes_of(plan, shapes)
    return [(step, known[step.read if isinstance(step.read, int) else step.read[0]]) for step in plan.layers]


def _with_images(step: Any, shape: tuple[int, ...], dtype: np.dtype) -> str:
    layer = step.node
    if type(layer) is not Conv2D:
        return "images"
    settings = layer.stride, layer.padding, layer.dilation, layer.groups
    return f"images, {conv_form(dtype, shape, layer.weight.values.shape, *settings)}"


def _how(operation: Operation) -> str:
    return operation.algorithm or type(operation).__name__.lower()


def _line(operation: Operation) -> str:
    ending = ("+ relu" if operation.relu else "") + (f"+ {operation.function[0]}" if operation.function else "")
    labels = ", ".join(dict.fromkeys(operation.labels))
    how = _how(operation)
    return f"{_shortened(labels):<48} {operation.y.shape!s:<18} {how} {ending}".rstrip()


def _shortened(text: str) -> str:
    return text if len(text) <= 47 else text[:44] + "..."


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found) or "none"
