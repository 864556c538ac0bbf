"""Images taken apart, put together and rearranged: for each way, the checks, the output's shape and the table of boxes.

Shapes are those of images, without N; axes are counted with it, so that axis 1 is the channels'. Every function raises
ValueError or TypeError that names `who`, the value and the rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels import boxes, checks
from minidl.kernels.boxes import Run

Shape = tuple[int, ...]
Plan = tuple[Shape, np.ndarray]
"""The output's shape, and its boxes."""
Padding = tuple[int, int, int, int]
"""top, left, bottom, right"""

PAD_MODES = ("constant", "reflect", "edge", "wrap")

ORDERS = {"crd": ((0, 3, 1, 4, 2), (0, 2, 4, 1, 3)), "dcr": ((2, 3, 0, 4, 1), (2, 4, 0, 1, 3))}
"""How axes go from channels to pixels and back: in "crd" a pixel's values lie side by side, in "dcr" the colours do."""


def concat(who: str, shapes: Sequence[Shape], axis: int) -> Plan:
    """Images side by side along an axis; all other sizes are equal."""
    if not shapes:
        raise ValueError(f"{who}: there must be at least 1 input")
    place = _axis(who, axis, len(shapes[0]))
    rest = [(*shape[:place], *shape[place + 1 :]) for shape in shapes]
    for shape, others in zip(shapes, rest):
        if len(shape) != len(shapes[0]) or others != rest[0]:
            raise ValueError(
                f"{who}: images must have equal sizes on all axes but {axis}, got {tuple(shapes[0])} and {tuple(shape)}"
            )
    out = list(shapes[0])
    out[place] = sum(shape[place] for shape in shapes)
    return tuple(out), boxes.joined(shapes, place)


