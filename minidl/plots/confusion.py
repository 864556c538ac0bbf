"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots.canvas import SMALL, blank, class_names

WRITTEN = 25
"""Up to so many classes the counts are written into the cells."""

LARGEST = 13.0
"""Inches that the matrix of many classes has at most."""


def confusion_figure(counts: np.ndarray, names: Sequence[str] | None = None) -> Any:
    """A confusion matrix: the shade is the share of the true class, linear from 0 to 100 %, with its scale beside it.

    counts: (K, K) as `confusion_counts` makes it; up to 25 classes they are written in. names: K class names, long ones
    are cut; None numbers them. Where hundreds of classes stand closer than their names, every second, third, ... is
    named. Raises ValueError for other shapes.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"confusion_figure: counts must have shape (K, K), K at least 1, got {counts.shape}")
    k = len(counts)
    texts = class_names("confusion_figure", names, k)
    cell = max(0.55, 2.2 / k) if k <= WRITTEN else min(0.45, max(0.14, LARGEST / k))
    side, label = min(cell * k, LARGEST + 1), 0.085 * max(map(len, texts))
    figure = blank(side + label + 1.7, side + min(label, 2.2) + 1.0)
    draw_confusion(figure, counts, texts, side)
    return figure


def draw_confusion(figure: Any, counts: np.ndarray, texts: Sequence[str], side: float) -> None:
    """What `confusion_figure` shows, on a figure or a part of one; side: inches of the matrix."""
    k = len(counts)
    axes = figure.subplots()
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="share of the true class / %", shrink=0.9, pad=0.02)
    points = 72 * side / k
    if k <= WRITTEN:
        widest = max(len(str(count)) for count in counts.flat)
        size = min(SMALL, 1.5 * points / max(widest, 3))
        for t, g in np.argwhere(counts):
            colour = "white" if share[t, g] > 55 else "black"
            axes.text(g, t, str(counts[t, g]), ha="center", va="center", fontsize=size, color=colour)
    size = float(np.clip(0.8 * points, 6, 10))
    every = max(1, int(np.ceil(1.25 * size / points)))
    ticks = range(0, k, every)
    turn = 90 if k > WRITTEN else 45 if max(map(len, texts)) > 3 else 0
    aligned = {"ha": "right", "rotation_mode": "anchor"} if turn == 45 else {}
    axes.set_xticks(ticks, texts[::every], rotation=turn, fontsize=size, **aligned)
    axes.set_yticks(ticks, texts[::every], fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} right ({100 * right / max(total, 1):.2f} %)")
