"""Empty figures to draw on, made without pyplot: no display is needed and no global state is touched."""

from __future__ import annotations

from typing import Any

import numpy as np


def blank(width: float, height: float) -> Any:
    """An empty Figure of this size in inches, or an ImportError that tells how to get matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("minidl.plots draws with matplotlib: pip install 'minidl[plot]'") from error
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def tiles(rows: int, columns: int, tile: tuple[float, float], left: float, above: float, title: str) -> tuple[Any, Any]:
    """A Figure and its (rows, columns) array of axes for images of `tile` = (width, height) inches each.

    left: inches for labels beside the rows. above: inches for the text over each row. The places are computed here, for
    matplotlib's layout engine takes seconds for a hundred axes.
    """
    gap, head = 0.08, 0.5 if title else 0.05
    width, height = left + columns * (tile[0] + gap), head + rows * (tile[1] + above + gap)
    figure = blank(width, height)
    figure.set_layout_engine("none")
    axes = np.empty((rows, columns), object)
    for r, c in np.ndindex(rows, columns):
        x, y = left + c * (tile[0] + gap), height - head - (r + 1) * (tile[1] + above + gap) + gap
        axes[r, c] = figure.add_axes((x / width, y / height, tile[0] / width, tile[1] / height))
    if title:
        figure.suptitle(title, y=1 - 0.1 / height, va="top")
    return figure, axes
