"""How the rows that scikit-learn passes around stand for images."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.layers import Layer, Reshape, Transpose
from minidl.support.several import Shape

COLORS = (1, 3, 4)
"""Numbers of channels by which the last size of an image is known to be that of its channels."""


@dataclass(frozen=True)
class Layout:
    """What one row is.

    given: its shape as `fit` got it, (F,), (H, W) or (C, H, W). shape: as the network takes it, (F,) or (C, H, W).
    channels_last: whether its numbers are in the order (H, W, C).
    """

    given: Shape
    shape: Shape
    channels_last: bool = False

    @property
    def is_image(self) -> bool:
        """Whether the network gets images."""
        return len(self.shape) == 3

    def arrange(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, F) as the network takes them, (N, F) or (N, C, H, W)."""
        if self.channels_last:
            C, H, W = self.shape
            return np.ascontiguousarray(rows.reshape(-1, H, W, C).transpose(0, 3, 1, 2))
        return rows.reshape(-1, *self.shape)

    def check(self, who: str, given: Shape | None) -> None:
        """Raise ValueError for images of another shape or order than the network's; rows (None) have neither."""
        if given is None or not self.is_image:
            return
        C, H, W = self.shape
        known = [(H, W, C) if self.channels_last else (C, H, W), *([(H, W), (1, H, W)] if C == 1 else [])]
        if given not in known:
            raise ValueError(f"{who}: images of X must have shape {known[0]}, as in the first fit, got {given}")

    def layers(self) -> list[Layer]:
        """The same as layers, for rows of the shape `given`."""
        C, H, W = self.shape if self.is_image else (1, 1, 1)
        if self.channels_last:
            return [Reshape((H, W, C)), Transpose((0, 3, 1, 2))]
        return [] if self.given == self.shape else [Reshape(self.shape)]


def layout(who: str, image_shape: Any, given: Shape, features: int) -> Layout:
    """The layout of rows that came in the shape `given` and have so many features.

    image_shape: None, (H, W), (C, H, W), or (H, W, C) where the last size alone is 1, 3 or 4. Images of such a shape
    count as (C, H, W) where it is None, with a UserWarning. Raises TypeError or ValueError for others, and where it has
    not as many numbers as a row.
    """
    if image_shape is None:
        if _ends_in_channels(given):
            C, H, W = given
            warnings.warn(
                f"{who}: images of shape {given} are taken as {C} channels of {H} x {W}; if channels come last, say"
                f" image_shape={given}",
                stacklevel=5,
            )
        return Layout(given, (1, *given) if len(given) == 2 else given)
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) not in (2, 3):
        raise TypeError(f"{who}: image_shape must be None, (H, W), (C, H, W) or (H, W, C), got {image_shape!r}")
    sizes = tuple(checks.integer(who, "image_shape", size, 1) for size in image_shape)
    if math.prod(sizes) != features:
        raise ValueError(f"{who}: image_shape {sizes} must have as many numbers as a row of X, got {features}")
    if len(given) > 1 and given not in (sizes, sizes[1:] if sizes[0] == 1 else sizes):
        raise ValueError(f"{who}: image_shape {sizes} must be that of X's images where X has them, got {given}")
    if len(sizes) == 2:
        return Layout(given, (1, *sizes))
    if _ends_in_channels(sizes):
        return Layout(given, (sizes[2], *sizes[:2]), channels_last=True)
    return Layout(given, sizes)


def _ends_in_channels(sizes: Shape) -> bool:
    """Whether of three sizes the last alone can be that of channels of an image."""
    return [size in COLORS for size in sizes] == [False, False, True]


def flattened(X: Any) -> tuple[Any, Shape | None]:
    """Images (N, H, W) or (N, C, H, W) as rows, and the shape of one; None for all else, which stays."""
    shape = getattr(X, "shape", None)
    if shape is None or len(shape) not in (3, 4) or not all(shape):
        return X, None
    array = np.asarray(X)
    return array.reshape(len(array), -1), tuple(array.shape[1:])
