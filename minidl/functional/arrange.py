"""Images put together, taken apart, padded and rearranged: the usual boxes by their names.

Of several pairs each is the gradient of the other: `concat` and `split`, `pixel_shuffle` and `pixel_unshuffle`,
`transpose` and that by the inverse order, `channel_shuffle` by G groups and by C/G.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _ready
from minidl.kernels import arrange, checks
from minidl.kernels.arrange import Plan, Shape
from minidl.kernels.boxes import swapped


def _one(who: str, **arrays: Any) -> tuple[np.ndarray, Shape]:
    """The one array, and the shape of its images."""
    (x,) = checks.floats(who, **arrays)
    checks.ndim(who, next(iter(arrays)), x.shape, "(N, ...)", 2, 3, 4)
    return x, x.shape[1:]


def _run(xs: Sequence[np.ndarray], plan: Plan, fill: float = 0.0) -> np.ndarray:
    backend = kernels.current()
    return backend.leave(backend.boxes_forward(tuple(map(backend.enter, xs)), *plan, fill))


def _shape(who: str, x_shape: Any) -> Shape:
    """The shape of an image, out of one given with N."""
    if not isinstance(x_shape, (tuple, list)) or len(x_shape) not in (2, 3, 4):
        raise ValueError(f"{who}: x_shape must be of 2 to 4 sizes, (N, ...), got {x_shape!r}")
    return tuple(checks.integer(who, "x_shape", size, 0) for size in x_shape[1:])


def concat(xs: Sequence[Any], axis: int = 1) -> np.ndarray:
    """Arrays side by side along an axis other than N; all other sizes are equal."""
    who = "concat"
    ready = _ready.same_batch(who, xs)
    shapes = [x.shape[1:] for x in ready]
    return _run(ready, arrange.concat(who, shapes, arrange.axis_setting(who, axis)))


def split(x: Any, sections: int | Sequence[int], axis: int = 1) -> list[np.ndarray]:
    """The parts of x along an axis other than N: so many equal ones, or of these sizes."""
    who = "split"
    x, shape = _one(who, x=x)
    axis = arrange.axis_setting(who, axis)
    return [_run([x], plan) for plan in arrange.split(who, shape, arrange.sections_setting(who, sections), axis)]


def slice_forward(x: Any, start: Any = None, stop: Any = None, step: Any = 1, axis: Any = 1) -> np.ndarray:
    """x[:, start:stop:step] along an axis other than N, or along several; see `minidl.Slice`."""
    who = "slice_forward"
    settings = arrange.slice_settings(who, start, stop, step, axis)
    x, shape = _one(who, x=x)
    return _run([x], arrange.sliced(who, shape, *settings))


def slice_backward(
    dy: Any, x_shape: Any, start: Any = None, stop: Any = None, step: Any = 1, axis: Any = 1
) -> np.ndarray:
    """dx: dy where the slice is, 0 elsewhere."""
    who = "slice_backward"
    settings = arrange.slice_settings(who, start, stop, step, axis)
    shape = _shape(who, x_shape)
    dy, given = _one(who, dy=dy)
    out, boxes = arrange.sliced(who, shape, *settings)
    checks.same_shape(who, "dy", given, out, "an image of the output")
    return _run([dy], (shape, swapped(boxes)))


def pad2d_forward(x: Any, padding: Any, mode: str = "constant", value: float = 0.0) -> np.ndarray:
    """x (N, C, H, W) with rows and columns around each map; see `minidl.Pad2D`."""
    who = "pad2d_forward"
    sides = arrange.padding_setting(who, padding)
    mode = checks.one_of(who, "mode", mode, arrange.PAD_MODES)
    x, shape = _one(who, x=x)
    fill = checks.real_or_infinite(who, "value", value)
    return _run([x], arrange.padded(who, shape, sides, mode), fill)


def pad2d_backward(dy: Any, x_shape: Any, padding: Any, mode: str = "constant") -> np.ndarray:
    """dx (N, C, H, W): each dy added where its number came from."""
    who = "pad2d_backward"
    sides = arrange.padding_setting(who, padding)
    mode = checks.one_of(who, "mode", mode, arrange.PAD_MODES)
    shape = _shape(who, x_shape)
    dy, given = _one(who, dy=dy)
    out, boxes = arrange.padded(who, shape, sides, mode)
    checks.same_shape(who, "dy", given, out, "an image of the output")
    backend = kernels.current()
    return backend.leave(backend.boxes_backward(backend.enter(dy), (len(dy), *shape), boxes))


def transpose(x: Any, axes: Sequence[int]) -> np.ndarray:
    """Axis number i is axis axes[i] of x; axes[0] is 0."""
    who = "transpose"
    order = arrange.axes_setting(who, axes)
    x, shape = _one(who, x=x)
    return _run([x], arrange.transposed(who, shape, order))


def pixel_shuffle(x: Any, factor: int, order: str = "crd") -> np.ndarray:
    """(N, C r^2, H, W) -> (N, C, H r, W r), r = factor; see `minidl.PixelShuffle`."""
    who = "pixel_shuffle"
    factor = checks.integer(who, "factor", factor, 1)
    order = checks.one_of(who, "order", order, list(arrange.ORDERS))
    x, shape = _one(who, x=x)
    return _run([x], arrange.pixel_shuffled(who, shape, factor, order))


def pixel_unshuffle(x: Any, factor: int, order: str = "crd") -> np.ndarray:
    """(N, C, H r, W r) -> (N, C r^2, H, W), r = factor: the inverse of `pixel_shuffle`."""
    who = "pixel_unshuffle"
    factor = checks.integer(who, "factor", factor, 1)
    order = checks.one_of(who, "order", order, list(arrange.ORDERS))
    x, shape = _one(who, x=x)
    return _run([x], arrange.pixel_unshuffled(who, shape, factor, order))


def channel_shuffle(x: Any, groups: int) -> np.ndarray:
    """Channel k of group g becomes channel g of group k."""
    who = "channel_shuffle"
    groups = checks.integer(who, "groups", groups, 1)
    x, shape = _one(who, x=x)
    return _run([x], arrange.channel_shuffled(who, shape, groups))
