"""One step of a training that several ranks do together: each its rows of the batch, the update of all."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from minidl import kernels
from minidl.layers.dropout import Dropout
from minidl.layers.norm import BatchNorm2D
from minidl.layers.walk import walk
from minidl.mpi.buckets import Buckets
from minidl.support.several import Several
from minidl.training.moving import Moving
from minidl.training.samples import Batch
from minidl.training.state import Training
from minidl.training.step import Measured, NonFiniteLoss, Step

Head = np.ndarray
"""Of a rank's rows: their number, weight, mass, loss times mass, right answers, and whether Ctrl-C or SIGTERM came."""


class Part(Batch):
    """The rows of a batch that one rank computes. whole: how many the batch has. first: the place of the first one."""

    whole = 0
    first = 0


class RankStep(Step):
    """A step whose losses and gradients are those of the whole batch, on every rank to the same bits.

    Losses are means; the gradient of a rank's mean counts mass / whole, where mass is what its mean was divided by and
    whole the number of images of all ranks, and in the end all gradients whole / (mass of all ranks).
    """

    compiles = False  # gradients go out layer by layer, while others are still computed

    def __init__(self, ranks: Any, training: Training) -> None:
        super().__init__(training.model, training.loss, training.optimizer, training.average)
        self._ranks = ranks
        self._drops = [layer for layer in walk(self.model) if isinstance(layer, Dropout)]

    def train(self, batch: Batch) -> Measured:
        """One whole step of all ranks; the loss, the right answers, `images`, `weight` and `mass` are those of all.

        Raises NonFiniteLoss on every rank where it is on one, before the update.
        """
        assert isinstance(batch, Part)
        ranks, moving = self._ranks, self.kept()
        for layer in self._drops:
            layer.first_row = batch.first
        try:
            with ranks.by_itself():
                head = self._forward(batch)
                requests = [ranks.sum(head)]
                moved = self._moved(moving, len(batch.rows) / batch.whole)
                if len(moved):
                    requests.append(ranks.sum(moved))
                requests += self._backward(batch.whole)
            ranks.wait(requests)
            measured = self._joined(head, batch)
            self._follow(moving, moved)
            self.update()
        except FloatingPointError:
            moving.restore()
            raise
        return measured

    def _forward(self, batch: Part) -> Head:
        loss, right = self.forward(batch, True)
        self._loss = loss
        with np.errstate(all="ignore"):
            return np.array([self.images, self.weight, self.mass, loss * self.mass, right, *self._ranks.signals()])

    def _joined(self, head: Head, batch: Batch) -> Measured:
        """From the sums over the ranks."""
        images, weight, mass, total, right = map(float, head[:5])
        self._ranks.granted(head[5:])
        if not math.isfinite(total):
            raise NonFiniteLoss(self._loss, batch)
        self.images, self.weight, self.mass = int(images), weight, mass
        if mass and mass != images:
            flat = self._buckets.flat
            flat *= flat.dtype.type(images / mass)
        return total / mass if mass else 0.0, right

    def _backward(self, whole: int) -> list[Any]:
        """Gradients of this rank's share; the sums of the buckets that are on their way."""
        self._buckets: Buckets = self._ranks.buckets(self.parameters)
        self._buckets.begin()
        self.model.run_backward(_scaled(self.loss.dlogits, self.mass / whole), self._buckets.ready)
        return self._buckets.rest()

    def _own(self, moving: Moving) -> list[tuple[np.ndarray, np.ndarray]]:
        """Running statistics that each rank changes by itself, now and before."""
        return [
            (getattr(layer, name), before)
            for layer, name, before in moving.changed()
            if not (isinstance(layer, BatchNorm2D) and layer.across is not None)
        ]

    def _moved(self, moving: Moving, share: float) -> np.ndarray:
        """How running statistics have changed, times the share of the batch that this rank has."""
        changes = [(now - before).ravel() * share for now, before in self._own(moving)]
        return np.concatenate(changes).astype(np.float64) if changes else np.zeros(0)

    def _follow(self, moving: Moving, moved: np.ndarray) -> None:
        """Running statistics of all ranks: a mean of what each has made of the same ones is what their mean becomes."""
        at = 0
        for now, before in self._own(moving):
            now[...] = before + moved[at : at + now.size].reshape(now.shape)
            at += now.size


def _scaled(gradient: Any, share: float) -> Any:
    """The backend's array, or several, times a number."""
    if share == 1:
        return gradient
    if isinstance(gradient, Several):
        return Several(_scaled(each, share) for each in gradient)
    backend = kernels.current()
    values = backend.leave(gradient)
    return backend.enter(values * values.dtype.type(share))


class Clock:
    """Seconds that a rank has waited for the others, in steps. waited: the sum. steps: their number."""

    def __init__(self) -> None:
        self.waited, self.steps = 0.0, 0

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.waited += time.perf_counter() - self._begun
        self.steps += 1
