"""The pictures: each function takes arrays and returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.plots import arrays

TRAIN, VALIDATION = "#0b5394", "#cc4c02"
"""Two colours that stay apart in grey print and for colour-blind readers."""


def _figure(width: float, height: float, **kwargs: Any) -> Any:
    """An empty Figure of this size in inches, or an ImportError that tells how to get matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("minidl.plots draws with matplotlib: pip install 'minidl[plot]'") from error
    return Figure(figsize=(width, height), dpi=110, layout="constrained", **kwargs)


def curves_figure(history: Mapping[str, Sequence[float]], title: str = "") -> Any:
    """Loss and accuracy against the epoch, for the training and (where recorded) the validation set.

    history: a `minidl.History` or any mapping with the lists train_loss, train_accuracy and, if they are not empty,
    val_loss, val_accuracy, one entry an epoch; accuracies in [0, 1].
    """
    figure = _figure(9, 3.6)
    if title:
        figure.suptitle(title)
    panels = (("loss", "cross-entropy loss", 1), ("accuracy", "accuracy / %", 100))
    for axes, (key, label, factor) in zip(figure.subplots(1, 2), panels, strict=True):
        for part, name, colour in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
            values = np.asarray(history.get(f"{part}_{key}", []), float) * factor
            if np.isfinite(values).any():
                axes.plot(np.arange(1, len(values) + 1), values, "o-", ms=3, color=colour, label=name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def comparison_figure(histories: Mapping[str, Mapping[str, Sequence[float]]], title: str = "") -> Any:
    """Validation accuracy against the epoch, one line for each of several trainings.

    histories: name -> `minidl.History` (or mapping) with the list val_accuracy in [0, 1].
    """
    figure = _figure(5.5, 3.8)
    axes = figure.subplots()
    for (name, history), marker in zip(histories.items(), "osv^Dx" * len(histories), strict=False):
        values = 100 * np.asarray(history["val_accuracy"], float)
        axes.plot(np.arange(1, len(values) + 1), values, marker=marker, ms=4, label=name)
    axes.set(xlabel="epoch", ylabel="validation accuracy / %", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def lines_figure(lines: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str = "") -> Any:
    """One-dimensional signals over their index, each with its name; later ones thinner, so that equal lines show."""
    figure = _figure(8, 3.2)
    axes = figure.subplots()
    for i, (name, values) in enumerate(lines.items()):
        axes.plot(values, label=name, linewidth=max(1.0, 3.0 - i))
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def images_figure(images: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4, title: str = "") -> Any:
    """Images side by side, each with its title above.

    images: arrays (H, W), shown in grey, or (H, W, 3), in [0, 1]. Sizes may differ.
    """
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    figure = _figure(2.1 * columns + 0.4, 2.4 * rows + (0.5 if title else 0.2))
    if title:
        figure.suptitle(title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if i < len(images):
            axes.imshow(images[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(titles[i], fontsize=9)
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
    figure = _figure(1.05 * (c + 1) + 0.4, 1.05 * n + 0.7)
    figure.suptitle(title or "feature maps")
    for row, panels in enumerate(figure.subplots(n, c + 1, squeeze=False)):
        panels[0].set_ylabel(labels[row])
        for column, axes in enumerate(panels):
            axes.imshow(shown[column][row], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title("input" if column == 0 else f"map {column - 1}", fontsize=9)
    return figure


def filters_figure(weight: np.ndarray, title: str = "filters") -> Any:
    """The filters of a convolution as a grid.

    weight: (O, C, KH, KW). With three channels each filter is a colour picture, stretched to its own range; else each
    of the O x C kernels is drawn on one scale, blue negative, white zero, red positive: with one channel as a square
    grid, with more as one row for each output channel.
    """
    w = np.asarray(weight, np.float64)
    o, c, kh, kw = w.shape
    if c == 3:
        grid = arrays.image_grid(arrays.to_unit(w.transpose(0, 2, 3, 1)))
        figure = _figure(5, 5.3)
        axes = figure.subplots()
        axes.imshow(grid, interpolation="nearest")
    else:
        columns = min(o, 8) if c == 1 else c
        grid = arrays.image_grid(w.reshape(o * c, kh, kw), columns, fill=np.nan)
        figure = _figure(0.8 * columns + 1.6, 0.8 * (-(-o * c // columns)) + 0.9)
        axes = figure.subplots()
        limit = float(np.abs(w).max(initial=0)) or 1.0
        picture = axes.imshow(grid, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_facecolor("0.75")  # seen through the NaN between the kernels: white would look like a weight of zero
        figure.colorbar(picture, ax=axes, label="weight")
    axes.set(xticks=[], yticks=[])
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
    figure = _figure(0.55 * k + 1.8, 0.55 * k + 1.6)
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

    def name(k: int) -> str:
        return str(k) if names is None else names[k]

    if not mistakes:
        figure = _figure(4, 1)
        figure.text(0.5, 0.5, f"no mistakes among {len(images)} images", ha="center", va="center")
        return figure
    chosen = arrays.to_unit(images[[m.index for m in mistakes]])
    titles = [f"true {name(m.truth)}  {m.p_truth:.1%}\nguess {name(m.guess)}  {m.p_guess:.1%}" for m in mistakes]
    return images_figure(
        list(chosen), titles, columns=5, title="worst mistakes, with the probability given to either class"
    )


def histograms_figure(parameters: Sequence[Any]) -> Any:
    """Histograms of the weights and of their last gradients, one column a layer; counts on a logarithmic scale.

    parameters: `minidl.Parameter`s; those with two or more dimensions are drawn (biases and norms are left out).
    """
    weights = [p for p in parameters if p.data.ndim > 1]
    if not weights:
        raise ValueError("histograms_figure: none of the parameters has two or more dimensions")
    figure = _figure(2.6 * len(weights) + 0.5, 4.8)
    panels = figure.subplots(2, len(weights), squeeze=False)
    for column, p in enumerate(weights):
        for row, (kind, values, colour) in enumerate((("weight", p.data, TRAIN), ("gradient", p.grad, VALIDATION))):
            h = arrays.histogram(values)
            axes = panels[row, column]
            axes.stairs(h.counts, h.edges, fill=True, color=colour)
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.7)
            axes.yaxis.set_minor_formatter("")
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
