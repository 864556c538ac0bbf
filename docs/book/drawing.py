"""Pictures of the book's pages: tables of numbers as coloured squares, with frames around what a sentence speaks of.

Orange is negative, white zero, violet positive, two colours that stay apart for the colour-blind. Numbers are written
in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots.canvas import blank

COLOURS = "PuOr"
FRAMES = ("#c00000", "#006837", "#542788", "#000000")
"""Colours of frames, one a frame."""

Frame = tuple[int, int, int, int]
"""Row, column, rows, columns."""


def text(value: float, digits: int) -> str:
    """A number as short as it is true: whole ones without a point."""
    shown = f"{value:.{digits}f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def grids(
    *named: tuple[str, Any],
    signs: Sequence[str] = (),
    frames: Sequence[Sequence[Frame]] = (),
    digits: int = 2,
    cell: float = 0.42,
    limit: float | None = None,
    empty: Sequence[Any] = (),
) -> Any:
    """A Figure of tables of numbers side by side, each (name, array of one or two dimensions).

    signs: what stands between two of them, such as "*" and "=". frames: for each table its frames. limit: the value of
    the strongest colour, without it the largest of each table. empty: for each table a mask of squares left blank.
    """
    arrays = [np.atleast_2d(np.asarray(values, float)) for _, values in named]
    gaps = [max(0.55, 0.3 + 0.13 * len(signs[i])) if i < len(signs) else 0.55 for i in range(len(arrays) - 1)]
    head, margin = 0.42, 0.08
    widest = [max(a.shape[1] * cell, 0.085 * len(name)) for a, (name, _) in zip(arrays, named, strict=True)]
    width = sum(widest) + sum(gaps) + 2 * margin
    height = max(a.shape[0] for a in arrays) * cell + head + margin
    figure = blank(width, height)
    figure.set_layout_engine("none")
    x = margin
    for i, ((name, _), array) in enumerate(zip(named, arrays, strict=True)):
        rows, columns = array.shape
        left = x + (widest[i] - columns * cell) / 2
        low = margin + (height - head - margin - rows * cell) / 2
        axes = figure.add_axes((left / width, low / height, columns * cell / width, rows * cell / height))
        most = limit or float(np.abs(array[np.isfinite(array)]).max(initial=0)) or 1.0
        axes.imshow(array, cmap=COLOURS, vmin=-1.6 * most, vmax=1.6 * most, aspect="auto")
        axes.set(xticks=np.arange(columns + 1) - 0.5, yticks=np.arange(rows + 1) - 0.5)
        axes.tick_params(length=0, labelleft=False, labelbottom=False)
        axes.grid(color="0.75", lw=0.6)
        mask = empty[i] if i < len(empty) else None
        for (r, c), value in np.ndenumerate(array):
            if mask is None or not mask[r][c]:
                axes.text(c, r, text(value, digits), ha="center", va="center", fontsize=8.5)
        figure.text(
            (x + widest[i] / 2) / width,
            (low + rows * cell + 0.12) / height,
            name,
            ha="center",
            va="bottom",
            fontsize=9.5,
        )
        for j, (r, c, high, wide) in enumerate(frames[i] if i < len(frames) else ()):
            colour = FRAMES[j % len(FRAMES)]
            inset = 0.06 * j
            axes.add_patch(_rectangle(c - 0.5 + inset, r - 0.5 + inset, wide - 2 * inset, high - 2 * inset, colour))
        x += widest[i]
        if i < len(arrays) - 1:
            sign = signs[i] if i < len(signs) else ""
            figure.text(
                (x + gaps[i] / 2) / width,
                (margin + (height - head - margin) / 2) / height,
                sign,
                ha="center",
                va="center",
                fontsize=15,
            )
            x += gaps[i]
    return figure


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, fill=False, ec=colour, lw=2.4, clip_on=False, zorder=5)


def plot(
    functions: dict[str, tuple[Any, Any]], title: str = "", size: tuple[float, float] = (5.5, 3.2), **labels: str
) -> Any:
    """A Figure of lines: name -> (x, y). labels: xlabel, ylabel."""
    figure = blank(*size)
    axes = figure.subplots()
    styles = (("#0b5394", "-"), ("#cc4c02", "--"), ("#238b45", "-."), ("#542788", ":"), ("black", "-"))
    for (name, (x, y)), (colour, style) in zip(functions.items(), styles, strict=False):
        axes.plot(x, y, style, color=colour, label=name)
    axes.grid(alpha=0.3)
    axes.set(title=title, **labels)
    if len(functions) > 1:
        axes.legend()
    return figure


def bars(values: dict[str, float], xlabel: str, logarithmic: bool = False) -> Any:
    """A Figure of one bar a name, each with its number."""
    figure = blank(6.5, 0.5 + 0.38 * len(values))
    axes = figure.subplots()
    names = list(values)
    shown = axes.barh(names, list(values.values()), color="#6a9fcf", ec="#0b5394")
    axes.bar_label(shown, [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values.values()], padding=3)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel, xscale="log" if logarithmic else "linear")
    axes.margins(x=0.18)
    return figure
