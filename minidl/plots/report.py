"""All pictures of a trained classifier in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.plots import arrays, figures

if TYPE_CHECKING:
    from minidl.data import Views


def _as_pictures(x: np.ndarray) -> np.ndarray:
    """NCHW images as (N, H, W) or, with three channels, (N, H, W, 3)."""
    return x.transpose(0, 2, 3, 1) if x.shape[1] == 3 else x[:, 0]


def save_report(
    model: Any,
    history: Mapping[str, Sequence[float]],
    data: tuple[np.ndarray, np.ndarray],
    folder: str | Path,
    names: Sequence[str] | None = None,
    samples: int = 6,
    views: Views | None = None,
) -> list[Path]:
    """Write all pictures of a trained classifier as PNG into `folder` (made if needed); returns their paths.

    model: a `minidl.Model` just after training (the gradients of its last step are drawn) that starts with a Conv2D.
    history: of the training. data: images (N, C, H, W) with C = 1 or 3 and integer labels (N,) to judge it on. names:
    class names. samples: number of images, of different classes where there are so many, whose first feature maps are
    shown. views: as in `Model.predict`, for the confusion matrix and the mistakes.
    """
    x, y = data
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    logits = model.predict(x, views=views)
    classes = logits.shape[1]
    # One sample of each of the first classes; more maps than 16 would be too small to see.
    first = [int(np.flatnonzero(y == k)[0]) for k in np.unique(y)][:samples]
    label = [str(k) if names is None else names[k] for k in y[first]]
    pictures = _as_pictures(x)
    made = {
        "curves": figures.curves_figure(history),
        "filters": figures.filters_figure(model.parameters()[0].data, "filters of the first layer"),
        "feature_maps": figures.feature_maps_figure(
            pictures[first], arrays.feature_maps(model, x[first])[:, :16], label, "first layer after its Relu"
        ),
        "confusion": figures.confusion_figure(arrays.confusion_counts(y, logits.argmax(axis=1), classes), names),
        "mistakes": figures.mistakes_figure(pictures, arrays.worst_mistakes(logits, y), names),
        "histograms": figures.histograms_figure(model.parameters()),
    }
    paths = []
    for key, figure in made.items():
        paths.append(folder / f"{key}.png")
        figure.savefig(paths[-1])
    return paths
