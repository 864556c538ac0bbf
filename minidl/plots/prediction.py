"""Predicted numbers against true ones, for regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots.canvas import SMALL, TRAIN, VALIDATION, blank, class_names

POINTS = 5000
"""So many points a panel are drawn at most."""


def prediction_figure(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str] | None = None, title: str = "", most: int = 6
) -> Any:
    """Predictions of a regression against their targets, one panel an output, with the line on which both are equal.

    truth, predicted: numbers (N,) or (N, ...), of one size. names: of the outputs; None numbers them. Over each panel
    stand the root of the mean squared error, the mean absolute error, and R^2 = 1 - sum (t - p)^2 / sum (t - mean t)^2,
    over all finite pairs; 5,000 of them, evenly spread, are drawn at most. More outputs than `most` share one panel.
    Raises ValueError for sizes that differ or are zero.
    """
    t, p = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if not t.size or not p.ndim or t.shape[:1] != p.shape[:1] or t.size != p.size:
        raise ValueError(
            f"prediction_figure: truth and predicted must have one size, N at least 1, got {t.shape} and {p.shape}"
        )
    t, p = t.reshape(len(t), -1), p.reshape(len(p), -1)
    outputs = t.shape[1]
    if outputs > most:
        t, p, texts = t.reshape(-1, 1), p.reshape(-1, 1), [f"all {outputs:,} outputs"]
    elif outputs > 1 or names is not None:
        texts = class_names("prediction_figure", names or [f"output {i}" for i in range(outputs)], outputs)
    else:
        texts = [""]
    columns = min(len(texts), 3)
    rows = -(-len(texts) // columns)
    figure = blank(4.0 * columns + (0.6 if columns == 1 else 0), 4.5 * rows)
    if title:
        figure.suptitle(title)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for i, axes in enumerate(panels):
        if i < len(texts):
            _draw(axes, t[:, i], p[:, i], texts[i])
        else:
            axes.set_axis_off()
    return figure


def _draw(axes: Any, t: np.ndarray, p: np.ndarray, name: str) -> None:
    finite = np.isfinite(t) & np.isfinite(p)
    notes = [] if finite.all() else [f"{int((~finite).sum()):,} not finite"]
    t, p = t[finite], p[finite]
    if not t.size:
        axes.set_title(f"{name}: no finite pair".lstrip(": "), fontsize=SMALL)
        return
    some = np.linspace(0, len(t) - 1, min(len(t), POINTS)).astype(np.intp)
    if len(some) < len(t):
        notes.append(f"{len(some):,} of {len(t):,} shown")
    low, high = min(t.min(), p.min()), max(t.max(), p.max())
    room = 0.04 * (high - low) or 0.5
    ends = (low - room, high + room)
    axes.plot(ends, ends, color=VALIDATION, lw=1.2, ls="--", label="predicted = true")
    axes.plot(t[some], p[some], "o", ms=3, mew=0, color=TRAIN, alpha=float(np.clip(150 / len(some) ** 0.7, 0.15, 0.8)))
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true value", ylabel="predicted value")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=SMALL, loc="upper left")
    error = p - t
    numbers = [f"RMSE {np.sqrt(np.mean(error**2)):.3g}", f"MAE {np.mean(np.abs(error)):.3g}"]
    spread = np.sum((t - t.mean()) ** 2)
    if spread > 0:
        numbers.append(f"R² {1 - np.sum(error**2) / spread:.3f}")
    axes.set_title("\n".join(filter(None, [name, ", ".join([*numbers, *notes])])), fontsize=SMALL + 1)
