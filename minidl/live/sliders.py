"""A small convolution whose settings one moves: where its windows lie, what comes out, why a combination cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import Conv2D
from minidl.live.packed import numbers


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> dict[str, Any]:
    """The output of a convolution of a (size, size) picture of whole numbers with a kernel of ones and minus ones.

    {"image", "kernel", "output", "padding", "words"}: output None where the library refuses; "error" is then its line,
    and "words" says it in everyday ones.
    """
    rows = np.arange(size)
    image = np.where(rows[None, :] + rows[:, None] // 3 > size // 2, 9, 1).astype(np.float32)
    told: dict[str, Any] = {"image": numbers(image.astype(int)), "output": None, "error": None}
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * padding
    try:
        layer = Conv2D(1, 1, kernel, stride, padding, dilation, bias=False, init="zeros")
        weight = np.where(np.arange(kernel) < kernel / 2, -1, 1) * np.ones((kernel, 1))
        weight[:, kernel // 2] = 0 if kernel % 2 and kernel > 1 else weight[:, kernel // 2]
        layer.weight.data[0, 0] = weight
        told["kernel"] = numbers(weight.astype(int))
        output = layer.forward(image[None, None])[0, 0]
    except ValueError as error:
        told["error"] = str(error)
        told["words"] = _why(size, kernel, stride, padding, dilation, reach, room)
        return told
    OH = len(output)
    told["output"] = numbers(output.astype(int))
    told["reach"] = checks.extent((kernel, kernel), (dilation, dilation))[0]
    left = room - reach - (OH - 1) * stride
    told["words"] = (
        f"The window covers {reach} pixels of {room} ({size} and {padding} zeros on both sides), so there is room for"
        f" ({room} - {reach}) / {stride} rounded down, plus 1 = {OH} positions in each direction."
    )
    if left:
        told["words"] += f" The last {left} row{'s' * (left > 1)} and column{'s' * (left > 1)} are in no window."
    if stride > reach:
        told["words"] += (
            f" The stride is larger than the window: {stride - reach} pixels between windows are never seen."
        )
    return told


def _why(size: int, kernel: int, stride: int, padding: int, dilation: int, reach: int, room: int) -> str:
    for name, value in (("picture", size), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            return f"The {name} must be at least 1."
    if reach > room:
        gaps = f" (with the gaps of dilation {dilation})" if dilation > 1 else ""
        return (
            f"The window covers {reach} pixels{gaps}, but the picture with its zeros has only {room}: it does not fit"
            " in even once. Take a smaller kernel or dilation, or more padding."
        )
    return "The library refuses this combination."
