"""Gradients against central differences, in float64.

For a function f of parameters and input, a random upstream gradient dy and each entry t of a tensor,

    numeric = sum(dy * (f(t + h) - f(t - h))) / 2h,   h = eps * max(1, |t|)

must equal what `backward` says. The truncation error falls as h^2 and the rounding error grows as 1/h; with h = 1e-5
both are near 1e-10 of the largest gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import kernels
from minidl.checks.differences import Report, rows_of
from minidl.kernels import checks
from minidl.layers.base import Layer
from minidl.layers.walk import reseed, trace
from minidl.losses import Loss
from minidl.model import Model, as_images
from minidl.support.several import Several, side_by_side

MOVES = 8
"""How often an input near a kink is moved before its entries at kinks are left out."""

Functions = tuple[Callable[..., Any], Callable[..., Any]]
"""forward and backward, on numpy arrays."""


def gradcheck(
    thing: Layer | Loss | Functions,
    x: Any,
    target: Any = None,
    *,
    eps: float = 1e-5,
    tolerance: float = 1e-6,
    samples: int = 100,
    train: bool = True,
    seed: int = 0,
) -> Report:
    """Compare the gradients of a layer, model, loss or pair of functions with central differences, on this backend.

    thing: it stays as it is, the work is done on a deep copy in float64. x: a small batch as `thing` takes it, a list
    of arrays for several inputs; of a loss the predictions. A pair (forward, backward) is of functions on numpy arrays:
    forward(x) -> y and backward(dy, x) -> dx, or forward(x) -> (y, cache) and backward(dy, cache) -> dx. With x a tuple
    of arrays (input, weights, ...) forward gets each as an argument, and backward gives the gradients in this order,
    None for one that is not to be compared. target: of a loss, its targets. eps: step of the differences. tolerance:
    largest relative error that passes. samples: entries to compare in each tensor, drawn at random from larger ones.
    train: the mode of the forward pass (in training batch normalisation uses the batch's statistics, and a dropout mask
    is drawn once and kept). seed: of the upstream gradient, the drawn entries and the masks.

    Kinks: Relu, LeakyRelu, Elu and max pooling have none of the gradient that a difference across their kink would
    show. If a step of eps crosses one (`Layer.kinks` tells), x is moved as a whole by noise of about 1 % of
    its spread, up to `MOVES` times; entries that still sit at a kink are left out and counted.
    Raises TypeError for anything but layers, losses and pairs of functions, and what `thing` raises for an x that it
    cannot take.
    """
    eps = checks.real("gradcheck", "eps", eps, "positive", lambda v: v > 0)
    rng = np.random.default_rng(seed)
    if isinstance(thing, Loss):
        return _check_loss(thing, x, target, eps, tolerance, samples, rng)
    if isinstance(thing, tuple) and len(thing) == 2 and all(map(callable, thing)):
        return _check_functions(*thing, x, eps, tolerance, samples, rng)
    if not isinstance(thing, Layer):
        raise TypeError(
            f"gradcheck: expected a layer, a model, a loss or a pair of functions (forward, backward), got {thing!r}"
        )
    layer = copy.deepcopy(thing).astype(np.float64)
    xs = _inputs(layer, x)
    probe = _Probe(layer, train, int(rng.integers(2**63)))
    probe.forward(xs)  # raises for inputs that the layer cannot take; `trace` would not
    spreads = [float(x.std()) or 1.0 for x in xs]
    for _ in range(MOVES):
        sides = [eps * rng.choice([-4.0, 4.0], x.shape) for x in xs]
        if probe([x + side for x, side in zip(xs, sides)])[1] == probe([x - side for x, side in zip(xs, sides)])[1]:
            break
        for x, spread in zip(xs, spreads):
            x += 0.01 * spread * rng.standard_normal(x.shape)

    dys = [rng.standard_normal(y.shape) for y in probe.forward(xs)]
    dx = layer.backward(dys if layer.outputs > 1 else dys[0])
    inputs = [(f"input {i}", each) for i, each in enumerate(dx)] if layer.merges else [("input", dx)]
    tensors = {name: (x, each) for x, (name, each) in zip(xs, inputs)}
    tensors |= {name: (each.data, each.grad.copy()) for name, each in layer.named_parameters().items()}

    def difference(flat: np.ndarray, i: int, h: float) -> float | None:
        kept = flat[i]
        flat[i] = kept + h
        above, pattern = probe(xs)
        flat[i] = kept - h
        below, other = probe(xs)
        flat[i] = kept
        if pattern != other:
            return None
        return sum(float(np.sum(dy * (y - z))) for dy, y, z in zip(dys, above, below))

    what = repr(thing) if len(repr(thing)) < 60 else thing.who
    return Report(what, tolerance, rows_of(tensors, difference, eps, tolerance, samples, rng))


def _check_loss(
    loss: Loss, x: Any, target: Any, eps: float, tolerance: float, samples: int, rng: np.random.Generator
) -> Report:
    if target is None:
        raise TypeError(f"gradcheck: {loss.who} needs a target")
    x = np.array(checks.float_array(loss.who, "predictions", x, np.float64))
    loss.forward(x, target)
    tensors = {"predictions": (x, loss.backward())}

    def difference(flat: np.ndarray, i: int, h: float) -> float:
        kept = flat[i]
        flat[i] = kept + h
        above = loss.forward(x, target)
        flat[i] = kept - h
        below = loss.forward(x, target)
        flat[i] = kept
        return above - below

    return Report(loss.who, tolerance, rows_of(tensors, difference, eps, tolerance, samples, rng))


def _check_functions(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x: Any,
    eps: float,
    tolerance: float,
    samples: int,
    rng: np.random.Generator,
) -> Report:
    who = f"({getattr(forward, '__name__', forward)}, {getattr(backward, '__name__', backward)})"
    several = isinstance(x, tuple)
    arrays = [np.array(checks.float_array(who, f"x[{i}]", a, np.float64)) for i, a in enumerate(x if several else (x,))]

    def output() -> tuple[np.ndarray, Any]:
        found = forward(*(array.copy() for array in arrays))
        y, cache = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        return np.array(checks.float_array(who, "what forward gives", y, np.float64)), (y is not found, cache)

    y, (cached, cache) = output()
    dy = rng.standard_normal(y.shape)
    found = backward(dy.copy(), cache) if cached else backward(dy.copy(), *(array.copy() for array in arrays))
    gradients = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(gradients) != len(arrays):
        raise ValueError(f"gradcheck: backward of {who} must give {len(arrays)} gradients, got {len(gradients)}")
    tensors = {}
    for i, (array, gradient) in enumerate(zip(arrays, gradients)):
        if gradient is not None:
            name = f"x[{i}]" if several else "input"
            gradient = np.array(checks.float_array(who, f"the gradient of {name}", gradient, np.float64))
            checks.same_shape(who, f"the gradient of {name}", gradient.shape, array.shape, "its own")
            tensors[name] = (array, gradient)

    def difference(flat: np.ndarray, i: int, h: float) -> float:
        kept = flat[i]
        flat[i] = kept + h
        above, _ = output()
        flat[i] = kept - h
        below, _ = output()
        flat[i] = kept
        return float(np.sum(dy * (above - below)))

    return Report(who, tolerance, rows_of(tensors, difference, eps, tolerance, samples, rng))


class _Probe:
    """The layer as a function of x without memory: the same dropout masks in every call."""

    def __init__(self, layer: Layer, train: bool, seed: int) -> None:
        self.layer = layer
        self.train = train
        self.seed = seed

    def forward(self, xs: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs as users compute them, fused where the backend fuses."""
        reseed(self.layer, self.seed)
        y = self.layer.forward(xs if self.layer.merges else xs[0], self.train)
        return y if isinstance(y, list) else [y]

    def __call__(self, xs: list[np.ndarray]) -> tuple[list[np.ndarray], bytes]:
        """The outputs, and on which side of every kink they were computed."""
        reseed(self.layer, self.seed)
        backend = kernels.current()
        x = side_by_side(self.layer.merges, [backend.enter(x) for x in xs])
        y = trace(self.layer, x, self.train, lambda place, layer, y: None)
        pattern = b"".join(array.tobytes() for array in self.layer.kinks())
        # Copies: the output of an identity may be x itself.
        return [np.array(backend.leave(each)) for each in (y if isinstance(y, Several) else [y])], pattern


def _inputs(layer: Layer, x: Any) -> list[np.ndarray]:
    """A float64 copy of each input, scaled as a model does it."""
    if not layer.merges:
        return [_input(layer, "input", x)]
    if not isinstance(x, (list, tuple)) or not x:
        raise TypeError(f"{layer.who}: input must be a list of arrays, one for each input, got {type(x).__name__}")
    return [_input(layer, f"input {i}", each) for i, each in enumerate(x)]


def _input(layer: Layer, name: str, x: Any) -> np.ndarray:
    if isinstance(layer, Model):
        images = as_images(layer.who, name, x)
        if images.dtype == np.uint8:
            return kernels.current().leave(layer._enter(images))
    return np.array(checks.float_array(layer.who, name, x, np.float64))
