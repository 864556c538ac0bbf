"""Images and targets of a training, checked once, so that its steps can use them as they are."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.losses import Loss, MultiLoss
from minidl.model import Model, as_images
from minidl.support.several import Rows, Several, alike, listed, parts
from minidl.training.arrays import as_array, check_finite
from minidl.training.augmentation import Augmentation
from minidl.training.outputs import are_classes, check_outputs
from minidl.training.position import Position

if TYPE_CHECKING:
    from minidl.data.augment.pipeline import Changes

Shapes = dict[tuple[int, ...], tuple[int, ...]]
"""Shape of the scores by that of an image, so that the batches of a stream need not ask the model again."""


class Kind(NamedTuple):
    """Images of one shape and dtype; x scale + shift, channel by channel, is what the model takes, None for x."""

    shape: tuple[int, ...]
    dtype: np.dtype
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None


class Samples(NamedTuple):
    """Checked images and targets.

    images: (M, C, H, W) or (M, F), C-contiguous, uint8, float32 or float64; `Rows` of them for a model of several
    inputs, and of targets for one of several outputs. target: as the loss's `run` takes its rows.
    labels: (M,) class indices where target is one-hot, else None. scale, shift: for the backend's `gather`. y: the
    targets as they were given. weight: (M,) of the model's dtype, or None.
    """

    images: Any
    target: Any
    labels: np.ndarray | None
    scale: Any
    shift: Any
    y: Any
    weight: np.ndarray | None = None

    def all(self) -> Batch:
        """All of them as one batch."""
        return Batch(self, np.arange(len(self.images), dtype=np.intp))


class Batch(NamedTuple):
    """`rows` (N,) of `Samples`, by their numbers.

    changes: what happens to each of their images, or None. moved: their targets, where coordinates moved with them.
    """

    samples: Samples
    rows: np.ndarray
    changes: Changes | None = None
    moved: np.ndarray | None = None

    def images(self) -> np.ndarray:
        """As they are in the samples, neither scaled nor moved."""
        return self.samples.images[self.rows]

    def target(self) -> np.ndarray:
        """As the loss's `run` takes it."""
        return self.samples.target[self.rows] if self.moved is None else self.moved

    def labels(self) -> np.ndarray | None:
        """Class indices where the target is one-hot, else None."""
        return None if self.samples.labels is None else self.samples.labels[self.rows]

    def weight(self) -> np.ndarray | None:
        """Sample weights (N,), or None."""
        return None if self.samples.weight is None else self.samples.weight[self.rows]

    def enter(self, infer: bool = False) -> Any:
        """The images as the backend's array, scaled and changed, in one pass. infer: as the backend's `gather`."""
        data, gather = self.samples, kernels.current().gather
        if isinstance(data.images, Rows):
            inputs = zip(data.images.arrays, parts(data.scale), parts(data.shift))
            return Several(gather(images, self.rows, scale, shift, infer) for images, scale, shift in inputs)
        moves, colors = (None, None) if self.changes is None else self.changes
        return gather(data.images, self.rows, data.scale, data.shift, infer, moves=moves, colors=colors)

    def plain(self) -> list[np.ndarray]:
        """The images of each input as arrays, not yet scaled by `Samples`, but for images that are changed."""
        if self.changes is not None:
            # Image after image: few are not first spread over lanes, for `leave` to take out again.
            return [kernels.current().leave(self.enter(infer=True))]
        return [array[self.rows] for array in parts(self.samples.images)]

    def kinds(self, dtype: np.dtype) -> list[Kind]:
        """What each array of `plain` is; changed images have the model's `dtype`."""
        data = self.samples
        if self.changes is not None:
            return [Kind(data.images.shape[1:], dtype)]
        inputs = zip(parts(data.images), parts(data.scale), parts(data.shift))
        return [
            Kind(array.shape[1:], array.dtype, *((scale, shift) if array.dtype == np.uint8 else ()))
            for array, scale, shift in inputs
        ]


def training_batches(
    samples: Samples, position: Position, epoch: int, augment: Augmentation | None = None
) -> Iterator[Batch]:
    """The batches of the running epoch (from 0) that are not yet through, in the order that `position` draws.

    What `position` says is read at once; the batches are made when they are asked for.
    """
    order = position.order()
    changes = None if augment is None else augment.changes(samples.images.shape[1:], epoch, order)
    return _in_order(samples, order, changes, position.done, position.batch_size, epoch, augment)


