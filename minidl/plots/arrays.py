"""What the pictures show, as numpy arrays: grids of images, feature maps, confusion counts, mistakes, histograms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Mistake(NamedTuple):
    """One image that was classified wrongly."""

    place: int
    """Index in the data set."""
    truth: int
    guess: int
    p_truth: float
    """Probability that the model gave to the true class."""
    p_guess: float


class Histogram(NamedTuple):
    """How many values lie between edges[i] and edges[i + 1]."""

    counts: np.ndarray
    """(bins,) integers."""
    edges: np.ndarray
    """(bins + 1,) floats."""
    not_finite: int
    """Number of NaN and infinite values, which no bin holds."""


def to_unit(images: np.ndarray, together: bool = False) -> np.ndarray:
    """Stretch images (M, ...) linearly to [0, 1], as float64.

    together: one minimum and maximum for all images instead of one for each. A constant image becomes 0.
    """
    x = np.asarray(images, np.float64)
    if not x.size:
        return x
    axes = None if together else tuple(range(1, x.ndim))
    low, high = x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)
    span = high - low
    return np.divide(x - low, span, out=np.zeros_like(x), where=span > 0)


def image_grid(images: np.ndarray, columns: int | None = None, gap: int = 1, fill: float = 1.0) -> np.ndarray:
    """Lay images side by side into one picture, row by row.

    images: (M, H, W) or (M, H, W, 3) with M >= 1, values as they shall appear. columns: images a row; None makes the
    grid as square as possible. gap: width in pixels of the lines between images, filled with `fill`, as are missing
    images of the last row. Returns (R*H + (R-1)*gap, columns*W + (columns-1)*gap) or the same with a last axis of 3.
    Raises ValueError for other shapes.
    """
    x = np.asarray(images)
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] != 3):
        raise ValueError(f"image_grid: images must have shape (M, H, W) or (M, H, W, 3), got {x.shape}")
    m, h, w = x.shape[:3]
    if columns is None:
        columns = int(np.ceil(np.sqrt(m)))
    if m < 1 or columns < 1:
        raise ValueError(f"image_grid: images and columns must be at least 1, got {m} and {columns}")
    rows = -(-m // columns)
    shape = (rows * (h + gap) - gap, columns * (w + gap) - gap, *x.shape[3:])
    grid = np.full(shape, fill, np.result_type(x.dtype, np.float32))
    for i, image in enumerate(x):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        grid[top : top + h, left : left + w] = image
    return grid


def feature_maps(model: Any, x: np.ndarray, layer: str | None = None) -> np.ndarray:
    """What a layer makes of some images: (N, C, H, W).

    model: a `minidl.Model`. x: a batch as `model.predict` takes it. layer: a name out of `model.activations`; None
    takes the first Relu, whose maps show what the first convolution reacts to. Raises ValueError if there is no such
    layer or if its output has no maps.
    """
    activations = model.activations(x)
    if layer is None:
        found = [(name, y) for name, y in activations if "relu" in name.lower()][:1]
    else:
        found = [(name, y) for name, y in activations if name == layer]
    if not found:
        names = ", ".join(name for name, _ in activations)
        raise ValueError(f"feature_maps: no layer {'Relu' if layer is None else repr(layer)} among {names}")
    name, y = found[0]
    if y.ndim != 4:
        raise ValueError(f"feature_maps: the output of {name} must have shape (N, C, H, W), got {y.shape}")
    return y


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row of logits (N, K), in float64, shifted by the maximum."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def confusion_counts(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) integers: entry [t, g] counts the images of class t that were taken for class g.

    truth, guess: (N,) integers in [0, classes). Raises ValueError for other values or unequal lengths.
    """
    t, g = np.asarray(truth), np.asarray(guess)
    if t.ndim != 1 or t.shape != g.shape:
        raise ValueError(
            f"confusion_counts: truth and guess must be vectors of one length, got {t.shape} and {g.shape}"
        )
    for name, a in (("truth", t), ("guess", g)):
        if a.size and not (a.min() >= 0 and a.max() < classes):
            raise ValueError(f"confusion_counts: {name} must lie in [0, {classes}), got {a.min()} to {a.max()}")
    return np.bincount(t * classes + g, minlength=classes * classes).reshape(classes, classes)


def worst_mistakes(logits: np.ndarray, truth: np.ndarray, count: int = 20) -> list[Mistake]:
    """The wrongly classified images with the least probability for their true class, the worst first; at most `count`.

    logits: (N, K). truth: (N,) integers in [0, K).
    """
    p = probabilities(logits)
    truth = np.asarray(truth)
    guess = np.argmax(logits, axis=1)
    p_truth = p[np.arange(len(p)), truth]
    wrong = np.flatnonzero(guess != truth)
    worst = wrong[np.argsort(p_truth[wrong], kind="stable")][:count]
    return [Mistake(int(i), int(truth[i]), int(guess[i]), float(p_truth[i]), float(p[i, guess[i]])) for i in worst]


def histogram(values: np.ndarray) -> Histogram:
    """Histogram of an array of any shape between its smallest and largest finite value.

    It has 10 to 60 bins, more where there are more values.
    """
    flat = np.asarray(values).ravel()
    finite = flat[np.isfinite(flat)].astype(np.float64)
    counts, edges = np.histogram(finite, int(np.clip(2 * np.sqrt(finite.size), 10, 60)))
    return Histogram(counts, edges, int(flat.size - finite.size))
