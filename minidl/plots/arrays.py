"""What the pictures show, as numpy arrays: grids of images, feature maps, confusion counts, mistakes, histograms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels import checks


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


def in_layout(images: np.ndarray, who: str) -> np.ndarray:
    """Images (N, H, W), (N, C, H, W) or (N, H, W, C) as they are drawn: (N, H, W), or (N, H, W, 3) in colour.

    Four axes are (N, C, H, W), the library's layout, unless only the last axis can be that of 1 or 3 channels. Of any
    other number of channels the mean is drawn. Raises ValueError, which names `who`, for other shapes.
    """
    x = np.asarray(images)
    if x.ndim == 3:
        return x
    if x.ndim != 4:
        raise ValueError(f"{who}: images must have shape (N, C, H, W), (N, H, W, C) or (N, H, W), got {x.shape}")
    if x.shape[1] in (1, 3) or x.shape[3] not in (1, 3):
        x = x.transpose(0, 2, 3, 1)
    if x.shape[3] == 3:
        return x
    return x[..., 0] if x.shape[3] == 1 else x.mean(axis=3)


def square(size: int) -> tuple[int, int, int] | None:
    """The shape (C, k, k), C 1 or 3 and k at least 8, of an image of so many numbers; None if there is none."""
    found = [(c, math.isqrt(size // c)) for c in (1, 3)]
    return next(((c, k, k) for c, k in found if c * k * k == size and k >= 8), None)


def pictures(images: np.ndarray, who: str = "pictures") -> np.ndarray:
    """Images of any layout and scale as they are drawn: (N, H, W), or (N, H, W, 3) in colour, float64 in [0, 1].

    images: as in `in_layout`; or rows (N, F) of a square's pixels, F = k k or 3 k k with k at least 8. uint8 is taken
    as 0 to 255 (to the largest value, if all are below 128), floats in [0, 1] stay; each other image is stretched to
    its own range. What is not finite becomes 0. Raises ValueError, which names `who`, for other shapes.
    """
    x = images = np.asarray(images)
    if x.ndim == 2:
        shape = square(x.shape[1])
        if shape is None:
            raise ValueError(f"{who}: rows of {x.shape[1]} numbers are no square images")
        x = x.reshape(len(x), *shape)
    x = in_layout(x, who)
    if images.dtype == np.uint8:
        top = int(images.max(initial=0))
        return x / (255.0 if top > 127 else max(top, 1))
    x = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return x if x.size and x.min() >= 0 and x.max() <= 1 else to_unit(x)


def image_grid(images: np.ndarray, columns: int | None = None, gap: int = 1, fill: float = 1.0) -> np.ndarray:
    """Lay images side by side into one picture, row by row.

    images: (M, H, W), (M, C, H, W) or (M, H, W, C) with M >= 1 and C = 1 or 3, values as they shall appear; what both
    could be is (M, C, H, W). columns: images a row; None makes the grid as square as possible. gap: width in pixels of
    the lines between images, filled with `fill`, as are missing images of the last row. Returns (R*H + (R-1)*gap,
    columns*W + (columns-1)*gap), with three channels the same with a last axis of 3. Raises ValueError for other
    shapes.
    """
    x = np.asarray(images)
    if x.ndim not in (3, 4) or (x.ndim == 4 and not {x.shape[1], x.shape[3]} & {1, 3}):
        raise ValueError(
            f"image_grid: images must have shape (M, H, W), (M, C, H, W) or (M, H, W, C), C 1 or 3, got {x.shape}"
        )
    return drawn_grid(in_layout(x, "image_grid"), columns, gap, fill)


def drawn_grid(x: np.ndarray, columns: int | None = None, gap: int = 1, fill: float = 1.0) -> np.ndarray:
    """`image_grid` of images that are (M, H, W) or (M, H, W, 3)."""
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
    takes the first Relu, whose maps show what the first convolution reacts to, and without one the first layer that
    makes maps. Raises ValueError if there is no such layer or if its output has no maps.
    """
    return named_maps(model, x, layer)[1]


