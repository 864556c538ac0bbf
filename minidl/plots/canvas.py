"""Empty figures to draw on, made without pyplot: no display is needed and no global state is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TRAIN, VALIDATION = "#0b5394", "#cc4c02"
"""Two colours that stay apart in grey print and for colour-blind readers."""

SMALL = 9
"""Size in points of labels and captions beside the axes' own."""


def blank(width: float, height: float) -> Any:
    """An empty Figure of this size in inches, or an ImportError that tells how to get matplotlib."""
    try:
        from minidl.plots.picture import Picture
    except ImportError as error:
        raise ImportError("minidl.plots draws with matplotlib: pip install 'minidl[plot]'") from error
    return Picture(figsize=(width, height), dpi=110, layout="constrained")


def tiles(rows: int, columns: int, tile: tuple[float, float], left: float, above: float, title: str) -> tuple[Any, Any]:
    """A Figure and its (rows, columns) array of axes for images of `tile` = (width, height) inches each.

    left: inches for labels beside the rows. above: inches for the text over each row. The places are computed here, for
    matplotlib's layout engine takes seconds for a hundred axes. A title wider than the tiles makes the figure wider.
    """
    lines = title.split("\n")
    gap, head = 0.08, 0.3 + 0.2 * len(lines) if title else 0.05
    needed = left + columns * (tile[0] + gap)
    width = max(needed, 0.1 * max(map(len, lines)) + 0.2)
    height = head + rows * (tile[1] + above + gap)
    figure = blank(width, height)
    figure.set_layout_engine("none")
    axes = np.empty((rows, columns), object)
    for r, c in np.ndindex(rows, columns):
        x, y = (
            left + (width - needed) / 2 + c * (tile[0] + gap),
            height - head - (r + 1) * (tile[1] + above + gap) + gap,
        )
        axes[r, c] = figure.add_axes((x / width, y / height, tile[0] / width, tile[1] / height))
    if title:
        figure.suptitle(title, y=1 - 0.1 / height, va="top")
    return figure, axes


def class_names(who: str, names: Sequence[object] | None, classes: int, longest: int = 24) -> list[str]:
    """One name a class as text, numbers for None; ValueError for another count.

    Of names longer than `longest` the middle is left out, for their ends often tell them apart.
    """
    if names is None:
        return [str(k) for k in range(classes)]
    if len(names) != classes:
        raise ValueError(f"{who}: names must have one name a class, {classes}, got {len(names)}")
    return [cut(str(name), longest) for name in names]


def cut(text: str, longest: int) -> str:
    """The text, without its middle where it is longer."""
    end = longest // 2
    return text if len(text) <= longest else f"{text[: longest - end - 1]}…{text[-end:]}"


def shown(title: str, count: int, total: int, what: str = "") -> str:
    """The title, and how many there are of what it shows if that is not all: "maps (16 of 32 shown)"."""
    return title if count >= total else f"{title} ({' '.join([f'{count:,} of {total:,}', *what.split(), 'shown'])})"