def _in_order(
    samples: Samples,
    order: np.ndarray,
    changes: Changes | None,
    done: int,
    batch_size: int,
    epoch: int,
    augment: Augmentation | None,
) -> Iterator[Batch]:
    for start in range(done, len(order), batch_size):
        part = slice(start, start + batch_size)
        batch = Batch(samples, order[part], None if changes is None else changes.part(part))
        if augment is not None:
            target = batch.target() if augment.coordinates else samples.target
            batch = batch._replace(moved=augment.targets(batch.changes, target, samples.images.shape[2:]))
        if augment is not None and augment.functions:
            rows, labels = batch.rows, batch.labels()
            images = augment.apply(batch.images(), epoch, start // batch_size)
            changed = samples._replace(
                images=images, target=batch.target(), labels=labels, y=samples.y[rows], weight=batch.weight()
            )
            batch = Batch(changed, np.arange(len(rows), dtype=np.intp), batch.changes)
        yield batch


def batches(samples: Samples, batch_size: int) -> Iterator[Batch]:
    """All samples as they stand, `batch_size` at a time."""
    order = np.arange(len(samples.images), dtype=np.intp)
    for start in range(0, len(order), batch_size):
        yield Batch(samples, order[start : start + batch_size])


def prepare(
    what: str, data: Any, model: Model, loss: Loss, weight: Any = None, shapes: Shapes | None = None
) -> Samples:
    """A pair (x, y) for this model and loss, or a triple (x, y, weight); `what` ("training") names it in errors.

    x: (M, C, H, W) or (M, F), M at least 1, uint8 or float. C-contiguous arrays of uint8, float32 or float64 in the
    machine's byte order are used in place, also read-only and memory-mapped ones. Anything else harmless (strided,
    Fortran-ordered, byte-swapped, float16, what has `__array__`) is copied once as a whole; a memory-mapped set should
    therefore have one of the former kinds. y: as the loss takes it, one entry an image. weight: in place of the
    triple's, (M,) of at least 0. shapes: is filled. All numbers must be finite; memory-mapped images are not read
    through for that. Raises TypeError or ValueError that names data, layer or loss for everything else.
    """
    who = "Trainer"
    if model.outputs > 1 and not isinstance(loss, MultiLoss):
        raise TypeError(f"{who}: a model with {model.outputs} outputs needs a MultiLoss, got {loss!r}")
    if model.outputs == 1 and isinstance(loss, MultiLoss):
        raise TypeError(f"{who}: a model with 1 output needs a loss for one output, got {loss!r}")
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        length = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
        rule = "or a triple with weights, or a list of batches of either"
        raise TypeError(f"{who}: {what} data must be a pair (x, y), got {type(data).__name__}{length}; {rule}")
    if len(data) == 2 and not model.merges and all(map(is_batch, data)):
        raise TypeError(f"{who}: {what} data must be a pair (x, y), got two pairs; batches must be a list of them")
    if len(data) == 3 and weight is not None:
        raise ValueError(f"{who}: sample_weight must be None for {what} data that are (x, y, weight)")
    images = _taken(f"{what} x", data[0], model._inputs() if model.merges else 0, _as_images)
    y = _taken(f"{what} y", data[1], model.outputs if model.outputs > 1 else 0, as_array)
    if y.ndim == 0 or len(y) != len(images):
        length = "a single value" if y.ndim == 0 else str(len(y))
        raise ValueError(f"{who}: {what} x and y must have the same length, got {len(images)} and {length}")
    if not len(images):
        raise ValueError(f"{who}: {what} data must have at least one image, got x of shape {images.shape}")
    for given, array in zip(data[0] if model.merges else (data[0],), parts(images), strict=True):
        if not isinstance(given, np.memmap):
            check_finite(who, f"{what} x", array)
    for array in parts(y):
        check_finite(who, f"{what} y", array)
    whole, shapes = shapes is None, {} if shapes is None else shapes
    new = images.shape[1:] not in shapes
    if new:
        for array in parts(images):
            model.warn_of_range(array, f"{what} x")
        shapes[images.shape[1:]] = model.output_shape(images.shape[1:])
    outputs = shapes[images.shape[1:]]
    target = loss.prepare(y, (len(images), *outputs), model.dtype)
    labels = one_hot_labels(target)
    if new:
        check_outputs(what, model, loss, target, labels, outputs)
    weight = data[2] if len(data) == 3 else weight
    if weight is not None:
        name = f"the weights of {what} data"
        weight = checks.weights(who, name, as_array(who, name, weight), len(images), "one a row", model.dtype)
        if whole and not weight.any():
            raise ValueError(f"{who}: at least one of {name} must be positive")
        _check_takes_weights(loss)
    scaled = [model.scaling(array) for array in parts(images)]
    images = alike(images, [_usable(f"{what} x", array) for array in parts(images)])
    scale, shift = (Rows(each) if len(scaled) > 1 else each[0] for each in zip(*scaled))
    return Samples(images, target, labels, scale, shift, y, weight)


def _as_images(who: str, name: str, x: Any) -> np.ndarray:
    return as_images(who, name, as_array(who, name, x))


def _taken(name: str, value: Any, count: int, take: Callable[[str, str, Any], np.ndarray]) -> Any:
    """One array, or `Rows` of as many as the model has inputs or outputs; count 0: one array."""
    if not count:
        return take("Trainer", name, value)
    values = listed("Trainer", name, value, count, "as the model has so many")
    arrays = [take("Trainer", f"{name} {i}", each) for i, each in enumerate(values)]
    if len({array.shape[:1] for array in arrays}) > 1:
        raise ValueError(f"Trainer: {name} must have the same length, got {[array.shape for array in arrays]}")
    return Rows(arrays)


def _usable(name: str, images: np.ndarray) -> np.ndarray:
    """As the backend's `gather` takes them."""
    if images.dtype == np.uint8:
        return np.require(images, requirements=["C_CONTIGUOUS", "ALIGNED"])
    return checks.float_array("Trainer", name, images)


def observe(samples: Samples, model: Model, loss: Any) -> None:
    """Tell a loss what it is to be trained on."""
    if isinstance(loss, Loss):
        loss.observe(samples.target, (len(samples.y), *model.output_shape(samples.images.shape[1:])))


def is_batch(value: Any) -> bool:
    """Whether it looks like (x, y) or (x, y, weight) with an array of images x, and not like images or targets."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        return False
    shapes = [getattr(each, "shape", ()) for each in value[:2]]
    return len(shapes[0]) > 1 and (len(shapes[1]) < len(shapes[0]) or len(shapes[1]) == 2)


def _check_takes_weights(loss: Loss) -> None:
    """Refuse a loss whose `run` has no third argument."""
    taken = list(inspect.signature(loss.run).parameters.values())
    if len(taken) < 3 and not any(each.kind is each.VAR_POSITIONAL for each in taken):
        raise TypeError(
            f"Trainer: the loss {type(loss).__name__} takes no sample weights: its run(scores, target) must have a"
            " third argument weight"
        )


def number_columns(samples: Samples, loss: Loss) -> int | None:
    """How many numbers a regression's targets are for each image, 0 where they are no rows; None for classes."""
    if are_classes(loss, samples.target, samples.labels):
        return None
    return samples.target.shape[1] if samples.target.ndim == 2 else 0


def fingerprint(samples: Samples) -> int:
    """A number that other images or targets hardly share: the CRC-32 of shapes, dtypes and 256 rows of both."""
    number = 0
    for array in (*parts(samples.images), *parts(samples.target), samples.weight):
        if array is None:
            continue
        rows = sampled(len(array))
        number = zlib.crc32(f"{array.shape} {array.dtype}".encode(), number)
        number = zlib.crc32(np.ascontiguousarray(array[rows]).tobytes(), number)
    return number


def sampled(count: int) -> np.ndarray:
    """The rows of so many that a `fingerprint` sees."""
    return np.linspace(0, count - 1, min(count, 256)).astype(np.intp)


def one_hot_labels(target: np.ndarray) -> np.ndarray | None:
    """Class indices of one-hot rows, None for any other target."""
    if target.ndim != 2 or target.shape[1] < 2:
        return None
    if np.count_nonzero(target) != len(target) or not (target.max(axis=1) == 1).all():
        return None
    return target.argmax(axis=1)
