"""What excites a filter: the pieces of images to which the first convolution answers most."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl import functional
from minidl.kernels import checks
from minidl.layers.conv import Conv2D
from minidl.layers.walk import walk
from minidl.plots import arrays
from minidl.plots.canvas import SMALL, blank, shown

SIDE = 13
"""Least side of a piece in pixels: without its surroundings a 3 x 3 window says little."""

FRAME = "#e69f00"
"""Orange, apart from grey and from most pictures."""

BATCH = 100
"""Images that are convolved at a time."""


class Patches(NamedTuple):
    """For each of O filters the pieces of images that excite it most, the strongest first, one an image."""

    pictures: np.ndarray
    """(O, count, PH, PW), or (O, count, PH, PW, 3) in colour, floats in [0, 1]; 0.5 outside the image."""
    responses: np.ndarray
    """(O, count): the filter's output there, without bias."""
    places: np.ndarray
    """(O, count, 3) integers: index of the image, top and left pixel of the window (negative in the padding)."""
    window: tuple[int, int, int, int]
    """Top, left, height and width of what the filter sees, within a piece."""


def strongest_patches(model: Any, images: np.ndarray, count: int = 8, limit: int = 1000) -> Patches:
    """The windows of `images` for which the filters of the model's first layer, a Conv2D, give their largest outputs.

    images: (N, C, H, W) as `model.predict` takes them; `limit` of them, evenly spread, are looked at. count: pieces a
    filter, each from another image. Raises ValueError if the model does not begin with a Conv2D.
    """
    who = "strongest_patches"
    count, limit = checks.integer(who, "count", count, 1), checks.integer(who, "limit", limit, 1)
    conv = next((layer for layer in walk(model) if not layer.children()), None)
    if not isinstance(conv, Conv2D):
        raise ValueError(f"{who}: the model must begin with a Conv2D, got {conv!r}")
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"{who}: images must have shape (N, C, H, W), N at least 1, got {images.shape}")
    chosen = np.linspace(0, len(images) - 1, min(len(images), limit)).astype(np.intp)
    scale, shift = (a[:, None, None] for a in model.scaling(images))
    found = []
    for start in range(0, len(chosen), BATCH):
        x = (images[chosen[start : start + BATCH]] * scale + shift).astype(model.dtype)
        y = functional.conv2d_forward(x, conv.weight.data, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        width = y.shape[3]
        y = y.reshape(*y.shape[:2], -1)
        found.append((y.max(axis=2), y.argmax(axis=2)))
    responses, spots = (np.concatenate(parts).T for parts in zip(*found))
    order = np.argsort(-responses, axis=1, kind="stable")[:, :count]
    responses, spots = np.take_along_axis(responses, order, 1), np.take_along_axis(spots, order, 1)
    size = (images.shape[2], images.shape[3])
    high, wide = checks.margins(conv.padding, size, conv.kernel_size, conv.stride, conv.dilation)
    tops = spots // width * conv.stride[0] - high[0]
    lefts = spots % width * conv.stride[1] - wide[0]
    places = np.stack([chosen[order], tops, lefts], axis=2)

    height, width = ((k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation))
    # As much on both sides of the window, and so much around the image that no piece ends outside.
    above, beside = (-(-max(SIDE - size, 0) // 2) for size in (height, width))
    margin = (above + max(high), beside + max(wide))
    used, index = np.unique(places[..., 0], return_inverse=True)
    drawn = arrays.pictures(images[used], who)
    rim = ((0, 0), (margin[0],) * 2, (margin[1],) * 2, *(((0, 0),) if drawn.ndim == 4 else ()))
    drawn = np.pad(drawn, rim, constant_values=0.5)
    index = index.reshape(places.shape[:2])
    tops, lefts = tops + margin[0] - above, lefts + margin[1] - beside
    pieces = [
        [drawn[i, t : t + height + 2 * above, l : l + width + 2 * beside] for i, t, l in zip(*row)]
        for row in zip(index, tops, lefts)
    ]
    return Patches(np.array(pieces), responses, places, (above, beside, height, width))


def patches_figure(
    patches: Patches, weight: Any = None, title: str = "what excites the filters most", most: int = 16
) -> Any:
    """One strip a filter: the pieces of `strongest_patches`, each with a frame around what the filter sees.

    weight: (O, C, KH, KW), the filters themselves, drawn before their strips: in colour with three channels, each
    stretched to its own range, else on one scale, blue negative, red positive, the mean over more channels than one.
    None leaves them out. most: so many filters are shown at most, the first ones; the title says of how many.
    """
    pieces = patches.pictures[:most]
    filters, count, ph, pw = pieces.shape[:4]
    columns = 2 if filters > 4 else 1
    rows = -(-filters // columns)
    figure = blank(
        columns * (0.5 * count + (0.8 if weight is None else 1.4)) + 0.6, rows * (0.5 * ph / pw + 0.06) + 0.6
    )
    top, left, height, width = patches.window
    panels = figure.subplots(rows, columns, squeeze=False)
    drawn = None if weight is None else _drawn_filters(np.asarray(weight, np.float64)[:filters])
    for i, axes in enumerate(panels.T.flat):
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[])
        if i >= filters:
            continue
        if drawn is not None:
            box = (-pw - 3.5, -3.5, ph - 0.5, -0.5)
            image = axes.imshow(drawn[0][i], extent=box, interpolation="nearest", **drawn[1])
        axes.imshow(arrays.drawn_grid(pieces[i], count), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xlim=(-0.5 if drawn is None else -pw - 3.5, count * (pw + 1) - 0.5), ylim=(ph - 0.5, -0.5))
        axes.set_ylabel(f"filter {i}", rotation=0, ha="right", va="center", fontsize=SMALL)
        x0 = np.arange(count) * (pw + 1) + left - 0.5
        x1, y0, y1 = x0 + width, top - 0.5, top + height - 0.5
        axes.plot([x0, x1, x1, x0, x0], [[y] * count for y in (y0, y0, y1, y1, y0)], color=FRAME, lw=1)
    if drawn is not None and drawn[1]:
        figure.colorbar(image, ax=panels, label="weight", pad=0.01)
    figure.suptitle(shown(title, filters, len(patches.pictures)))
    return figure


def _drawn_filters(w: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Filters (O, C, KH, KW) as pictures, and how they are to be coloured."""
    if w.shape[1] == 3:
        return arrays.to_unit(w.transpose(0, 2, 3, 1)), {}
    w = w.mean(axis=1)
    limit = float(np.abs(w[np.isfinite(w)]).max(initial=0)) or 1.0
    return w, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
