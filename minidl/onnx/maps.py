"""Operators of maps: padding, other sizes, normalisation by neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import layers
from minidl.kernels.resizing import COORDINATES, nearest, scaled
from minidl.onnx.build import Build, Function, Values
from minidl.onnx.constant import Constant
from minidl.onnx.images import image
from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused


def local_response(build: Build, operator: Operator, x: Values) -> Any:
    """LocalResponseNorm."""
    size = operator.get("size", 0)
    if size % 2 != 1:
        raise Refused("size", f"size must be odd, got {size}")
    alpha, beta, k = operator.get("alpha", 1e-4), operator.get("beta", 0.75), operator.get("bias", 1.0)
    return layers.LocalResponseNorm(size, alpha, beta, k)(image(build, x[0]))


def pad(build: Build, operator: Operator, x: Values) -> Any:
    """Pad2D."""
    mode = operator.get("mode", "constant")
    shape = build.shape(x[0])
    ndim = len(shape) + 1
    pads = build.given(operator, x, 1, "pads", [])
    value = build.number(x[2], "constant_value") if len(x) > 2 and x[2] is not None else operator.get("value", 0.0)
    axes = build.given(operator, x, 3, "axes", list(range(ndim))) if len(x) > 3 else list(range(ndim))
    if len(pads) != 2 * len(axes) or any(not -ndim <= axis < ndim for axis in axes):
        raise Refused("pads", f"pads must be two numbers for each of {len(axes)} axes, got {pads}")
    by_axis = {axis % ndim: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    by_axis = {axis: sides for axis, sides in by_axis.items() if sides != (0, 0)}
    if not by_axis:
        return x[0]
    if ndim != 4 or not by_axis.keys() <= {2, 3}:
        raise Refused("pads", f"only height and width of images can be padded, got {pads}")
    (top, bottom), (left, right) = by_axis.get(2, (0, 0)), by_axis.get(3, (0, 0))
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise Refused("mode", f"mode must be constant, reflect, edge or wrap, got {mode!r}")
    return layers.Pad2D((top, left, bottom, right), mode, float(value) if mode == "constant" else 0.0)(build.node(x[0]))


MODES = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic"}


def resize(build: Build, operator: Operator, x: Values) -> Any:
    """Upsample, of Resize and of the operator of that name."""
    node = image(build, x[0])
    old = operator.kind == "Upsample" or operator.version < 11
    mode = operator.get("mode", "nearest")
    if mode not in MODES:
        raise Refused("mode", f"mode must be {', '.join(MODES)}, got {mode!r}")
    coordinates = operator.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if coordinates not in COORDINATES:
        raise Refused(
            "coordinate_transformation_mode", f"it must be one of {', '.join(COORDINATES)}, got {coordinates!r}"
        )
    rounding = operator.get("nearest_mode", "floor" if old else "round_prefer_floor")
    a, antialias, outside = (
        operator.get(*each) for each in (("cubic_coeff_a", -0.75), ("antialias", 0), ("exclude_outside", 0))
    )
    operator.get("extrapolation_value")
    place = 1 if old else 2
    scales = (
        build.given(operator, x, place, "scales", []) if operator.version != 7 else list(operator.get("scales", ()))
    )
    found = _sizes(build, operator, x, scales)
    settings: dict[str, Any] = {"mode": MODES[mode], "coordinates": coordinates}
    if mode != "nearest" and (antialias or mode == "cubic"):
        settings.update(antialias=bool(antialias), cubic=a, exclude_outside=bool(outside))
    if mode == "nearest":
        settings["rounding"] = rounding
        found = _as_runtime(found, node.shape[1:], coordinates, rounding)
    smaller = [factor < 1 for factor in found.get("scale", ())]
    if mode != "nearest" or not old or not any(smaller):
        return layers.Upsample(**found, **settings)(node)
    for axis in (0, 1):  # before version 11 a smaller image has the next pixel, not the last
        scale, settings["rounding"] = found["scale"][axis], "ceil" if smaller[axis] else "floor"
        if scale != 1:
            node = layers.Upsample(scale=(scale, 1.0) if axis == 0 else (1.0, scale), **settings)(node)
    return node


MOST_PLACES = 2**16
"""Rows or columns of an output whose places are compared: a file may ask for any number of them."""


def _as_runtime(found: dict[str, Any], sizes: Sequence[int], coordinates: str, rounding: str) -> dict[str, Any]:
    """Sizes as the float32 scales that ONNX Runtime makes of them, where these give other places than the sizes."""
    if "size" not in found or coordinates == "align_corners" or max(found["size"]) > MOST_PLACES:
        return found
    scales, differs = [], False
    for size, out in zip(sizes, found["size"]):
        scale = float(np.float32(out) / np.float32(size))
        if scaled(size, scale) != out:
            return found
        exact, single = (nearest(size, out, each, coordinates, rounding)[0] for each in (None, scale))
        differs |= not np.array_equal(exact, single)
        scales.append(scale)
    return {"scale": (scales[0], scales[1])} if differs else found


def _sizes(build: Build, operator: Operator, x: Values, scales: Sequence[float]) -> dict[str, Any]:
    """scale= or size= for height and width."""
    axes = [axis % 4 for axis in operator.get("axes") or range(4)]
    policy = operator.get("keep_aspect_ratio_policy", "stretch")
    if scales:
        if len(scales) != len(axes):
            raise Refused("scales", f"there must be one for each of {len(axes)} axes, got {scales}")
        by_axis = dict(zip(axes, scales))
        if any(by_axis.get(axis, 1.0) != 1.0 for axis in (0, 1)):
            raise Refused("scales", f"N and C must stay, got {scales}")
        return {"scale": (float(by_axis.get(2, 1.0)), float(by_axis.get(3, 1.0)))}
    if len(x) < 4 or x[3] is None:
        raise Refused("scales", "there must be scales or sizes")
    if policy not in ("stretch", "not_larger", "not_smaller"):
        raise Refused("keep_aspect_ratio_policy", f"stretch, not_larger or not_smaller are supported, got {policy!r}")
    shape = build.shape(x[0])
    sizes = x[3].sizes() if isinstance(x[3], Constant) else ()
    if len(sizes) != len(axes):
        raise Refused("sizes", f"sizes must be constants, one for each of {len(axes)} axes")
    by_size = dict(zip(axes, sizes))
    if by_size.get(0) not in (None, build.batch) or by_size.get(1, shape[0]) != shape[0]:
        raise Refused("sizes", f"N and C must stay, got {sizes}")
    if any(by_size.get(axis, 1) is None for axis in (2, 3)):
        raise Refused("sizes", f"height and width must not depend on the number of images, got {sizes}")
    if policy != "stretch":
        scales = [out / shape[axis - 1] for axis, out in by_size.items() if out is not None and axis > 0]
        scale = min(scales) if policy == "not_larger" else max(scales)
        whole = {axis: math.floor(scale * shape[axis - 1] + 0.5) for axis in by_size if axis > 1}
        if any(scaled(shape[axis - 1], scale) != out for axis, out in whole.items()):
            raise Refused("keep_aspect_ratio_policy", f"the scale {scale:.7g} must give whole sizes, got {sizes}")
        return {"scale": tuple(scale if axis in whole else 1.0 for axis in (2, 3))}
    return {"size": (by_size.get(2, shape[1]), by_size.get(3, shape[2]))}


OPERATORS: dict[str, tuple[int, Function]] = {
    "LRN": (1, local_response),
    "Pad": (2, pad),
    "Resize": (10, resize),
    "Upsample": (7, resize),
}
"""Operators of this file, and the version from which on they are read."""
