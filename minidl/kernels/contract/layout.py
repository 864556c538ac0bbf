"""How arrays come in and out, and their shapes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minidl.kernels.contract.types import Array
from minidl.kernels.image_colors import Colors


class Layout(Protocol):
    """The operations of this file."""

    def enter(self, x: np.ndarray, infer: bool = False) -> Array:
        """NCHW or (N, F) ndarray, float32 or float64, C-contiguous and aligned -> the backend's array.

        infer: what comes of it will go through no backward operation and no loss, so that a backend may choose a layout
        that has none. Also takes what `leave` made of the int32 index array of `maxpool2d_forward`.
        """

    def batches(self, n: int, most: int, dtype: Any) -> list[int]:
        """Sizes of the batches, each of at most `most` images, in which inference of n images is fastest, in order."""

    def leave(self, x: Array) -> np.ndarray:
        """The backend's array -> ndarray that the caller owns. Also takes the index array of `maxpool2d_forward`."""

    def gather(
        self,
        images: np.ndarray,
        index: np.ndarray,
        scale: np.ndarray,
        shift: np.ndarray,
        infer: bool = False,
        moves: np.ndarray | None = None,
        colors: Colors | None = None,
    ) -> Array:
        """A batch out of a data set: y[n] = images[index[n]] * scale[c] + shift[c].

        images: (M, C, H, W) or (M, F), C-contiguous, uint8, float32 or float64. index: (N,) intp, each in [0, M).
        scale, shift: (C,) (or (F,) or (1,) for 2-D images) of the result's dtype. One multiplication, one addition.
        infer: as in `enter`. moves: (N, 8) or (N, 12) intp, for images of shape (M, C, H, W) alone: image index[n] is
        shifted or turned, flipped and cut as row n says (`minidl.kernels.image_moves`). What comes in from outside of
        the image is 0 before scaling, what is cut out 0 after it. A turned pixel is the sum of four weighted pixels of
        the result's dtype, in double, rounded once. colors: with moves alone; the moved images' colours are changed
        before scaling, as `minidl.kernels.image_colors` says, and what is cut out may be filled.
        """

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Another shape for each image (row-major order kept): (N, ...) -> (N, *shape). May share memory with x."""

    def add(self, a: Array, b: Array) -> Array:
        """a + b, equal shapes."""
