"""What a compiled prediction holds, in words."""

from __future__ import annotations

from typing import Any

from minidl.compiled.operation import Operation
from minidl.compiled.prediction import Prediction
from minidl.compiled.segment import Foreign

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


def _line(operation: Operation) -> str:
    ending = ("+ relu" if operation.relu else "") + (f"+ {operation.function[0]}" if operation.function else "")
    labels = ", ".join(dict.fromkeys(operation.labels))
    how = operation.algorithm or type(operation).__name__.lower()
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
