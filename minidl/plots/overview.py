"""One picture of a trained classifier: how it learnt, what it confuses, where it errs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.plots import arrays
from minidl.plots.canvas import SMALL, blank, class_names
from minidl.plots.confusion import draw_confusion
from minidl.plots.curves import draw_curves, panel_keys
from minidl.plots.figures import mistake_title

SHOWN = 9
"""Mistakes in the picture."""


def overview_figure(
    history: Mapping[str, Sequence[float]],
    images: np.ndarray,
    logits: np.ndarray,
    truth: np.ndarray,
    names: Sequence[str] | None = None,
    title: str = "",
    loss: Any = None,
) -> Any:
    """Curves, confusion matrix and worst mistakes of a classifier side by side.

    history, loss: as in `curves_figure`. images: as in `mistakes_figure`. logits: (N, K) scores for them. truth: (N,)
    class labels. names: K class names. Raises as `confusion_counts` and `worst_mistakes`.
    """
    logits = np.asarray(logits)
    mistakes = arrays.worst_mistakes(logits, truth, len(logits))
    k = logits.shape[1]
    counts = arrays.confusion_counts(truth, logits.argmax(axis=1), k)
    figure = blank(14.4, 5.0 if title else 4.7)
    left, middle, right = figure.subfigures(1, 3, width_ratios=(3.9, 5.6, 4.9), wspace=0.02)
    if title:
        figure.suptitle(title)
    draw_curves(left, history, loss, panel_keys(history)[:2], below=True)
    texts = class_names("overview_figure", names, k, longest=12)
    draw_confusion(middle, counts, texts, 3.4)
    if not mistakes:
        right.text(0.5, 0.5, f"no mistakes among {len(logits):,} images", ha="center", va="center")
        return figure
    worst = mistakes[:SHOWN]
    drawn = arrays.pictures(np.asarray(images)[[mistake.place for mistake in worst]], "overview_figure")
    for i, axes in enumerate(right.subplots(3, 3).flat):
        axes.set_axis_off()
        if i < len(worst):
            axes.imshow(drawn[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(mistake_title(worst[i], names), fontsize=SMALL - 1, pad=3)
    count = f"the worst {len(worst)} of {len(mistakes):,} mistakes" if len(worst) < len(mistakes) else "all mistakes"
    right.suptitle(count, fontsize="large")
    return figure
