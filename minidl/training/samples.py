"""Images and targets of a training, checked once, so that its steps can use them as they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses import Loss
from minidl.model import Model, as_images
from minidl.training.position import Position

if TYPE_CHECKING:
    from minidl.data.augment.pipeline import Plan


class Samples(NamedTuple):
    """Checked images and targets.

    images: (M, C, H, W) or (M, F), C-contiguous, uint8, float32 or float64. target: as the loss's `run` takes its rows.
    labels: (M,) class indices where target is one-hot, else None. scale, shift: for the backend's `gather`.
    plan: how the images are changed in each epoch, or None.
    """

    images: np.ndarray
    target: np.ndarray
    labels: np.ndarray | None
    scale: np.ndarray
    shift: np.ndarray
    plan: Plan | None = None


class Batch(NamedTuple):
    """`rows` (N,) of `Samples`, by their numbers; moves: how each of their images is changed, for `gather`, or None."""

    samples: Samples
    rows: np.ndarray
    moves: np.ndarray | None = None

    def images(self) -> np.ndarray:
        """As they are in the samples, neither scaled nor moved."""
        return self.samples.images[self.rows]

    def target(self) -> np.ndarray:
        """As the loss's `run` takes it."""
        return self.samples.target[self.rows]

    def labels(self) -> np.ndarray | None:
        """Class indices where the target is one-hot, else None."""
        return None if self.samples.labels is None else self.samples.labels[self.rows]

    def enter(self) -> Any:
        """The images as the backend's array, scaled and moved, in one pass."""
        data = self.samples
        return kernels.current().gather(data.images, self.rows, data.scale, data.shift, moves=self.moves)


def training_batches(samples: Samples, position: Position, epoch: int) -> Iterator[Batch]:
    """The batches of the running epoch (from 0) that are not yet through, in the order that `position` draws."""
    order = position.order()
    moves = None
    if samples.plan is not None:
        moves = replace(samples.plan, seed=position.draw or 0).moves(epoch, order)
    for start in range(position.done, len(order), position.batch_size):
        part = slice(start, start + position.batch_size)
        yield Batch(samples, order[part], None if moves is None else moves[part])


def batches(samples: Samples, batch_size: int) -> Iterator[Batch]:
    """All samples as they stand, `batch_size` at a time."""
    order = np.arange(len(samples.images))
    for start in range(0, len(order), batch_size):
        yield Batch(samples, order[start : start + batch_size])


def prepare(what: str, data: Any, model: Model, loss: Loss) -> Samples:
    """A pair (x, y) for this model and loss; `what` ("training") names it in errors.

    x: (M, C, H, W) or (M, F), M at least 1, uint8 or float. C-contiguous arrays of uint8, float32 or float64 in the
    machine's byte order are used in place, also read-only and memory-mapped ones. Anything else harmless (strided,
    Fortran-ordered, byte-swapped, float16) is copied once as a whole; a memory-mapped set should therefore have one of
    the former kinds. y: as the loss takes it, one entry an image.
    Raises TypeError or ValueError that names data, layer or loss for everything else.
    """
    who = "Trainer"
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{who}: {what} data must be a pair (x, y), got {type(data).__name__}")
    images = as_images(who, f"{what} x", data[0])
    y = np.asarray(data[1])
    if y.ndim == 0 or len(y) != len(images):
        length = "a single value" if y.ndim == 0 else str(len(y))
        raise ValueError(f"{who}: {what} x and y must have the same length, got {len(images)} and {length}")
    if not len(images):
        raise ValueError(f"{who}: {what} data must have at least one image, got x of shape {images.shape}")
    shape = model.output_shape(images.shape[1:])
    target = loss.prepare(y, (len(images), *shape), model.dtype)
    scale, shift = model.scaling(images)
    if images.dtype == np.uint8:
        images = np.require(images, requirements=["C_CONTIGUOUS", "ALIGNED"])
    else:
        images = checks.float_array(who, f"{what} x", images)
    return Samples(images, target, _one_hot_labels(target), scale, shift)


def fingerprint(samples: Samples) -> int:
    """A number that other images or targets hardly share: the CRC-32 of shapes, dtypes and 256 rows of both."""
    number = 0
    for array in (samples.images, samples.target):
        rows = np.linspace(0, len(array) - 1, min(len(array), 256)).astype(np.intp)
        number = zlib.crc32(f"{array.shape} {array.dtype}".encode(), number)
        number = zlib.crc32(np.ascontiguousarray(array[rows]).tobytes(), number)
    return number


def _one_hot_labels(target: np.ndarray) -> np.ndarray | None:
    """Class indices of one-hot rows, None for any other target."""
    if target.ndim != 2 or target.shape[1] < 2:
        return None
    if np.count_nonzero(target) != len(target) or not (target.max(axis=1) == 1).all():
        return None
    return target.argmax(axis=1)
