"""Rows of small images, each row with a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots.arrays import image_grid
from minidl.plots.canvas import tiles


def strips_figure(rows: Sequence[np.ndarray], names: Sequence[str], title: str = "", size: float = 0.5) -> Any:
    """Images in rows, such as steps of a change from left to right, each row with its name at its left.

    rows: arrays (M, H, W), shown in grey, in [0, 1], all of one shape. names: one a row. size: inches of an image.
    """
    count, height, width = rows[0].shape
    tile = (size * count, size * height / width)
    figure, axes = tiles(len(rows), 1, tile, 0.9, 0.0, title)
    for panel, images, name in zip(axes[:, 0], rows, names, strict=True):
        panel.set_axis_off()
        panel.imshow(image_grid(images, count), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.text(-0.01, 0.5, name, transform=panel.transAxes, ha="right", va="center", fontsize=9)
    return figure
