"""The curve of a learning rate range test."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minidl.plots.canvas import blank
from minidl.plots.figures import TRAIN, VALIDATION


class Curve(Protocol):
    """What is drawn: one entry a step. `minidl.find_lr` returns one."""

    @property
    def rates(self) -> np.ndarray:
        """Learning rates, growing."""

    @property
    def losses(self) -> np.ndarray:
        """Losses of the batches."""

    @property
    def smoothed(self) -> np.ndarray:
        """Their moving average."""

    @property
    def suggestion(self) -> float:
        """The rate to be marked."""


def range_test_figure(test: Curve, title: str = "") -> Any:
    """Loss against the learning rate on a logarithmic axis, with its average and the suggested rate.

    test: what `minidl.find_lr` returned, or anything else with `rates`, `losses`, `smoothed` and `suggestion`.
    """
    figure = blank(6.4, 3.8)
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, color="0.75", lw=0.9, label="loss of a batch")
    axes.plot(test.rates, test.smoothed, color=TRAIN, lw=2, label="moving average")
    axes.axvline(test.suggestion, color=VALIDATION, ls="--", label=f"suggestion: {test.suggestion:.2g}")
    low, high = test.smoothed.min(), test.smoothed[0]
    # A diverging loss would press the part that matters flat.
    axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low) or None)
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
