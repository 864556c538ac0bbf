"""Curves: losses and accuracies against the epoch, signals against their index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.plots.canvas import SMALL, TRAIN, VALIDATION, blank

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "black", "0.5")
"""For several lines; apart for colour-blind readers (Okabe, Ito 2008, Color Universal Design), each with its marker."""

FEW_EPOCHS = 10
"""Up to so many epochs the loss of every batch is drawn as well."""

LABELS = {
    "SoftmaxCrossEntropyLoss": "cross-entropy loss",
    "SigmoidCrossEntropyLoss": "binary cross-entropy loss",
    "HuberLoss": "Huber loss",
}
"""Names of losses where the words of their class would not be the usual ones."""


def loss_label(loss: Any = None) -> str:
    """The axis label of a loss: by its class ("MSELoss" -> "MSE loss"), as it is for other text; "loss" for None."""
    if loss is None:
        return "loss"
    name = loss if isinstance(loss, str) else (loss if isinstance(loss, type) else type(loss)).__name__
    if not name.isidentifier() or not name.endswith("Loss"):
        return name
    words = re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z]*\d*|[a-z\d_]+", name)
    return LABELS.get(name, " ".join(word if word.isupper() else word.lower() for word in words))


def epoch_axis(axes: Any, epochs: int, start: float = 0.5) -> None:
    """Whole numbers from 1, also if there is but one epoch."""
    axes.set_xlabel("epoch")
    axes.set_xlim(start, max(epochs, 1) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)


def panel_keys(history: Mapping[str, Sequence[float]]) -> list[str]:
    """ "loss", and each other x of train_x and val_x that has a finite number."""
    keys = dict.fromkeys(key.partition("_")[2] for key in history if key.startswith(("train_", "val_")))
    finite = [k for k in keys if any(np.isfinite(history.get(f"{part}_{k}", [])).any() for part in ("train", "val"))]
    return ["loss", *(key for key in finite if key != "loss")]


def draw_curves(
    figure: Any, history: Mapping[str, Sequence[float]], loss: Any, panels: Sequence[str], below: bool = False
) -> None:
    """These panels of what `curves_figure` shows, on a figure or a part of one, side by side or one below the other."""
    epochs = len(history.get("train_loss", []))
    shape = (len(panels), 1) if below else (1, len(panels))
    steps = _steps(history, epochs)
    start = 0.0 if len(steps) else 0.5
    for axes, key in zip(figure.subplots(*shape, squeeze=False).flat, panels):
        for part, name, colour, style in (("train", "training", TRAIN, "o-"), ("val", "validation", VALIDATION, "s-")):
            values = np.asarray(history.get(f"{part}_{key}", []), float) * (100 if key == "accuracy" else 1)
            if np.isfinite(values).any():
                size = 5 if epochs == 1 else 3 if epochs <= 40 else 0
                axes.plot(np.arange(1, len(values) + 1), values, style, ms=size, color=colour, label=name)
        axes.set_ylabel({"loss": loss_label(loss), "accuracy": "accuracy / %"}.get(key, key.replace("_", " ")))
        epoch_axis(axes, epochs, start)
        if key == "loss" and len(steps):
            _draw_steps(axes, steps, epochs)
        if axes.lines:
            axes.legend(fontsize=SMALL)


def curves_figure(history: Mapping[str, Sequence[float]], title: str = "", loss: Any = None) -> Any:
    """Loss, accuracy and own metrics against the epoch, for the training and (where recorded) the validation set.

    history: a `minidl.History` or any mapping with the lists train_loss, train_accuracy and, if they are not empty,
    val_loss, val_accuracy, one entry an epoch; accuracies in [0, 1]. Any other train_x and val_x have a panel of their
    own; what has no finite number has none. Up to 10 epochs the loss of every batch (`step_loss`) is drawn behind the
    others. loss: the `minidl` loss that was used, its class's name, or a text: it labels the axis.
    """
    panels = panel_keys(history)
    figure = blank(4.5 * len(panels) if len(panels) > 1 else 5.5, 3.6)
    if title:
        figure.suptitle(title)
    draw_curves(figure, history, loss, panels)
    return figure


def _steps(history: Mapping[str, Sequence[float]], epochs: int) -> np.ndarray:
    """The losses of all batches where they are few enough to be seen and their place is known, else none."""
    steps = np.asarray(getattr(history, "step_loss", None) or history.get("step_loss", []), float)
    # How many steps an epoch has is not recorded: those of an unfinished epoch would shift all others.
    unfinished = epochs and (getattr(history, "interrupted", False) or len(steps) % epochs)
    return np.zeros(0) if unfinished or epochs > FEW_EPOCHS or not np.isfinite(steps).any() else steps


def _draw_steps(axes: Any, steps: np.ndarray, epochs: int) -> None:
    """The loss of every batch at its place between the epochs, or over the steps of the first, unfinished one."""
    place = np.arange(1, len(steps) + 1) * ((epochs or len(steps)) / len(steps))
    axes.plot(place, steps, color=TRAIN, alpha=0.35, lw=0.8, label="training, each batch", zorder=1)
    if not epochs:
        axes.set(xlabel="step", xlim=(0, len(steps) + 0.5))
    # One huge first loss would press all others flat.
    usual = 3 * np.percentile(steps[np.isfinite(steps)], 95)
    if np.nanmax(steps, initial=0, where=np.isfinite(steps)) > usual > 0:
        axes.set_ylim(top=usual)


def comparison_figure(histories: Mapping[str, Mapping[str, Sequence[float]]], title: str = "") -> Any:
    """Validation accuracy against the epoch, one line for each of several trainings.

    histories: name -> `minidl.History` (or mapping) with the list val_accuracy in [0, 1].
    """
    figure = blank(5.5, 3.8)
    axes = figure.subplots()
    for i, (name, history) in enumerate(histories.items()):
        values = 100 * np.asarray(history["val_accuracy"], float)
        style = {"marker": "osv^Dx"[i % 6], "color": COLOURS[i % len(COLOURS)]}
        axes.plot(np.arange(1, len(values) + 1), values, ms=4, label=name, **style)
    axes.set(ylabel="validation accuracy / %", title=title)
    epoch_axis(axes, max(len(history["val_accuracy"]) for history in histories.values()))
    axes.legend()
    return figure


def lines_figure(lines: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str = "") -> Any:
    """One-dimensional signals over their index, each with its name: at most three, the third dashed over the second."""
    figure = blank(9, 3.2)
    axes = figure.subplots()
    styles = ({"color": "0.6", "lw": 1.0}, {"color": "#f2a65a", "lw": 4.0}, {"color": "black", "lw": 1.2, "ls": "--"})
    for (name, values), style in zip(lines.items(), styles, strict=False):
        axes.plot(values, label=name, **style)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
