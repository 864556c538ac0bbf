"""The network of an estimator, with what stands before and behind it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.layers import Layer
from minidl.model import Model
from minidl.sklearn.layout import Layout
from minidl.sklearn.networks import Chosen
from minidl.sklearn.rows import spread
from minidl.sklearn.targets import Numbers, Target, affine


class Built(NamedTuple):
    """trained: from rows to standardised targets. finished: the same layers, from rows to what `y` was."""

    trained: Model
    finished: Model


def build(chosen: Chosen, target: Target, images: np.ndarray, weight: np.ndarray | None) -> Built:
    """The network between a standardisation of the `images` (N, ...), by mean and std of these, and the targets' units.

    Of uint8 the model's mean and std are set, else a frozen layer is put first. Rows (N, F) of float64 are computed
    with in float64. A user's function's network stays as it is; its layers are taken over. Raises ValueError where the
    unit of y is too large for the dtype.
    """
    network, front = chosen.model, []
    mean, std = network.mean, network.std
    wide = images.dtype == np.float64 and images.ndim == 2 and not chosen.raw
    if not chosen.raw:
        mean, std = spread(images, (0, 2, 3) if images.ndim == 4 else (0,), weight, 1e-12 if wide else 1e-7)
        if images.dtype == np.uint8:
            mean, std = mean / 255, std / 255
        else:
            front = [affine(1 / std, -mean / std, "standardize")]
            mean, std = network.mean, network.std
    inside: list[Layer] = list(network.layers) if type(network) is Model else [network]
    names = getattr(target, "classes", None)
    options: dict[str, Any] = {
        "dtype": "float64" if wide else network.dtype.name,
        "mean": mean.tolist(),
        "std": std.tolist(),
        "class_names": None if names is None else [str(name) for name in names],
        "multi_label": target.multi_label,
        "name": network.name,
    }
    if (
        isinstance(target, Numbers)
        and not max(np.abs(target.mean).max(), target.std.max()) <= np.finfo(options["dtype"]).max
    ):
        raise ValueError(f"Input y contains a value too large for dtype('{options['dtype']}').")
    trained = Model(*front, *inside, **options)
    behind = target.behind()
    return Built(trained, Model(*front, *inside, *behind, **options) if behind else trained)


def entering(model: Model, layout: Layout, rows: np.ndarray, pixels: bool) -> np.ndarray:
    """Rows as the model takes them. pixels: whether it was trained on uint8.

    Floats then count as pixels from 0 to 255 that somebody has converted. Raises ValueError where a number does not
    fit into the model's dtype.
    """
    x = layout.arrange(rows)
    if pixels and x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):
        floats = x.astype(model.dtype, copy=False)
    if x.dtype == np.float64 and model.dtype != np.float64 and not np.isfinite(floats).all():
        raise ValueError("Input X contains a value too large for dtype('float32').")
    if not pixels:
        return floats
    scale, shift = (value.reshape(-1, *(1,) * (x.ndim - 2)) for value in model.scaling(x[:0].astype(np.uint8)))
    return floats * scale + shift
