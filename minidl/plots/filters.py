"""The filters of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.plots import arrays
from minidl.plots.canvas import SMALL, blank, shown

INPUTS = 16
"""Input channels that are drawn at most."""


def filters_figure(weight: np.ndarray, title: str = "filters", most: int = 64) -> Any:
    """The filters of a convolution as a grid.

    weight: (O, C, KH, KW). With three channels each filter is a colour picture, stretched to its own range (below 5 x 5
    pixels it says little: `patches_figure` shows what excites the filters); else each of the O x C kernels is drawn on
    one scale, blue negative, white zero, red positive: with one channel as a square grid, with more as one row for each
    output channel. most: so many filters are shown at most, with more than one channel a quarter of it, and of 16
    input channels; the title says of how many. Raises ValueError for other shapes.
    """
    w = np.asarray(weight, np.float64)
    if w.ndim != 4 or not w.size:
        raise ValueError(f"filters_figure: weight must have shape (O, C, KH, KW), none of them 0, got {w.shape}")
    every = w.shape
    rows_of_channels = every[1] not in (1, 3)
    w = w[: max(most // 4, 1), :INPUTS] if rows_of_channels else w[:most]
    o, c, kh, kw = w.shape
    title = shown(shown(title, o, every[0]), c, every[1], "input channels")
    colour = every[1] == 3
    pictures = arrays.to_unit(w.transpose(0, 2, 3, 1)) if colour else w.reshape(o * c, kh, kw)
    full_rows = [k for k in range(4, 9) if o % k == 0]
    columns = c if rows_of_channels else full_rows[-1] if full_rows else min(o, 8)
    rows = -(-len(pictures) // columns)
    cell = 0.8 if max(kh, kw) < 10 else 1.3
    figure = blank(max(3.6, cell * columns + (2.0 if rows_of_channels else 1.4)), max(1.6, cell * rows + 0.8))
    axes = figure.subplots()
    limit = float(np.abs(w[np.isfinite(w)]).max(initial=0)) or 1.0
    grid = arrays.drawn_grid(pictures, columns, fill=1.0 if colour else np.nan)
    image = axes.imshow(grid, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    tops = [(kh + 1) * (i // columns) - 0.5 for i in range(len(pictures))]
    lefts = [(kw + 1) * (i % columns) - 0.5 for i in range(len(pictures))]
    # A frame around each, for on white paper the lightest weights would look like gaps.
    axes.vlines(
        [[x, x + kw] for x in lefts],
        [[y] * 2 for y in tops],
        [[y + kh] * 2 for y in tops],
        "0.4",
        lw=0.8,
        clip_on=False,
    )
    axes.hlines(
        [[y, y + kh] for y in tops],
        [[x] * 2 for x in lefts],
        [[x + kw] * 2 for x in lefts],
        "0.4",
        lw=0.8,
        clip_on=False,
    )
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    if not colour:
        figure.colorbar(image, ax=axes, label="weight", fraction=0.05, aspect=40)
    if rows_of_channels:
        axes.set_yticks([(kh + 1) * i + (kh - 1) / 2 for i in range(o)], [f"out {i}" for i in range(o)], fontsize=SMALL)
        axes.set_xticks([(kw + 1) * i + (kw - 1) / 2 for i in range(c)], [f"in {i}" for i in range(c)], fontsize=SMALL)
        axes.tick_params(length=0)
    figure.suptitle(title)
    return figure
