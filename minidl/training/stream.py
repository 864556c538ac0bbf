"""Data that come in batches: larger than the memory, or out of a loader of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minidl.losses import Loss
from minidl.model import Model
from minidl.training.augmentation import Augmentation, is_function
from minidl.training.position import Position
from minidl.training.samples import Batch, Samples, Shapes, batches, fingerprint, is_batch, number_columns, prepare

WHO = "Trainer"


class Stream:
    """Batches (x, y) or (x, y, weight), each checked when it comes, as `samples.prepare` checks whole sets.

    what: "training", for errors. source: an object that gives a new iterator each time it is iterated, or a function
    without arguments that gives one. batches: how many there are in a pass, where the source has a length; else 0.
    """

    def __init__(self, what: str, source: Any, model: Model, loss: Loss) -> None:
        self.what, self.source, self.model, self.loss = what, source, model, loss
        self.batches = 0
        with contextlib.suppress(TypeError):  # no length, or one that is not known
            self.batches = len(source)
        self.first = 0
        """`fingerprint` of the first batch of the last pass."""
        self._shapes: Shapes = {}

    @property
    def orders(self) -> bool:
        """Whether the source is told the number of each pass."""
        return callable(getattr(self.source, "set_epoch", None))

    def samples(self, epoch: int = 0, skip: int = 0) -> Iterator[Samples]:
        """One pass; the first `skip` batches are drawn, and left out. Raises as `prepare`, naming the batch.

        A source with a method `set_epoch` is told the number of the pass first, as PyTorch's samplers are.
        """
        if self.orders:
            self.source.set_epoch(epoch)
        number = 0
        for number, batch in enumerate(self._begin(), 1):
            if number == 1 or number > skip:
                what = f"{self.what} batch {number}:"
                if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                    kind = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
                    raise TypeError(f"{WHO}: {what} must be (x, y) or (x, y, weight), got {kind}")
                samples = prepare(what, self._kept(batch), self.model, self.loss, shapes=self._shapes)
                if number == 1:
                    self.first = fingerprint(samples) or 1
                if number > skip:
                    yield samples
        if number < max(skip, 1):
            rule = f"at least the {skip} batches that are done" if skip else "at least one batch in each pass"
            raise ValueError(f"{WHO}: {self.what} data must have {rule}, got {number} in pass {epoch + 1}")

    def _kept(self, batch: Any) -> tuple[Any, ...]:
        """Arrays of the batch's own: the next ones are made while it waits, perhaps in the same memory."""
        if isinstance(self.source, list):
            return tuple(batch)
        return tuple(np.array(part) if hasattr(part, "__array__") else part for part in batch)

    def _begin(self) -> Iterator[Any]:
        if isinstance(self.source, Iterable):
            return iter(self.source)
        made = self.source()
        if not isinstance(made, Iterable):
            raise TypeError(f"{WHO}: the function of {self.what} data must give an iterator over batches, got {made!r}")
        return iter(made)


Data = Samples | Stream
"""What a training can take its batches from."""


def take(what: str, data: Any, model: Model, loss: Loss, weight: Any = None) -> Data:
    """A pair (x, y), a triple (x, y, weight), or batches of them; `what` ("training") names it in errors.

    weight: sample weights of a pair. Raises TypeError or ValueError for everything else: see `prepare` and `Stream`.
    """
    listed = isinstance(data, list) and len(data) > 0 and all(map(is_batch, data))
    if isinstance(data, (tuple, list)) and not listed:
        return prepare(what, data, model, loss, weight)
    if isinstance(data, (np.ndarray, str, bytes, dict)) or not (isinstance(data, Iterable) or is_function(data)):
        rule = "or a triple with weights, or what gives batches of either each time it is iterated"
        raise TypeError(f"{WHO}: {what} data must be a pair (x, y), got {type(data).__name__}; {rule}")
    if isinstance(data, Iterator):
        raise TypeError(
            f"{WHO}: {what} data must begin anew for each pass, got a {type(data).__name__}, which is empty after one;"
            " give the function that makes it, without calling it, or a list of its batches"
        )
    if weight is not None:
        raise ValueError(f"{WHO}: sample_weight must be None for data in batches, which are (x, y, weight) themselves")
    return Stream(what, data, model, loss)


def stream_batches(stream: Stream, position: Position, epoch: int, augment: Augmentation | None) -> Iterator[Batch]:
    """The batches of the running epoch (from 0) that are not yet through; everything else is read at once."""
    position.start()
    return _batches(stream, epoch, position.steps, position.done, augment)


def _batches(stream: Stream, epoch: int, step: int, done: int, augment: Augmentation | None) -> Iterator[Batch]:
    for samples in stream.samples(epoch, step):
        batch = samples.all()
        if augment is not None:
            changes = augment.changes(samples.images.shape[1:], epoch, done + batch.rows)
            images = augment.apply(samples.images, epoch, step) if augment.functions else samples.images
            augment.check_range(images)
            augment.check_targets(number_columns(samples, stream.loss))
            moved = augment.targets(changes, samples.target, images.shape[2:])
            batch = Batch(samples._replace(images=images), batch.rows, changes, moved)
        step, done = step + 1, done + len(batch.rows)
        yield batch


def one_pass(data: Data, batch_size: int) -> Iterator[Batch]:
    """All samples as they stand, `batch_size` at a time where they are not in batches already."""
    if isinstance(data, Stream):
        return (samples.all() for samples in data.samples())
    return batches(data, batch_size)
