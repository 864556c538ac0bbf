"""Maps of another size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.resizing import Resizing, is_plain, scaled
from minidl.layers.resize import Upsample
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes


@writes(Upsample, operators="Resize Gather MatMul Transpose")
def upsample(draft: Draft, layer: Upsample, x: Value) -> Any:
    """Resize of the layer's scales, or those that say its sizes exactly; else rows and columns are taken one by one."""
    _, OH, OW = layer.output_shape(x.shape)
    sizes = tuple(zip(x.shape[1:], (OH, OW)))
    resizing = layer._resizing
    scales = resizing.scale or tuple(out / size for size, out in sizes)
    cubic = layer.mode == "bicubic"
    known = resizing.coordinates != "half_pixel_symmetric" and not layer.antialias  # which later versions have
    if known and all(_is_same(resizing, size, out, scale) for (size, out), scale in zip(sizes, scales)):
        return draft.add(
            "Resize",
            x,
            None,
            np.array([1, 1, *scales], np.float32),
            mode={"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}[layer.mode],
            coordinate_transformation_mode=resizing.coordinates,
            nearest_mode=resizing.rounding if layer.mode == "nearest" else None,
            cubic_coeff_a=resizing.cubic if cubic else None,
            exclude_outside=int(resizing.exclude_outside) if cubic else None,
        )
    rows, columns = resizing.taps((1, *x.shape), draft.dtype)
    if layer.mode == "nearest":
        return draft.add(
            "Gather", draft.add("Gather", x, rows[0][:, 0].tolist(), axis=2), columns[0][:, 0].tolist(), axis=3
        )
    return draft.mixed(x, _matrix(rows, x.shape[1]), _matrix(columns, x.shape[2]))


def _is_same(resizing: Resizing, size: int, out: int, scale: float) -> bool:
    """Whether the scale as float32 gives this output, also where it is multiplied in double, as onnx's checker does."""
    single = float(np.float32(scale))
    if not scaled(size, scale) == math.floor(single * size) == out:
        return False
    if resizing.scale is None or resizing.mode != "nearest":
        return single == scale or resizing.scale is not None
    return is_plain(size, out, scale, resizing.coordinates, resizing.rounding)


def _matrix(taps: Any, size: int) -> np.ndarray:
    """(out, size): how much of each place an output has."""
    index, weight = taps
    matrix = np.zeros((len(index), size), weight.dtype)
    np.add.at(matrix, (np.arange(len(index))[:, None], index), weight)
    return matrix
