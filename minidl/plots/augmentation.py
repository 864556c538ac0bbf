"""What an augmentation makes of images, to look at before a training is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels
from minidl.data.augment.pipeline import plan
from minidl.plots import arrays
from minidl.plots.canvas import tiles

if TYPE_CHECKING:
    from minidl.data.augment.pipeline import Transform


def augmented_images(images: np.ndarray, augment: Sequence[Transform], epochs: int = 8, seed: int = 0) -> np.ndarray:
    """Images (N, C, H, W), uint8 or float, as a training would see them: (epochs, N, C, H, W) float32, not scaled.

    augment, seed: as in `Trainer.fit`, if these were the first images of its data. Raises as `fit`.
    """
    images = np.ascontiguousarray(images)
    planned = plan(augment, images.shape[1:], seed)
    if planned is not None:
        planned.check_range(images)
    backend, index = kernels.current(), np.arange(len(images), dtype=np.intp)
    one, none = np.ones(images.shape[1], np.float32), np.zeros(images.shape[1], np.float32)
    seen = np.empty((epochs, *images.shape), np.float32)
    for epoch in range(epochs):
        moves, colors = (None, None) if planned is None else planned.changes(epoch, index)
        seen[epoch] = backend.leave(backend.gather(images, index, one, none, moves=moves, colors=colors))
    return seen


def augmentation_figure(
    images: np.ndarray, augment: Sequence[Transform], epochs: int = 8, seed: int = 0, title: str = ""
) -> Any:
    """One row an image: as it is, then as each of the first epochs sees it.

    images: (N, C, H, W), uint8 or float; of channels other than 1 or 3 the mean is drawn. augment, seed: as in
    `augmented_images`. The scale is that of all images together, from black at their smallest value.
    """
    shown = np.concatenate([np.asarray(images, np.float32)[None], augmented_images(images, augment, epochs, seed)])
    flat = shown.reshape(-1, *shown.shape[2:])
    drawn = arrays.to_unit(arrays.in_layout(flat, "augmentation_figure"), together=True)
    drawn = drawn.reshape(*shown.shape[:2], *drawn.shape[1:])
    figure, panels = tiles(len(images), epochs + 1, (1.0, images.shape[2] / images.shape[3]), 0.05, 0.2, title)
    for row, column in np.ndindex(panels.shape):
        axes = panels[row, column]
        axes.imshow(drawn[column, row], cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[])
        if row == 0:
            axes.set_title("image" if column == 0 else f"epoch {column}", fontsize=9, pad=3)
    return figure