def named_maps(model: Any, x: np.ndarray, layer: str | None = None) -> tuple[str, np.ndarray]:
    """The layer that `feature_maps` takes, and its maps."""
    activations = model.activations(x)
    names = ", ".join(name for name, _ in activations)
    if layer is None:
        maps = [(name, y) for name, y in activations if y.ndim == 4]
        if not maps:
            raise ValueError(f"feature_maps: no layer makes maps (N, C, H, W) among {names}")
        return next(((name, y) for name, y in maps if "relu" in name.lower()), maps[0])
    found = [(name, y) for name, y in activations if name == layer]
    if not found:
        raise ValueError(f"feature_maps: no layer {layer!r} among {names}")
    if found[0][1].ndim != 4:
        raise ValueError(f"feature_maps: the output of {layer} must have shape (N, C, H, W), got {found[0][1].shape}")
    return found[0]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row of logits (N, K), in float64, shifted by the maximum."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def class_labels(who: str, name: str, values: Any, classes: int) -> np.ndarray:
    """Class labels (N,) of any integer dtype as intp: arithmetic in uint8 or int8 would wrap around.

    Raises TypeError or ValueError, which names `who`, for other dtypes, shapes, and labels outside [0, classes).
    """
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise ValueError(f"{who}: {name} must be a vector of class labels (N,), got {labels.shape}")
    if not labels.size:
        return np.zeros(0, np.intp)
    if labels.dtype.kind not in "iub":
        raise TypeError(f"{who}: {name} must be integers, got dtype {labels.dtype}; numbers: astype(int)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{who}: {name} must lie in [0, {classes}), got {low} to {high}")
    return labels.astype(np.intp)


def confusion_counts(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) integers: entry [t, g] counts the images of class t that were taken for class g.

    truth, guess: (N,) integers of any dtype in [0, classes). Raises ValueError or TypeError for other values or
    unequal lengths.
    """
    classes = checks.integer("confusion_counts", "classes", classes, 1)
    if np.ndim(truth) != 1 or np.shape(truth) != np.shape(guess):
        raise ValueError(
            "confusion_counts: truth and guess must be vectors of one length,"
            f" got {np.shape(truth)} and {np.shape(guess)}"
        )
    t = class_labels("confusion_counts", "truth", truth, classes)
    g = class_labels("confusion_counts", "guess", guess, classes)
    return np.bincount(t * classes + g, minlength=classes * classes).reshape(classes, classes)


def worst_mistakes(logits: np.ndarray, truth: np.ndarray, count: int = 20) -> list[Mistake]:
    """The wrongly classified images with the least probability for their true class, the worst first; at most `count`.

    logits: (N, K); a NaN for the true class is the worst of all. truth: (N,) integers of any dtype in [0, K). Raises
    ValueError or TypeError for others.
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or np.shape(truth) != logits.shape[:1]:
        raise ValueError(
            "worst_mistakes: logits must be (N, K) and truth (N,), one label a row,"
            f" got {logits.shape} and {np.shape(truth)}"
        )
    count = checks.integer("worst_mistakes", "count", count, 0)
    p = probabilities(logits)
    labels = class_labels("worst_mistakes", "truth", truth, logits.shape[1])
    guess = np.argmax(logits, axis=1)
    p_truth = p[np.arange(len(p)), labels]
    wrong = np.flatnonzero(guess != labels)
    worst = wrong[np.argsort(np.nan_to_num(p_truth[wrong], nan=-1.0), kind="stable")][:count]
    return [Mistake(int(i), int(labels[i]), int(guess[i]), float(p_truth[i]), float(p[i, guess[i]])) for i in worst]


def histogram(values: np.ndarray) -> Histogram:
    """Histogram of an array of any shape between its smallest and largest finite value.

    It has 10 to 60 bins, more where there are more values.
    """
    flat = np.asarray(values).ravel()
    finite = flat[np.isfinite(flat)].astype(np.float64)
    counts, edges = np.histogram(finite, int(np.clip(2 * np.sqrt(finite.size), 10, 60)))
    return Histogram(counts, edges, int(flat.size - finite.size))
