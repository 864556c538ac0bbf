"""Where one number of one map comes from: the window that it sees, the sums, and the naive loop that computes it.

Every family of layers has a function (stage, place in the output) -> what the page shows:

    words    a sentence
    window   {"source", "channels", "rows", "columns"}: which numbers of the layer's input were seen
    grids    tables of numbers: {"title", "cells", "marked"}
    sums     lines of a calculation: [text, number]
    code     the loop of `minidl.kernels.reference`, see `narrate`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.kernels.reference import activation, conv, linear, norm, pooling, reduce
from minidl.layers import (
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    MaxPool2D,
    Relu,
)
from minidl.live.looks import Stage, stages
from minidl.live.narrate import narrate
from minidl.live.packed import numbers
from minidl.model import Model

CHANNELS = 4
"""So many channels of a window are written out; of the others only their sum."""
TERMS = 8
"""So many of a long sum's terms are written out, the largest ones."""
Place = tuple[int, ...]
Told = dict[str, Any]
SOFTMAX = "softmax"
"""The place of what follows the last layer."""


def explain(model: Model, image: np.ndarray, place: Any, channel: int, row: int, column: int) -> Told:
    """One number of the map that the layer at `place` makes of an image (C, H, W).

    channel, row, column: of its output; of a layer that gives a row of numbers `column` alone counts. Raises ValueError
    for a place or a number that is not there.
    """
    found = stages(model, image[None])
    if place == SOFTMAX:
        return _softmax(found[-1].output, column)
    at = next((i for i, stage in enumerate(found) if stage.place == place), None)
    if at is None:
        raise ValueError(f"the network has no layer at {place!r:.40}")
    stage = found[at]
    where: Place = (channel, row, column) if stage.output.ndim == 4 else (column,)
    if any(index >= size for index, size in zip(where, stage.output.shape[1:])):
        raise ValueError(f"the output of layer {place} has the shape {stage.output.shape[1:]}, nothing is at {where}")
    told: Told = {"words": "", "window": None, "grids": [], "sums": [], "code": None}
    told |= FAMILIES.get(type(stage.layer), _other)(stage, where)
    value = float(stage.output[_first(where)])
    told |= {"place": place, "layer": repr(stage.layer), "where": list(where), "value": numbers(value)}
    after = found[at + 1] if at + 1 < len(found) else None
    if after is not None and type(after.layer) is Relu and after.sources == [place]:
        told["sums"].append([f"the Relu behind it gives max(0, {value:.5g})", numbers(max(0.0, value))])
    return told


def _first(where: Place) -> Place:
    """The place in the only image of a batch."""
    return (0, *where)


def _window(stage: Stage, channels: list[int], rows: Any, columns: Any) -> Told:
    return {"source": stage.sources[0], "channels": channels, "rows": list(rows), "columns": list(columns)}


def _taps(index: int, kernel: int, stride: int, before: int, dilation: int) -> list[int]:
    """Places of the input that a window sees along one axis; those below 0 or beyond the end are padding."""
    return [index * stride - before + k * dilation for k in range(kernel)]


