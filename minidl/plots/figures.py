"""The pictures: each function takes arrays and returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.plots import arrays
from minidl.plots.canvas import blank, tiles

TRAIN, VALIDATION = "#0b5394", "#cc4c02"
"""Two colours that stay apart in grey print and for colour-blind readers."""


def _epoch_axis(axes: Any, epochs: int) -> None:
    """Whole numbers from 1, also if there is but one epoch."""
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, max(epochs, 1) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)


def curves_figure(history: Mapping[str, Sequence[float]], title: str = "") -> Any:
    """Loss and accuracy against the epoch, for the training and (where recorded) the validation set.

    history: a `minidl.History` or any mapping with the lists train_loss, train_accuracy and, if they are not empty,
    val_loss, val_accuracy, one entry an epoch; accuracies in [0, 1].
    """
    figure = blank(9, 3.6)
    if title:
        figure.suptitle(title)
    panels = (("loss", "cross-entropy loss", 1), ("accuracy", "accuracy / %", 100))
    for axes, (key, label, factor) in zip(figure.subplots(1, 2), panels, strict=True):
        for part, name, colour in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
            values = np.asarray(history.get(f"{part}_{key}", []), float) * factor
            if np.isfinite(values).any():
                axes.plot(np.arange(1, len(values) + 1), values, "o-", ms=3, color=colour, label=name)
        axes.set_ylabel(label)
        _epoch_axis(axes, len(history.get("train_loss", [])))
        axes.legend()
    return figure


def comparison_figure(histories: Mapping[str, Mapping[str, Sequence[float]]], title: str = "") -> Any:
    """Validation accuracy against the epoch, one line for each of several trainings.

    histories: name -> `minidl.History` (or mapping) with the list val_accuracy in [0, 1].
    """
    figure = blank(5.5, 3.8)
    axes = figure.subplots()
    for (name, history), marker in zip(histories.items(), "osv^Dx" * len(histories), strict=False):
        values = 100 * np.asarray(history["val_accuracy"], float)
        axes.plot(np.arange(1, len(values) + 1), values, marker=marker, ms=4, label=name)
    axes.set(ylabel="validation accuracy / %", title=title)
    _epoch_axis(axes, max(len(history["val_accuracy"]) for history in histories.values()))
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


def images_figure(images: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4, title: str = "") -> Any:
    """Images side by side, each with its title above.

    images: arrays (H, W), shown in grey, or (H, W, 3), in [0, 1]. Sizes may differ.
    """
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    width = 2.6 if columns < 4 else 1.8
    height = width * max(image.shape[0] / image.shape[1] for image in images)
    figure, panels = tiles(rows, columns, (width, height), 0.05, 0.4, title)
    for i, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if i < len(images):
            axes.imshow(images[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(titles[i], fontsize=9, pad=3)
    return figure


def feature_maps_figure(images: np.ndarray, maps: np.ndarray, labels: Sequence[str], title: str = "") -> Any:
    """One row a sample: the image, then the maps that a layer made of it.

    images: (N, H, W) or (N, H, W, 3). maps: (N, C, OH, OW). labels: N names of the samples. Each map column has one
    scale, from black at its smallest to white at its largest value over all samples, so that samples can be compared
    down a column.
    """
    maps = np.asarray(maps)
    n, c = maps.shape[:2]
    shown = [arrays.to_unit(images), *(arrays.to_unit(maps[:, i], together=True) for i in range(c))]
    h, w = images.shape[1:3]
    figure, panels = tiles(n, c + 1, (1.0, h / w), 0.2 + 0.09 * max(map(len, labels)), 0.0, title)
    for row, column in np.ndindex(panels.shape):
        axes = panels[row, column]
        axes.imshow(shown[column][row], cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[])
        if column == 0:
            axes.set_ylabel(labels[row], rotation=0, ha="right", va="center")
        if row == 0:
            axes.set_title("input" if column == 0 else f"map {column - 1}", fontsize=9, pad=3)
    return figure


def filters_figure(weight: np.ndarray, title: str = "filters") -> Any:
    """The filters of a convolution as a grid.

    weight: (O, C, KH, KW). With three channels each filter is a colour picture, stretched to its own range; else each
    of the O x C kernels is drawn on one scale, blue negative, white zero, red positive: with one channel as a square
    grid, with more as one row for each output channel.
    """
    w = np.asarray(weight, np.float64)
    o, c, kh, kw = w.shape
    pictures = arrays.to_unit(w.transpose(0, 2, 3, 1)) if c == 3 else w.reshape(o * c, kh, kw)
    full_rows = [k for k in range(4, 9) if o % k == 0]
    columns = c if c not in (1, 3) else full_rows[-1] if full_rows else min(o, 8)
    rows = -(-len(pictures) // columns)
    cell = 0.8 if max(kh, kw) < 10 else 1.3
    figure = blank(max(3.6, cell * columns + 1.4), max(1.6, cell * rows + 0.8))
    axes = figure.subplots()
    limit = float(np.abs(w).max(initial=0)) or 1.0
    grid = arrays.image_grid(pictures, columns, fill=1.0 if c == 3 else np.nan)
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
    if c != 3:
        figure.colorbar(image, ax=axes, label="weight")
    if c not in (1, 3):
        axes.set_yticks([(kh + 1) * i + (kh - 1) / 2 for i in range(o)], [f"out {i}" for i in range(o)])
        axes.set_xticks([(kw + 1) * i + (kw - 1) / 2 for i in range(c)], [f"in {i}" for i in range(c)])
        axes.tick_params(length=0)
    figure.suptitle(title)
    return figure


def confusion_figure(counts: np.ndarray, names: Sequence[str] | None = None) -> Any:
    """A confusion matrix with the counts written in; the shade is the share of the true class.

    counts: (K, K) as `confusion_counts` makes it. names: K class names; None numbers them.
    """
    counts = np.asarray(counts)
    k = len(counts)
    names = [str(i) for i in range(k)] if names is None else list(names)
    figure = blank(0.55 * k + 1.8, 0.55 * k + 1.6)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The fourth root lets a class that loses 1 % to another still be seen beside a diagonal of 99 %.
    axes.imshow(share**0.25, cmap="Blues", vmin=0, vmax=1)
    for t, g in np.argwhere(counts):
        colour = "white" if share[t, g] > 0.1 else "black"
        axes.text(g, t, str(counts[t, g]), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(k), names, rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(k), names)
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{right} of {total} right ({100 * right / max(total, 1):.2f} %)")
    return figure


def mistakes_figure(images: np.ndarray, mistakes: Sequence[arrays.Mistake], names: Sequence[str] | None = None) -> Any:
    """The images of `worst_mistakes` with their true and guessed classes and the model's probabilities for both.

    images: the whole data set, (N, H, W) or (N, H, W, 3) uint8 or floats; `mistakes` holds the positions.
    """

    def name(k: int, p: float) -> str:
        return f"{k if names is None else names[k]}  {f'{p:.1%}' if p >= 0.001 else '<0.1%'}"

    if not mistakes:
        figure = blank(4, 1)
        figure.text(0.5, 0.5, f"no mistakes among {len(images)} images", ha="center", va="center")
        return figure
    chosen = arrays.to_unit(images[[m.place for m in mistakes]])
    titles = [f"true {name(m.truth, m.p_truth)}\nguess {name(m.guess, m.p_guess)}" for m in mistakes]
    return images_figure(
        list(chosen),
        titles,
        columns=5,
        title="worst mistakes, with the probabilities of the true class and of the guess",
    )


def histograms_figure(parameters: Sequence[Any]) -> Any:
    """Histograms of the weights and of their last gradients, one column a layer; counts on a logarithmic scale.

    parameters: `minidl.Parameter`s; those with two or more dimensions are drawn (biases and norms are left out).
    """
    weights = [p for p in parameters if p.data.ndim > 1]
    if not weights:
        raise ValueError("histograms_figure: none of the parameters has two or more dimensions")
    figure = blank(2.6 * len(weights) + 0.5, 4.8)
    panels = figure.subplots(2, len(weights), squeeze=False)
    for column, p in enumerate(weights):
        for row, (kind, values, colour) in enumerate((("weight", p.data, TRAIN), ("gradient", p.grad, VALIDATION))):
            h = arrays.histogram(values)
            axes = panels[row, column]
            axes.stairs(h.counts, h.edges, fill=True, color=colour)
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.7)
            axes.yaxis.minorticks_off()
            axes.locator_params(axis="x", nbins=4)
            axes.tick_params(labelsize=8)
            axes.ticklabel_format(axis="x", scilimits=(-2, 3))
            broken = f", {h.not_finite} not finite" if h.not_finite else ""
            rms = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
            what = p.name if kind == "weight" else "gradient"
            axes.set_title(f"{what}, rms {rms:.1e}{broken}", fontsize=9)
    for row, kind in enumerate(("weights", "gradients of the last batch")):
        panels[row, 0].set_ylabel(f"{kind}, count", fontsize=9)
    return figure