def split(who: str, shape: Shape, sections: int | Sequence[int], axis: int) -> list[Plan]:
    """The parts of an image along an axis: so many equal ones, or of these sizes, in order."""
    place = _axis(who, axis, len(shape))
    size = shape[place]
    if isinstance(sections, int):
        sizes, rule = [size // sections] * min(sections, size), "divide"
    else:
        sizes, rule = list(sections), "add up to"
    if sum(sizes) != size or not size:
        raise ValueError(f"{who}: sections must {rule} the input's {size} places on axis {axis}, got {sections}")
    plans, start = [], 0
    for size in sizes:
        runs = [[(s, 0, 1)] for s in shape]
        runs[place] = [(size, start, 1)]
        plans.append(((*shape[:place], size, *shape[place + 1 :]), boxes.picked(shape, runs)))
        start += size
    return plans


def sliced(who: str, shape: Shape, parts: Sequence[tuple[int | None, int | None, int]], axes: Sequence[int]) -> Plan:
    """The places start:stop:step, as Python counts them, of some axes."""
    indices = [range(size) for size in shape]
    for part, axis in zip(parts, axes, strict=True):
        place = _axis(who, axis, len(shape))
        indices[place] = range(shape[place])[slice(*part)]
        if not indices[place]:
            text = ":".join("" if number is None else str(number) for number in part)
            raise ValueError(f"{who}: {text} must leave something of axis {axis}, which has {shape[place]}")
    return tuple(map(len, indices)), boxes.picked(shape, list(map(boxes.runs_of, indices)))


def padded(who: str, shape: Shape, padding: Padding, mode: str) -> Plan:
    """Images (C, H, W) with rows and columns around them, or without some where padding is negative."""
    _maps(who, shape)
    runs, out = [boxes.runs_of(range(shape[0]))], [shape[0]]
    for name, size, before, behind in zip(("height", "width"), shape[1:], padding[:2], padding[2:]):
        if size < 1 or size + min(before, behind, before + behind) < 1:
            raise ValueError(f"{who}: padding must leave something of the {name} {size}, got {before} and {behind}")
        most = {"reflect": size - 1, "wrap": size}.get(mode)
        if most is not None and max(before, behind) > most:
            rule = f'at most {most} for mode "{mode}" and the {name} {size}'
            raise ValueError(f"{who}: padding must be {rule}, got {before} and {behind}")
        runs.append(_around(size, before, behind, mode))
        out.append(size + before + behind)
    checks.check_elements(who, tuple(out))
    return tuple(out), boxes.picked(shape, runs)


def _around(size: int, before: int, behind: int, mode: str) -> list[Run]:
    """What stands from place -before to size + behind of an axis: outside, inside, outside."""
    parts = {
        "constant": ((-1, 0), (-1, 0)),
        "edge": ((0, 0), (size - 1, 0)),
        "wrap": ((size - before, 1), (0, 1)),
        "reflect": ((before, -1), (size - 2, -1)),
    }
    low, high = parts[mode]
    inside = max(-before, 0), min(size + behind, size)
    runs = [(before, *low)] if before > 0 else []
    if inside[0] < inside[1]:
        runs.append((inside[1] - inside[0], inside[0], 1))
    return [*runs, (behind, *high)] if behind > 0 else runs


def transposed(who: str, shape: Shape, axes: Sequence[int]) -> Plan:
    """Axis number i is axis axes[i] of the input; axes[0], N, is 0."""
    if len(axes) != len(shape) + 1:
        raise ValueError(f"{who}: input must have {len(axes)} dimensions, one for each of axes, got {len(shape) + 1}")
    order = [axis - 1 for axis in axes[1:]]
    return tuple(shape[axis] for axis in order), boxes.permuted(shape, order)


def pixel_shuffled(who: str, shape: Shape, factor: int, order: str) -> Plan:
    """(C r^2, H, W) -> (C, H r, W r)."""
    _maps(who, shape)
    C, H, W = shape
    if C % factor**2 or not C:
        raise ValueError(f"{who}: channels must be divisible by factor^2 = {factor**2}, got {C}")
    C //= factor**2
    parts = (C, factor, factor, H, W) if order == "crd" else (factor, factor, C, H, W)
    return (C, H * factor, W * factor), boxes.permuted(parts, ORDERS[order][0])


def pixel_unshuffled(who: str, shape: Shape, factor: int, order: str) -> Plan:
    """(C, H r, W r) -> (C r^2, H, W), the way back."""
    _maps(who, shape)
    C, H, W = shape
    if H % factor or W % factor:
        raise ValueError(f"{who}: height and width must be divisible by factor {factor}, got {H} and {W}")
    H, W = H // factor, W // factor
    return (C * factor**2, H, W), boxes.permuted((C, H, factor, W, factor), ORDERS[order][1])


def channel_shuffled(who: str, shape: Shape, groups: int) -> Plan:
    """Channel k of group g, of so many, becomes channel g of group k."""
    if not shape or shape[0] % groups:
        raise ValueError(f"{who}: channels must be divisible by groups {groups}, got an image of shape {tuple(shape)}")
    parts = groups, shape[0] // groups, math.prod(shape[1:])
    return tuple(shape), boxes.permuted(parts, (1, 0, 2))


# ---- settings --------------------------------------------------------------------------------------------------------


def axis_setting(who: str, axis: Any) -> int:
    """`axis` as an int of at least 1: images stay apart."""
    return checks.integer(who, "axis", axis, 1)


def sections_setting(who: str, sections: Any) -> int | tuple[int, ...]:
    """A number of parts, or their sizes."""
    if not isinstance(sections, (tuple, list)):
        return checks.integer(who, "sections", sections, 1)
    if not sections:
        raise ValueError(f"{who}: sections must be a number of parts or their sizes, got {sections!r}")
    return tuple(checks.integer(who, "sections", size, 1) for size in sections)


def slice_settings(
    who: str, start: Any, stop: Any, step: Any, axis: Any
) -> tuple[list[tuple[int | None, int | None, int]], tuple[int, ...]]:
    """(start, stop, step) of each axis, and the axes."""
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    checked = tuple(axis_setting(who, one) for one in axes)
    if len(set(checked)) != len(checked) or not checked:
        raise ValueError(f"{who}: axis must be an axis or different ones, got {axis!r}")
    given = {"start": start, "stop": stop, "step": step}
    columns = []
    for name, value in given.items():
        values = value if isinstance(value, (tuple, list)) else (value,) * len(checked)
        if len(values) != len(checked):
            raise ValueError(f"{who}: {name} must have one entry for each axis {checked}, got {value!r}")
        optional = name != "step"
        columns.append([None if v is None and optional else checks.integer(who, name, v, -(2**31)) for v in values])
    if 0 in columns[2]:
        raise ValueError(f"{who}: step must not be 0, got {step!r}")
    return list(zip(*columns)), checked


def padding_setting(who: str, padding: Any) -> Padding:
    """An int for all sides, (h, w), (top, left, bottom, right) or ((top, bottom), (left, right)); negative: cut off."""
    if isinstance(padding, (tuple, list)) and len(padding) == 2 and all(np.ndim(side) == 1 for side in padding):
        padding = [side for pair in zip(*padding) for side in pair]
    values = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 4
    if len(values) not in (2, 4):
        raise ValueError(f"{who}: padding must be an int, (h, w) or (top, left, bottom, right), got {padding!r}")
    top, left, bottom, right = (
        checks.integer(who, "padding", value, -(2**31)) for value in values * (4 // len(values))
    )
    return top, left, bottom, right


def axes_setting(who: str, axes: Any) -> tuple[int, ...]:
    """0, then all other axes in any order."""
    values = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
    order = tuple(checks.integer(who, "axes", axis, 0) for axis in values)
    if order[:1] != (0,) or sorted(order) != list(range(len(order))) or not 2 <= len(order) <= 4:
        raise ValueError(f"{who}: axes must be 0, for N, and then all others of 2 to 4 axes, got {axes!r}")
    return order


def _maps(who: str, shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"{who}: input must have 4 dimensions (N, C, H, W), got {len(shape) + 1}")


def _axis(who: str, axis: int, rank: int) -> int:
    if axis > rank:
        raise ValueError(f"{who}: axis must be at most {rank}, the last of {rank + 1} dimensions, got {axis}")
    return axis - 1
