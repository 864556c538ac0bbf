"""What one sees of a network: its maps for an image, its filters, its gradients, its Relus that never fire."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl import kernels
from minidl.layers import Conv2D, Layer, Linear, Relu
from minidl.layers.walk import below, places
from minidl.live.packed import maps, numbers
from minidl.model import Model
from minidl.plots.arrays import worst_mistakes
from minidl.support.several import Several, side_by_side

FILTERS = 32
PROBED = 64
"""So many images decide whether a Relu is dead."""


class Stage(NamedTuple):
    """One layer at work: its place, itself, the arrays that came in, the array that went out; batches of numpy's.

    sources: the places of the layers that the inputs are from, "" for the image itself.
    """

    place: str
    layer: Layer
    inputs: list[np.ndarray]
    output: np.ndarray
    sources: list[str]


def stages(model: Model, images: np.ndarray) -> list[Stage]:
    """Every layer at work on some images, in the order of computation; layers inside of others one by one.

    It runs on a twin: a training in another thread goes on unharmed. Of several outputs the first is shown.
    """
    model.output_shape(images.shape[1:])
    entered = model._enter(images)
    found: list[Stage] = []
    _follow(model.twin(), entered, "", found, {id(entered): ("", entered)})
    return found


def _follow(layer: Layer, x: Any, place: str, found: list[Stage], made: dict[int, tuple[str, Any]]) -> Any:
    """The output of a layer for the backend's arrays; made: by whom each array is, and it, so that its id stays."""
    leave = kernels.current().leave

    def call(name: str, part: Layer, *inputs: Any) -> Any:
        if part is not layer:
            return _follow(part, side_by_side(part.merges, inputs), below(place, name), found, made)
        y = layer.join(False, *inputs)
        shown = y[0] if isinstance(y, Several) else y
        sources = [made[id(each)][0] if id(each) in made else "" for each in inputs]
        given = [np.asarray(leave(each)) for each in inputs]
        found.append(Stage(place, layer, given, np.asarray(leave(shown)), sources))
        for each in y if isinstance(y, Several) else (y,):
            made[id(each)] = place, each
        return y

    return layer.flow(call, *(x if isinstance(x, Several) else [x]))


def pictured(model: Model, image: np.ndarray) -> list[dict[str, Any]]:
    """The maps of every layer for one image (C, H, W), as the page draws them."""
    return [
        {"place": stage.place, "kind": type(stage.layer).__name__, "maps": maps(stage.output[0])}
        for stage in stages(model, image[None])
    ]


def filters(model: Model, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Weights that are pictures: of every Conv2D, its filters' first channels; of a Linear on the pixels, its rows."""
    found = []
    for place, layer in places(model).items():
        if type(layer) is Conv2D:
            weight = layer.weight.data[:FILTERS]
            shown = weight.reshape(-1, *weight.shape[2:]) if weight.shape[1] in (1, 3) else weight[:, 0]
            found.append({"place": place, "maps": maps(shown)})
        elif type(layer) is Linear and not found and layer.weight.data.shape[1] == np.prod(shape):
            found.append({"place": place, "maps": maps(layer.weight.data[:FILTERS].reshape(-1, *shape)[:, 0])})
    return found


def gradients(model: Model) -> list[dict[str, Any]]:
    """The Euclidean norm of each parameter and of its last gradient."""
    return [
        {"name": name, "grad": norm(parameter.grad), "data": norm(parameter.data)}
        for name, parameter in model.named_parameters().items()
    ]


def norm(array: np.ndarray) -> Any:
    """The square root of the sum of squares, as JSON holds it."""
    flat = array.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers(float(np.sqrt(np.square(flat).sum(dtype=np.float64))))


def dead(model: Model, images: np.ndarray) -> list[dict[str, Any]]:
    """For each Relu how many of its maps, or units, are 0 for all of these images."""
    found = []
    for stage in stages(model, images):
        if isinstance(stage.layer, Relu):
            axes = (0, *range(2, stage.output.ndim))
            alive = np.any(stage.output > 0, axis=axes)
            found.append({"place": stage.place, "dead": int((~alive).sum()), "of": alive.size})
    return found


def judged(scores: np.ndarray, y: np.ndarray, classes: int) -> dict[str, Any]:
    """{"counts": the confusion matrix, "worst": the worst mistakes} of scores (N, K) and labels (N,)."""
    guess = scores.argmax(axis=1)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y, guess), 1)
    worst = [
        {
            "image": m.place,
            "truth": m.truth,
            "guess": m.guess,
            "p_truth": numbers(m.p_truth),
            "p_guess": numbers(m.p_guess),
        }
        for m in worst_mistakes(scores, y, 12)
    ]
    return {"counts": counts.tolist(), "worst": worst, "right": int(np.trace(counts)), "of": len(y)}
