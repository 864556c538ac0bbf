"""Images cut, padded, rearranged, put together and taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.layers.boxes import ChannelShuffle, Pad2D, PixelShuffle, PixelUnshuffle, Slice, Transpose
from minidl.layers.concat import Concat, Split
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes

BEFORE_THE_FIRST = -(2**31) + 1
"""Where a slice ends that runs down to place 0."""


@writes(Concat, operators="Concat")
def concat(draft: Draft, layer: Concat, *x: Value) -> Any:
    """Concat."""
    return draft.add("Concat", *x, axis=layer.axis)


@writes(Split, operators="Split")
def split(draft: Draft, layer: Split, x: Value) -> Any:
    """Split, with the sizes of the parts; nothing for one part."""
    if layer.outputs == 1:
        return x
    size = x.shape[layer.axis - 1]
    equal = [size // layer.outputs] * layer.outputs
    sizes = equal if isinstance(layer.sections, int) else list(layer.sections)
    return draft.add("Split", x, sizes, outputs=layer.outputs, axis=layer.axis)


@writes(Slice, operators="Slice")
def cut(draft: Draft, layer: Slice, x: Value) -> Any:
    """Slice."""
    bounds = [slice(*part).indices(x.shape[axis - 1]) for part, axis in zip(layer._parts, layer._axes)]
    starts, stops, steps = ([bound[i] for bound in bounds] for i in range(3))
    stops = [BEFORE_THE_FIRST if stop < 0 else stop for stop in stops]
    return draft.add("Slice", x, starts, stops, list(layer._axes), steps)


@writes(Pad2D, operators="Pad Slice Concat")
def pad(draft: Draft, layer: Pad2D, x: Value) -> Any:
    """Pad where there is more, Slice where there is less; "wrap", which came with opset 19, by Slice and Concat."""
    top, left, bottom, right = layer.padding
    more = [max(side, 0) for side in layer.padding]
    y: str = x
    if layer.mode == "wrap":
        y = _wrapped(draft, y, 2, x.shape[1], more[0], more[2])
        y = _wrapped(draft, y, 3, x.shape[2], more[1], more[3])
    elif any(more):
        value = layer.value if layer.mode == "constant" else None
        y = draft.add("Pad", y, [0, 0, *more[:2], 0, 0, *more[2:]], value, mode=layer.mode)
    for axis, size, before, behind in ((2, x.shape[1], top, bottom), (3, x.shape[2], left, right)):
        if min(before, behind) < 0:
            start, full = max(-before, 0), size + max(before, 0) + max(behind, 0)
            y = _part(draft, y, axis, start, full + min(behind, 0))
    return y


def _wrapped(draft: Draft, x: str, axis: int, size: int, before: int, behind: int) -> str:
    parts = [_part(draft, x, axis, size - before, size)] if before else []
    parts += [x, _part(draft, x, axis, 0, behind)] if behind else [x]
    return draft.add("Concat", *parts, axis=axis) if len(parts) > 1 else x


def _part(draft: Draft, x: str, axis: int, start: int, stop: int) -> str:
    name: str = draft.add("Slice", x, [start], [stop], [axis])
    return name


@writes(Transpose, operators="Transpose")
def transpose(draft: Draft, layer: Transpose, x: Value) -> Any:
    """Transpose."""
    return draft.add("Transpose", x, perm=layer.axes)


@writes(PixelShuffle, operators="DepthToSpace")
def pixel_shuffle(draft: Draft, layer: PixelShuffle, x: Value) -> Any:
    """DepthToSpace."""
    return draft.add("DepthToSpace", x, blocksize=layer.factor, mode=layer.order.upper())


@writes(PixelUnshuffle, operators="SpaceToDepth Reshape Transpose")
def pixel_unshuffle(draft: Draft, layer: PixelUnshuffle, x: Value) -> Any:
    """SpaceToDepth knows the order "dcr" alone."""
    if layer.order == "dcr":
        return draft.add("SpaceToDepth", x, blocksize=layer.factor)
    r, (C, H, W) = layer.factor, x.shape
    out = layer.output_shape(x.shape)
    return _turned(draft, x, (C, H // r, r, W // r, r), (0, 1, 3, 5, 2, 4), out)


@writes(ChannelShuffle, operators="Reshape Transpose")
def channel_shuffle(draft: Draft, layer: ChannelShuffle, x: Value) -> Any:
    """Groups and their channels as two axes, in the other order."""
    parts = layer.groups, x.shape[0] // layer.groups, *x.shape[1:]
    return _turned(draft, x, parts, (0, 2, 1, *range(3, len(parts) + 1)), x.shape)


def _turned(draft: Draft, x: str, parts: Sequence[int], order: Sequence[int], out: Sequence[int]) -> Any:
    turned = draft.add("Transpose", draft.add("Reshape", x, [0, *parts]), perm=order)
    return draft.add("Reshape", turned, [0, *out])