def _seen(plane: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    """The window's numbers, 0 in the padding."""
    H, W = plane.shape
    inside = np.array([[0 <= r < H and 0 <= c < W for c in columns] for r in rows])
    found = plane[np.clip(rows, 0, H - 1)][:, np.clip(columns, 0, W - 1)]
    return np.where(inside, found, 0)


# ---- one function a family -------------------------------------------------------------------------------------------


def _conv(stage: Stage, where: Place) -> Told:
    layer, x = stage.layer, stage.inputs[0]
    assert isinstance(layer, Conv2D)
    o, oh, ow = where
    w, b = layer.weight.data, None if layer.bias is None else layer.bias.data
    CG, KH, KW = w.shape[1:]
    sides = checks.margins(layer.padding, (x.shape[2], x.shape[3]), layer.kernel_size, layer.stride, layer.dilation)
    rows = _taps(oh, KH, layer.stride[0], sides[0][0], layer.dilation[0])
    columns = _taps(ow, KW, layer.stride[1], sides[1][0], layer.dilation[1])
    first = o // (len(w) // layer.groups) * CG
    windows = np.stack([_seen(x[0, first + c], rows, columns) for c in range(CG)])
    products = windows * w[o]
    sums = products.reshape(CG, -1).sum(axis=1)
    grids, lines = [], []
    for c in range(min(CG, CHANNELS)):
        grids += [
            {"title": f"window of map {first + c}", "cells": numbers(windows[c])},
            {"title": f"kernel w[{o}, {c}]", "cells": numbers(w[o, c])},
            {"title": "their products", "cells": numbers(products[c])},
        ]
        lines.append([f"sum of the products with map {first + c}", numbers(float(sums[c]))])
    if CG > CHANNELS:
        lines.append([f"the same of the other {CG - CHANNELS} maps", numbers(float(sums[CHANNELS:].sum()))])
    total = float(sums.sum())
    if b is not None:
        lines.append([f"bias b[{o}]", numbers(float(b[o]))])
        total += float(b[o])
    lines.append(["together: y", numbers(total)])
    arguments = {
        **{"x": x, "w": w, "b": b, "stride": layer.stride, "padding": layer.padding},
        **{"dilation": layer.dilation, "groups": layer.groups},
    }
    plural = "s" * (CG > 1)
    return {
        "words": f"The kernel of map {o} lies over {CG} window{plural} of {KH} x {KW} numbers. Each pair is multiplied,"
        f" all {CG * KH * KW} products are added{'' if b is None else ', and the bias'}.",
        "window": _window(stage, [first + c for c in range(CG)], rows, columns),
        "grids": grids,
        "sums": lines,
        "code": narrate(conv.conv2d_forward, arguments, {"n": 0, "o": o, "oh": oh, "ow": ow}),
    }


def _pool(stage: Stage, where: Place) -> Told:
    layer, x = stage.layer, stage.inputs[0]
    assert isinstance(layer, (MaxPool2D, AvgPool2D))
    c, oh, ow = where
    size, (KH, KW) = (x.shape[2], x.shape[3]), layer.kernel_size
    sides = checks.margins(layer.padding, size, layer.kernel_size, layer.stride, layer.dilation)
    rows = _taps(oh, KH, layer.stride[0], sides[0][0], layer.dilation[0])
    columns = _taps(ow, KW, layer.stride[1], sides[1][0], layer.dilation[1])
    rows, columns = [r for r in rows if 0 <= r < size[0]], [k for k in columns if 0 <= k < size[1]]
    window = x[0, c][rows][:, columns]
    names = ("kernel_size", "stride", "padding", "ceil_mode")
    arguments = {"x": x, **{name: getattr(layer, name) for name in names}}
    pins = {"n": 0, "c": c, "oh": oh, "ow": ow}
    grid: Told = {"title": f"window of map {c}", "cells": numbers(window)}
    told: Told = {"window": _window(stage, [c], rows, columns), "grids": [grid]}
    if isinstance(layer, MaxPool2D):
        best = divmod(int(np.argmax(window)), window.shape[1])
        grid["marked"] = list(best)
        code = narrate(pooling.maxpool2d_forward, {**arguments, "dilation": layer.dilation}, pins)
        words = f"The largest of {window.size} numbers. Only its place gets a gradient on the way back."
        return told | {"words": words, "code": code, "sums": [["the largest", numbers(float(window.max()))]]}
    code = narrate(pooling.avgpool2d_forward, {**arguments, "count_include_pad": layer.count_include_pad}, pins)
    count = KH * KW if layer.count_include_pad else window.size
    total = float(window.sum())
    sums = [["sum", numbers(total)], [f"divided by {count}", numbers(total / count)]]
    return told | {"words": f"The mean of a window of {KH} x {KW} numbers.", "code": code, "sums": sums}


def _global_average(stage: Stage, where: Place) -> Told:
    x, (c,) = stage.inputs[0], where
    H, W = x.shape[2:]
    total = float(x[0, c].sum())
    return {
        "words": f"The mean of the whole map {c}, {H} x {W} numbers.",
        "window": _window(stage, [c], range(H), range(W)),
        "sums": [["sum", numbers(total)], [f"divided by {H * W}", numbers(total / (H * W))]],
        "code": narrate(pooling.global_avgpool_forward, {"x": x}, {"n": 0, "c": c}),
    }


def _norm(stage: Stage, where: Place) -> Told:
    layer, x = stage.layer, stage.inputs[0]
    assert isinstance(layer, BatchNorm2D)
    c = where[0]
    value, mean, var = float(x[_first(where)]), float(layer.running_mean[c]), float(layer.running_var[c])
    gamma, beta = float(layer.gamma.data[c]), float(layer.beta.data[c])
    normal = (value - mean) / np.sqrt(var + layer.eps)
    statistics = {"running_mean": layer.running_mean.copy(), "running_var": layer.running_var.copy()}
    arguments = {"x": x, "gamma": layer.gamma.data, "beta": layer.beta.data, **statistics}
    arguments |= {"momentum": layer.momentum, "eps": layer.eps, "train": False}
    return {
        "words": f"Map {c} is shifted and scaled so that over the training images its mean is about {beta:.3g} and its"
        f" deviation about {abs(gamma):.3g}.",
        "window": _window(stage, [c], where[1:2], where[2:3]),
        "sums": [
            ["x", numbers(value)],
            [f"minus the running mean {mean:.5g}", numbers(value - mean)],
            [f"divided by the deviation, the root of {var:.5g} + {layer.eps:g}", numbers(float(normal))],
            [f"times gamma {gamma:.5g}", numbers(float(normal * gamma))],
            [f"plus beta {beta:.5g}: y", numbers(float(normal * gamma + beta))],
        ],
        "code": narrate(norm.batchnorm_forward, arguments, {"c": c}),
    }


def _linear(stage: Stage, where: Place) -> Told:
    layer, x, (o,) = stage.layer, stage.inputs[0], where
    assert isinstance(layer, Linear)
    w, b = layer.weight.data, None if layer.bias is None else layer.bias.data
    products = x[0] * w[o]
    order = np.argsort(-np.abs(products), kind="stable")[:TERMS]
    lines = [
        [f"x[{i}] {x[0, i]:.4g} times w[{o}, {i}] {w[o, i]:.4g}", numbers(float(products[i]))] for i in order.tolist()
    ]
    others = len(products) - len(order)
    if others:
        rest = float(products.sum() - products[order].sum())
        lines.append([f"the other {others} products", numbers(rest)])
    total = float(products.sum())
    if b is not None:
        lines.append([f"bias b[{o}]", numbers(float(b[o]))])
        total += float(b[o])
    return {
        "words": f"Each of the {x.shape[1]} numbers has a weight; the products are added"
        f"{'' if b is None else ', and the bias'}. The largest {len(order)}:",
        "sums": [*lines, ["together: y", numbers(total)]],
        "code": narrate(linear.linear_forward, {"x": x, "w": w, "b": b}, {"n": 0, "o": o}),
    }


def _relu(stage: Stage, where: Place) -> Told:
    value = float(stage.inputs[0][_first(where)])
    fires = "It is positive and stays." if value > 0 else "It is not positive: 0, and no gradient on the way back."
    channels, rest = ([where[0]], where[1:]) if len(where) == 3 else ([0], (0, where[0]))
    return {
        "words": f"The same place of the input. {fires}",
        "window": _window(stage, channels, rest[:1], rest[1:]),
        "sums": [["x", numbers(value)], ["max(0, x): y", numbers(max(0.0, value))]],
        "code": narrate(activation.relu_forward, {"x": stage.inputs[0]}, {}),
    }


def _flatten(stage: Stage, where: Place) -> Told:
    shape = stage.inputs[0].shape[1:]
    place = [int(k) for k in np.unravel_index(where[0], shape)]
    channel, rows, columns = ([place[0]], place[1:2], place[2:3]) if len(shape) == 3 else ([0], [0], place)
    return {
        "words": f"Nothing is computed: the maps are laid out as one row."
        f" Number {where[0]} was at {place} of the input.",
        "window": _window(stage, channel, rows, columns),
    }


def _other(stage: Stage, where: Place) -> Told:
    kinds = ", ".join(kind.__name__ for kind in FAMILIES)
    return {"words": f"What {type(stage.layer).__name__} computes is not taken apart here; that of {kinds} is."}


def _softmax(scores: np.ndarray, column: int) -> Told:
    if scores.ndim != 2 or column >= scores.shape[1]:
        raise ValueError(f"there are {scores.shape[-1]} scores, counted from 0: no number {column}")
    row = scores[0].astype(np.float64)
    shifted = row - row.max()
    exps = np.exp(shifted)
    value = numbers(float(exps[column] / exps.sum()))
    return {
        "words": "Scores become probabilities: powers of e, divided by their sum. The largest score is subtracted"
        " first, so that no power is too large; the quotients stay the same.",
        "window": None,
        "grids": [
            {"title": "scores", "cells": [numbers(row)], "marked": [0, column]},
            {"title": "powers of e", "cells": [numbers(exps)], "marked": [0, column]},
        ],
        "sums": [
            [f"score {column}", numbers(float(row[column]))],
            [f"minus the largest, {row.max():.5g}", numbers(float(shifted[column]))],
            ["e to the power of it", numbers(float(exps[column]))],
            [f"divided by the sum {exps.sum():.5g}: the probability", value],
        ],
        "code": narrate(reduce.softmax_forward, {"x": scores, "axes": (1,)}, {}),
        "place": SOFTMAX,
        "layer": "softmax of the scores",
        "where": [column],
        "value": value,
    }


FAMILIES: dict[type[Layer], Callable[[Stage, Place], Told]] = {
    Conv2D: _conv,
    MaxPool2D: _pool,
    AvgPool2D: _pool,
    GlobalAvgPool2D: _global_average,
    BatchNorm2D: _norm,
    BatchNorm1D: _norm,
    Relu: _relu,
    Linear: _linear,
    Flatten: _flatten,
}
