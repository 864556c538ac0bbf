"""The colours of a batch changed (`minidl.kernels.image_colors`), in whole-array operations."""

from __future__ import annotations

import math

import numpy as np

from minidl.kernels.image_colors import NOISE_DEVIATION, Colors, noise_steps


def recolored(images: np.ndarray, colors: Colors, top: int, dtype: np.dtype) -> np.ndarray:
    """(N, C, H, W) of `dtype`: moved images in their colours, not yet scaled."""
    x = images.astype(dtype)
    if colors.maps is None and colors.keys is None:
        return x
    z = x if colors.maps is None else _mapped(x, colors.maps, top)
    if colors.keys is not None:
        places = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
        steps = noise_steps(colors.keys.reshape(-1, 1, 1, 1), places)
        z = z + steps.astype(dtype) * dtype.type(colors.deviation * top / NOISE_DEVIATION)
    return np.clip(z, 0, top, dtype=dtype)


def _mapped(x: np.ndarray, maps: np.ndarray, top: int) -> np.ndarray:
    numbers = maps.astype(x.dtype)[..., None, None]
    offset = (maps[:, :, -1] * top).astype(x.dtype)[..., None, None]
    if maps.shape[1] == 1:
        return numbers[:, :, 0] * x + offset
    z = numbers[:, :, 0] * x[:, :1]
    for k in range(1, x.shape[1]):
        z += numbers[:, :, k] * x[:, k : k + 1]
    return z + offset
