"""Gradients against central differences, in float64.

For a function f of parameters and input, a random upstream gradient dy and each entry t of a tensor,

    numeric = sum(dy * (f(t + h) - f(t - h))) / 2h,   h = eps * max(1, |t|)

must equal what `backward` says. The truncation error falls as h^2 and the rounding error grows as 1/h; with h = 1e-5
both are near 1e-10 of the largest gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.base import Layer
from minidl.layers.walk import reseed, trace
from minidl.losses import Loss
from minidl.model import Model, as_images
from minidl.support.table import table

MOVES = 8
"""How often an input near a kink is moved before its entries at kinks are left out."""

Difference = Callable[[np.ndarray, int, float], "float | None"]
"""(tensor as a vector, i, h) -> sum(dy * (f(t + h) - f(t - h))) for its entry i, None if a kink lies between."""


@dataclass(frozen=True)
class Row:
    """One tensor: its worst entry, and how many entries were compared.

    error: |analytic - numeric| / max(|analytic|, |numeric|, floor); the floor is a thousandth of the largest gradient
    of all tensors, so that sums that cancel to nothing (a bias before batch normalisation) are not judged by their
    rounding.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    kinks: int
    error: float
    where: tuple[int, ...]
    analytic: float
    numeric: float
    passed: bool


@dataclass(frozen=True)
class Report:
    """The result of `gradcheck`, true if every tensor passed; `print` shows a table."""

    what: str
    tolerance: float
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every tensor's largest error is at most the tolerance."""
        return all(row.passed for row in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        head = ("tensor", "shape", "checked", "at kinks", "largest error", "at", "analytic", "numeric", "")
        rows = [
            (
                row.name,
                str(row.shape),
                str(row.checked),
                str(row.kinks) if row.kinks else "",
                f"{row.error:.1e}",
                str(row.where),
                f"{row.analytic:.9g}",
                f"{row.numeric:.9g}",
                "ok" if row.passed else "WRONG",
            )
            for row in self.rows
        ]
        verdict = "passed" if self.passed else "FAILED"
        return f"gradcheck of {self.what}: {verdict}, tolerance {self.tolerance:g}\n" + table(head, rows, (0, 1, 5, 8))


def gradcheck(
    thing: Layer | Loss,
    x: Any,
    target: Any = None,
    *,
    eps: float = 1e-5,
    tolerance: float = 1e-6,
    samples: int = 100,
    train: bool = True,
    seed: int = 0,
) -> Report:
    """Compare the gradients of a layer, model or loss with central differences, on the backend in use.

    thing: it stays as it is, the work is done on a deep copy in float64. x: a small batch as `thing` takes it; of a
    loss the predictions. target: of a loss, its targets. eps: step of the differences. tolerance: largest relative
    error that passes. samples: entries to compare in each tensor, drawn at random from larger ones. train: the mode of
    the forward pass (in training batch normalisation uses the batch's statistics, and a dropout mask is drawn once and
    kept). seed: of the upstream gradient, the drawn entries and the masks.

    Kinks: Relu, LeakyRelu, Elu and max pooling have none of the gradient that a difference across their kink would
    show. If a step of eps crosses one (`Layer.kinks` tells), x is moved as a whole by noise of about 1 % of
    its spread, up to `MOVES` times; entries that still sit at a kink are left out and counted.
    Raises TypeError for anything but layers and losses, and what `thing` raises for an x that it cannot take.
    """
    rng = np.random.default_rng(seed)
    if isinstance(thing, Loss):
        return _check_loss(thing, x, target, eps, tolerance, samples, rng)
    if not isinstance(thing, Layer):
        raise TypeError(f"gradcheck: expected a layer, a model or a loss, got {thing!r}")
    layer = copy.deepcopy(thing).astype(np.float64)
    x = _input(layer, x)
    probe = _Probe(layer, train, int(rng.integers(2**63)))
    spread = float(x.std()) or 1.0
    for _ in range(MOVES):
        side = eps * rng.choice([-4.0, 4.0], x.shape)
        if probe(x + side)[1] == probe(x - side)[1]:
            break
        x += 0.01 * spread * rng.standard_normal(x.shape)

    y = probe.forward(x)
    dy = rng.standard_normal(y.shape)
    tensors = {"input": (x, layer.backward(dy))}
    tensors |= {name: (each.data, each.grad.copy()) for name, each in layer.named_parameters().items()}

    def difference(flat: np.ndarray, i: int, h: float) -> float | None:
        kept = flat[i]
        flat[i] = kept + h
        above, pattern = probe(x)
        flat[i] = kept - h
        below, other = probe(x)
        flat[i] = kept
        return float(np.sum(dy * (above - below))) if pattern == other else None

    what = repr(thing) if len(repr(thing)) < 60 else thing.who
    return Report(what, tolerance, _rows(tensors, difference, eps, tolerance, samples, rng))


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

    return Report(loss.who, tolerance, _rows(tensors, difference, eps, tolerance, samples, rng))


class _Probe:
    """The layer as a function of x without memory: the same dropout masks in every call."""

    def __init__(self, layer: Layer, train: bool, seed: int) -> None:
        self.layer = layer
        self.train = train
        self.seed = seed

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output as users compute it, fused where the backend fuses."""
        reseed(self.layer, self.seed)
        return self.layer.forward(x, self.train)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, bytes]:
        """The output, and on which side of every kink it was computed."""
        reseed(self.layer, self.seed)
        backend = kernels.current()
        y = trace(self.layer, backend.enter(x), self.train, lambda place, layer, y: None)
        pattern = b"".join(array.tobytes() for array in self.layer.kinks())
        # A copy: the output of an identity may be x itself.
        return np.array(backend.leave(y)), pattern


def _input(layer: Layer, x: Any) -> np.ndarray:
    """A float64 copy of x, scaled as a model does it."""
    if isinstance(layer, Model):
        images = as_images(layer.who, "input", x)
        if images.dtype == np.uint8:
            return kernels.current().leave(layer._enter(images))
    return np.array(checks.float_array(layer.who, "input", x, np.float64))


def _rows(
    tensors: dict[str, tuple[np.ndarray, np.ndarray]],
    difference: Difference,
    eps: float,
    tolerance: float,
    samples: int,
    rng: np.random.Generator,
) -> tuple[Row, ...]:
    largest = max(float(np.abs(grad).max(initial=0.0)) for _, grad in tensors.values())
    floor = max(1e-3 * largest, np.finfo(np.float64).tiny)
    rows = []
    for name, (data, grad) in tensors.items():
        flat, analytic = data.reshape(-1), grad.reshape(-1)
        entries = np.arange(flat.size)
        if flat.size > samples:
            entries = np.sort(rng.choice(flat.size, samples, replace=False))
        worst = (-1.0, 0, np.nan, np.nan)
        checked = 0
        for i in entries.tolist():
            h = eps * max(1.0, abs(float(flat[i])))
            change = difference(flat, i, h)
            if change is None:
                continue
            checked += 1
            numeric, exact = change / (2 * h), float(analytic[i])
            error = abs(exact - numeric) / max(abs(exact), abs(numeric), floor)
            # A NaN on either side is the worst error of all.
            error = error if error == error else np.inf
            if error > worst[0]:
                worst = (error, i, exact, numeric)
        where = tuple(int(k) for k in np.unravel_index(worst[1], data.shape)) if flat.size else ()
        passed = worst[0] <= tolerance and (checked > 0 or not flat.size)
        kinks = len(entries) - checked
        rows.append(Row(name, data.shape, checked, kinks, max(worst[0], 0.0), where, worst[2], worst[3], passed))
    return tuple(rows)
