"""Operators that move numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import layers
from minidl.kernels import resizing
from minidl.layers.node import Node
from minidl.onnx.build import Build, Function, Value, Values
from minidl.onnx.computed import bounds, parts
from minidl.onnx.constant import Constant, of_each
from minidl.onnx.read import BATCH, Operator
from minidl.onnx.refused import Refused
from minidl.onnx.views import View, transposed

ENDLESS = 2**31 - 1
"""From this number on the end of a slice stands for the end of whatever is there."""


def one_axis(axis: int, ndim: int, name: str = "axis") -> int:
    """An axis of the image, from 1 on. N is none."""
    if not -ndim <= axis < ndim:
        raise Refused(name, f"{name} must be one of {ndim} dimensions, got {axis}")
    if axis % ndim == 0:
        raise Refused(name, f"{name} must not be that of the images, 0")
    return axis % ndim


def shape(build: Build, operator: Operator, x: Values) -> Any:
    """The shape as a constant."""
    have = build.shape(x[0])
    cut = slice(operator.get("start", 0), operator.get("end"))
    return of_each(lambda n: np.array((n, *have)[cut], np.int64))


def size(build: Build, operator: Operator, x: Values) -> Any:
    """How many numbers, as a constant."""
    count = math.prod(build.shape(x[0]))
    return of_each(lambda n: np.array(n * count, np.int64))


def reshape(build: Build, operator: Operator, x: Values) -> Any:
    """The same numbers in another shape that begins with N."""
    have = build.shape(x[0])
    if len(x) > 1:
        if not isinstance(x[1], Constant):
            raise Refused("shape", "the shape must be a constant")
        given = list(x[1].sizes())
    else:
        given = list(operator.get("shape") or ())
    operator.get("consumed_inputs")
    if not operator.get("allowzero", 0):
        for i, each in enumerate(given):
            if each == 0:
                if i > len(have):
                    raise Refused("shape", f"0 stands for a size that the input (N, {have}) does not have")
                given[i] = None if i == 0 else have[i - 1]
    if not given:
        raise Refused("shape", "the shape must begin with the number of images")
    first, rest = given[0], given[1:]
    if any(each is None or each < -1 for each in rest) or rest.count(-1) + (first == -1) > 1:
        raise Refused("shape", f"the number of images must come first, got {_said(given)}")
    sizes = [int(each or 0) for each in rest]
    count = math.prod(have)
    if -1 in sizes:
        known = math.prod(each for each in sizes if each != -1)
        if known == 0 or count % known:
            raise Refused("shape", f"images of shape {have} do not fit {_said(given)}")
        sizes[sizes.index(-1)] = count // known
    # A first size of -1, or the number that the file is made for, is N where the rest is one image.
    if first not in (None, -1, build.batch) or math.prod(sizes) != count:
        raise Refused("shape", f"each image must stay by itself: (N, {have}) as {_said(given)}")
    return build.reshaped(x[0], tuple(sizes))


def _said(sizes: list[int | None]) -> str:
    return "(" + ", ".join("N" if each is None else str(each) for each in sizes) + ")"


def flatten(build: Build, operator: Operator, x: Values) -> Any:
    """Each image as a row."""
    have = build.shape(x[0])
    axis = operator.get("axis", 1)
    if axis not in (1, -len(have)):
        raise Refused("axis", f"each image must stay by itself: axis must be 1, got {axis}")
    return build.reshaped(x[0], (math.prod(have),))


def squeeze(build: Build, operator: Operator, x: Values) -> Any:
    """Without axes of size 1."""
    have = build.shape(x[0])
    axes = build.given(operator, x, 1, "axes")
    if axes is None:
        axes = [i + 1 for i, each in enumerate(have) if each == 1]
    gone = {one_axis(axis, len(have) + 1, "axes") for axis in axes}
    if any(have[axis - 1] != 1 for axis in gone):
        raise Refused("axes", f"only sizes of 1 can be left out, got axes {axes} of (N, {have})")
    return build.reshaped(x[0], tuple(each for i, each in enumerate(have) if i + 1 not in gone))


def unsqueeze(build: Build, operator: Operator, x: Values) -> Any:
    """With new axes of size 1."""
    have = list(build.shape(x[0]))
    axes = build.given(operator, x, 1, "axes", [])
    ndim = len(have) + 1 + len(axes)
    new = sorted({one_axis(axis, ndim, "axes") for axis in axes})
    if len(new) != len(axes):
        raise Refused("axes", f"axes must differ, got {axes}")
    for axis in new:
        have.insert(axis - 1, 1)
    return build.reshaped(x[0], tuple(have))


def transpose(build: Build, operator: Operator, x: Values) -> Any:
    """Axes in another order; N stays the first."""
    ndim = len(build.shape(x[0])) + 1
    perm = operator.get("perm") or tuple(reversed(range(ndim)))
    if sorted(perm) != list(range(ndim)):
        raise Refused("perm", f"perm must be an order of {ndim} axes, got {perm}")
    if perm[0] != 0:
        raise Refused("perm", f"the images must stay the first axis, got {perm}")
    value = x[0]
    assert isinstance(value, (Node, View))
    return transposed(value, tuple(axis - 1 for axis in perm[1:]))


def concat(build: Build, operator: Operator, x: Values) -> Any:
    """Concat."""
    have = build.shape(x[0])
    axis = one_axis(operator.get("axis", 1), len(have) + 1)
    if len(x) == 1:
        return x[0]
    return layers.Concat(axis)(*(build.node(value) for value in x))


def split(build: Build, operator: Operator, x: Values) -> Any:
    """Split."""
    have = build.shape(x[0])
    axis = one_axis(operator.get("axis", 0), len(have) + 1)
    sizes = build.given(operator, x, 1, "split")
    count = operator.many
    if operator.get("num_outputs", count) != count:
        raise Refused("num_outputs", f"it must be that of the outputs, {count}, got {operator.get('num_outputs')}")
    if sizes is None:
        whole = have[axis - 1]
        step = -(-whole // count)
        sizes = [step] * (count - 1) + [whole - step * (count - 1)]
    if len(sizes) < len(operator.outputs):
        raise Refused("split", f"there must be a size for each output, got {sizes}")
    if len(sizes) == 1:
        if sizes[0] != have[axis - 1]:
            raise Refused("split", f"the sizes must add up to {have[axis - 1]}, got {sizes}")
        return x[0]
    return list(layers.Split(tuple(sizes), axis)(build.node(x[0])))


def cut(build: Build, operator: Operator, x: Values) -> Any:
    """Slice."""
    have = build.shape(x[0])
    for value in x[1:]:
        if value is not None:
            build.array(value, "starts, ends, axes and steps")
    arrays = [value.arrays[0] if isinstance(value, Constant) else None for value in x[1:]]
    found = parts(operator, (BATCH[0], *have), *arrays)
    if 0 in found and not _all_images(found.pop(0), build.batch):
        raise Refused("axes", "images cannot be left out")
    cuts = []
    for axis, part in sorted(found.items()):
        kept = bounds(part, have[axis - 1])
        if (kept.start, kept.stop, kept.step) != (0, have[axis - 1], 1):
            cuts.append((axis, kept.start, kept.stop, kept.step))
    if not cuts:
        return x[0]
    axes, starts, stops, steps = zip(*cuts)
    if len(cuts) == 1:
        return layers.Slice(starts[0], stops[0], steps[0], axes[0])(build.node(x[0]))
    return layers.Slice(starts, stops, steps, axes)(build.node(x[0]))


def _all_images(part: slice, batch: int | None) -> bool:
    """Whether a slice is that of all images, however many: up to the largest number, or the number that a file says."""
    first, last = int(part.start), part.stop
    begins = first == 0 or first <= -ENDLESS or (batch is not None and first == -batch)
    return begins and last is not None and (last >= ENDLESS or last == batch) and part.step == 1


def gather(build: Build, operator: Operator, x: Values) -> Any:
    """Slice, for places at equal distances; Upsample, for those of the nearest pixels; else slices put together."""
    have = build.shape(x[0])
    axis = one_axis(operator.get("axis", 0), len(have) + 1)
    array = build.array(x[1], "indices")
    whole = have[axis - 1]
    places = [int(place) for place in array.ravel()] if array.dtype.kind in "iu" else []
    if not places or any(not -whole <= place < whole for place in places):
        raise Refused("indices", f"indices must be places of {whole}, got {array.dtype} of shape {array.shape}")
    places = [place % whole for place in places]
    node: Any = build.node(x[0])
    if len(places) != whole or places != list(range(whole)):  # a list of the file's length, not of the image's
        node = _picked(node, axis, places)
    return build.reshaped(node, (*have[: axis - 1], *array.shape, *have[axis:]))


MOST_PIECES = 64
"""Slices that one Gather may become."""


def _picked(node: Node, axis: int, places: list[int]) -> Any:
    pieces = _pieces(places)
    if len(pieces) > 1 and axis > 1 and len(node.shape) == 3:
        nearest = _nearest(node.shape[axis - 1], places)
        if nearest is not None:
            size = list(node.shape[1:])
            size[axis - 2] = len(places)
            return layers.Upsample(size=tuple(size), coordinates=nearest[0], rounding=nearest[1])(node)
    if len(pieces) > MOST_PIECES:
        rule = f"indices must be those of nearest pixels, or at most {MOST_PIECES} pieces at equal distances"
        raise Refused("indices", f"{rule}, got {len(pieces)}")
    cuts = []
    for first, last, step in pieces:
        stop = last + (1 if step > 0 else -1)
        cuts.append(layers.Slice(first, None if stop < 0 else stop, step, axis)(node))
    return cuts[0] if len(cuts) == 1 else layers.Concat(axis)(*cuts)


def _pieces(places: list[int]) -> list[tuple[int, int, int]]:
    """First, last and step of what follows each other at equal distances."""
    found: list[tuple[int, int, int]] = []
    i = 0
    while i < len(places):
        step = places[i + 1] - places[i] if i + 1 < len(places) else 0
        end = i
        while step and end + 1 < len(places) and places[end + 1] - places[end] == step:
            end += 1
        found.append((places[i], places[end], step or 1))
        i = end + 1
    return found


def _nearest(size: int, places: list[int]) -> tuple[str, str] | None:
    """Coordinates and rounding by which the places are the nearest ones of so many."""
    for coordinates in resizing.COORDINATES:
        for rounding in resizing.ROUNDINGS:
            index, _ = resizing.nearest(size, len(places), None, coordinates, rounding)
            if index[:, 0].tolist() == places:
                return coordinates, rounding
    return None


def expand(build: Build, operator: Operator, x: Values) -> Any:
    """Upsample of pixels, rows or others of which there is one along an axis."""
    have = build.shape(x[0])
    if not isinstance(x[1], Constant):
        raise Refused("shape", "the shape must be a constant")
    given = x[1].sizes()
    sizes: list[int | None] = [*[1] * (len(have) + 1 - len(given)), *given]
    if len(sizes) != len(have) + 1 or sizes[0] not in (None, 1, build.batch):
        raise Refused("shape", f"the number of images and dimensions must stay, got {_said(sizes)}")
    if None in sizes[1:]:
        raise Refused("shape", f"the number of images must come first, got {_said(sizes)}")
    wanted = tuple(a if b == 1 or b is None else b for a, b in zip(have, sizes[1:]))
    if wanted == have:
        return x[0]
    if len(have) == 3 and have[1:] == (1, 1) and wanted[0] == have[0]:
        return layers.Upsample(size=(wanted[1], wanted[2]))(build.node(x[0]))
    value: Value | None = x[0]
    now = list(have)
    for axis, size in enumerate(wanted):
        if size != now[axis]:
            if now[axis] != 1:
                raise Refused("shape", f"only sizes of 1 can be made larger, got (N, {have}) to {_said(sizes)}")
            before, behind = math.prod(now[:axis]), math.prod(now[axis + 1 :])
            row = build.node(build.reshaped(value, (before, 1, behind)))
            now[axis] = size
            value = build.reshaped(layers.Upsample(size=(size, behind))(row), tuple(now))
    return value


def depth_to_space(build: Build, operator: Operator, x: Values) -> Any:
    """PixelShuffle."""
    mode = operator.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise Refused("mode", f"mode must be DCR or CRD, got {mode!r}")
    return layers.PixelShuffle(operator.get("blocksize", 0), mode.lower())(build.node(x[0]))


def space_to_depth(build: Build, operator: Operator, x: Values) -> Any:
    """PixelUnshuffle."""
    mode = operator.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise Refused("mode", f"mode must be DCR or CRD, got {mode!r}")
    return layers.PixelUnshuffle(operator.get("blocksize", 0), mode.lower())(build.node(x[0]))


OPERATORS: dict[str, tuple[int, Function]] = {
    "Concat": (1, concat),
    "DepthToSpace": (1, depth_to_space),
    "Expand": (8, expand),
    "Flatten": (1, flatten),
    "Gather": (1, gather),
    "Reshape": (1, reshape),
    "Shape": (1, shape),
    "Size": (1, size),
    "Slice": (1, cut),
    "SpaceToDepth": (1, space_to_depth),
    "Split": (1, split),
    "Squeeze": (1, squeeze),
    "Transpose": (1, transpose),
    "Unsqueeze": (1, unsqueeze),
}
"""Operators of this file, and the version from which on they are read."""
