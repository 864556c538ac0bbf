"""Images, what a layer makes of them, and what it learnt: each function takes arrays and returns a Figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.plots import arrays
from minidl.plots.canvas import SMALL, TRAIN, VALIDATION, blank, cut, shown, tiles


def images_figure(images: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4, title: str = "") -> Any:
    """Images side by side, each with its title above.

    images: arrays (H, W), shown in grey, (C, H, W) or (H, W, C) with C = 1 or 3, uint8 or in [0, 1]. Sizes may differ.
    Raises ValueError for other shapes, or another number of titles.
    """
    if len(images) != len(titles) or not len(images):
        raise ValueError(f"images_figure: titles must have one an image, got {len(titles)} and {len(images)} images")
    drawn = [arrays.pictures(np.asarray(image)[None], "images_figure")[0] for image in images]
    columns = max(1, min(columns, len(drawn)))
    rows = -(-len(drawn) // columns)
    width = 2.6 if columns < 4 else 1.8
    height = width * max(image.shape[0] / image.shape[1] for image in drawn)
    lines = max(text.count("\n") for text in titles) + 1
    figure, panels = tiles(rows, columns, (width, height), 0.05, 0.1 + 0.16 * lines, title)
    for i, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if i < len(drawn):
            axes.imshow(drawn[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(titles[i], fontsize=SMALL, pad=3)
    return figure


def feature_maps_figure(
    images: np.ndarray, maps: np.ndarray, labels: Sequence[str], title: str = "", most: int = 16
) -> Any:
    """One row a sample: the image, then the maps that a layer made of it.

    images: (N, C, H, W), (N, H, W, C) or (N, H, W). maps: (N, C, OH, OW). labels: N names of the samples. Each map
    column has one scale, from black at its smallest to white at its largest value over all samples, so that samples can
    be compared down a column. most: so many maps are shown at most, the first ones; the title says of how many.
    """
    every = np.asarray(maps)
    maps = every[:, :most]
    n, c = maps.shape[:2]
    drawn = [arrays.pictures(images, "feature_maps_figure")]
    drawn += [arrays.to_unit(maps[:, i], together=True) for i in range(c)]
    h, w = drawn[0].shape[1:3]
    texts = [str(label) for label in labels]
    title = shown(title, c, every.shape[1])
    figure, panels = tiles(n, c + 1, (1.0, h / w), 0.2 + 0.09 * max(map(len, texts)), 0.2 / n, title)
    for row, column in np.ndindex(panels.shape):
        axes = panels[row, column]
        axes.imshow(drawn[column][row], cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[])
        if column == 0:
            axes.set_ylabel(texts[row], rotation=0, ha="right", va="center")
        if row == 0:
            axes.set_title("input" if column == 0 else f"map {column - 1}", fontsize=SMALL, pad=3)
    return figure


def mistake_title(mistake: arrays.Mistake, names: Sequence[str] | None = None) -> str:
    """The classes of a mistake, true and predicted, each with the model's probability."""

    def name(k: int, p: float) -> str:
        text = cut(str(k if names is None else names[k]), 12)
        return f"{text}  {'<0.1%' if p < 0.001 else f'{p:.1%}'}"

    return f"true {name(mistake.truth, mistake.p_truth)}\nguess {name(mistake.guess, mistake.p_guess)}"


def mistakes_figure(
    images: np.ndarray,
    mistakes: Sequence[arrays.Mistake],
    names: Sequence[str] | None = None,
    total: int | None = None,
) -> Any:
    """The images of `worst_mistakes` with their true and guessed classes and the model's probabilities for both.

    images: the whole data set, (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 or floats; `mistakes` holds the
    positions. total: how many mistakes there are, if not all are shown; the title says so.
    """
    if not mistakes:
        figure = blank(4, 1)
        figure.text(0.5, 0.5, f"no mistakes among {len(images):,} images", ha="center", va="center")
        return figure
    drawn = arrays.pictures(np.asarray(images)[[m.place for m in mistakes]], "mistakes_figure")
    return images_figure(
        list(drawn),
        [mistake_title(mistake, names) for mistake in mistakes],
        columns=5,
        title=shown("worst mistakes", len(mistakes), total or len(mistakes))
        + "\nwith the probabilities of the true class and of the guess",
    )


def histograms_figure(parameters: Sequence[Any], most: int = 8) -> Any:
    """Histograms of the weights and of their last gradients, one column a layer; counts on a logarithmic scale.

    parameters: `minidl.Parameter`s; those with two or more dimensions are drawn (biases and norms are left out), at
    most so many, evenly spread over the depth. Raises ValueError if there is none.
    """
    every = [p for p in parameters if p.data.ndim > 1]
    if not every:
        raise ValueError("histograms_figure: none of the parameters has two or more dimensions")
    weights = [every[i] for i in np.linspace(0, len(every) - 1, min(len(every), most)).astype(int)]
    figure = blank(max(2.6 * len(weights) + 0.5, 3.6), 4.8)
    if len(weights) < len(every):
        figure.suptitle(shown("weights and gradients", len(weights), len(every)))
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
            axes.set_title(f"{what}, rms {rms:.1e}{broken}", fontsize=SMALL)
    for row, kind in enumerate(("weights", "gradients of the last batch")):
        panels[row, 0].set_ylabel(f"{kind}, count", fontsize=SMALL)
    return figure
