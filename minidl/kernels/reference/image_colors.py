"""The colours of one image changed (`minidl.kernels.image_colors`), pixel after pixel."""

from __future__ import annotations

import numpy as np

from minidl.kernels.image_colors import NOISE_DEVIATION, Colors, noise_steps


def recolored(image: np.ndarray, colors: Colors, n: int, top: int) -> np.ndarray:
    """`image` (C, H, W), of the result's dtype and moved, in the colours of image n of the batch, not yet scaled."""
    C, H, W = image.shape
    y, real = image.copy(), image.dtype.type
    if colors.maps is None and colors.keys is None:
        return y
    if colors.keys is not None:
        steps = noise_steps(int(colors.keys[n]), np.arange(C * H * W).reshape(C, H, W)).astype(image.dtype)
    for c in range(C):
        for h in range(H):
            for w in range(W):
                z = image[c, h, w] if colors.maps is None else mapped(image[:, h, w], colors.maps[n], c, top)
                if colors.keys is not None:
                    z = z + steps[c, h, w] * real(colors.deviation * top / NOISE_DEVIATION)
                y[c, h, w] = real(0) if z < 0 else real(top) if z > top else z
    return y


def mapped(pixel: np.ndarray, numbers: np.ndarray, c: int, top: int) -> np.floating:
    """Channel c of a pixel (C,) after its image's map."""
    real = pixel.dtype.type
    if len(numbers) == 1:
        gain, offset = numbers[0]
        return real(gain) * pixel[c] + real(offset * top)
    z = real(numbers[c, 0]) * pixel[0]
    for k in range(1, len(pixel)):
        z = z + real(numbers[c, k]) * pixel[k]
    return z + real(numbers[c, len(pixel)] * top)
