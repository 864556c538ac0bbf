"""Rows of small images, each row with a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots.arrays import drawn_grid, in_layout
from minidl.plots.canvas import tiles


def strips_figure(rows: Sequence[np.ndarray], names: Sequence[str], title: str = "", size: float = 0.5) -> Any:
    """Images in rows, such as steps of a change from left to right, each row with its name at its left.

    rows: arrays (M, H, W), (M, C, H, W) or (M, H, W, C), C = 1 or 3, in [0, 1], all of one shape. names: one a row.
    size: inches of an image.
    """
    rows = [in_layout(row, "strips_figure") for row in rows]
    count, height, width = rows[0].shape[:3]
    tile = (size * count, size * height / width)
    figure, axes = tiles(len(rows), 1, tile, max(0.9, 0.1 * max(map(len, names))), 0.0, title)
    for panel, images, name in zip(axes[:, 0], rows, names, strict=True):
        panel.set_axis_off()
        panel.imshow(drawn_grid(images, count), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.text(-0.01, 0.5, name, transform=panel.transAxes, ha="right", va="center", fontsize=9)
    return figure
