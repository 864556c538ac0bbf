"""What one call of `fit` asks for, checked before anything is changed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minidl.kernels import checks
from minidl.support.several import Rows
from minidl.training.augmentation import Augmentation, augmentation
from minidl.training.callbacks.autosave import in_order
from minidl.training.callbacks.base import Callback
from minidl.training.position import Position, as_seed
from minidl.training.samples import Batch, fingerprint, number_columns, training_batches
from minidl.training.settings import settings
from minidl.training.state import Training
from minidl.training.stream import Data, Stream, stream_batches, take

if TYPE_CHECKING:
    from minidl.training.augmentation import Augment


@dataclass(frozen=True)
class Call:
    """One call of `fit`. position: at the beginning. settings: as the script has them."""

    data: Data
    validation: Data | None
    augment: Augmentation | None
    position: Position
    callbacks: Sequence[Any]
    settings: dict[str, str]

    @property
    def ahead(self) -> bool:
        """Whether making a batch takes Python code that a thread can run beside the step."""
        return isinstance(self.data, Stream) or (self.augment is not None and bool(self.augment.functions))

    def batches(self, position: Position, epoch: int) -> Iterator[Batch]:
        """Those of the running epoch (from 0) that are not yet through; `position` is read at once."""
        augment = self.augment
        if augment is not None:
            augment = augment._replace(seed=position.draw or 0, plans={})
        if isinstance(self.data, Stream):
            return stream_batches(self.data, position, epoch, augment)
        return training_batches(self.data, position, epoch, augment)

    def compared(self, batches: Iterator[Batch], position: Position) -> Iterator[Batch]:
        """`batches` as they are; warns (UserWarning) where a run that goes on seems to have got another stream."""
        if isinstance(self.data, Stream):
            return _compared(batches, self.data, position)
        return batches


def _compared(batches: Iterator[Batch], stream: Stream, position: Position) -> Iterator[Batch]:
    for i, batch in enumerate(batches):
        doubt = "" if i else position.begins_with(stream.first, stream.orders)
        if doubt:
            warnings.warn(f"Trainer: training data: {doubt}", UserWarning, stacklevel=5)
        yield batch


def call(
    training: Training,
    data: Any,
    validation: Any,
    epochs: int,
    batch_size: int,
    seed: int | None,
    callbacks: Callback | Iterable[Callback],
    augment: Augment,
    sample_weight: Any,
    coordinates: Any,
) -> Call:
    """The arguments of `Trainer.fit`, checked; raises as it says."""
    epochs = checks.integer("Trainer", "epochs", epochs, 1)
    batch_size = checks.integer("Trainer", "batch_size", batch_size, 1)
    seed = None if seed is None else as_seed("Trainer", seed)
    train = take("training", data, training.model, training.loss, sample_weight)
    judged = None if validation is None else take("validation", validation, training.model, training.loss)
    images, columns = None, None
    if not isinstance(train, Stream):
        images, columns = train.images, number_columns(train, training.loss)
        if isinstance(images, Rows) and augment not in ((), []):
            raise ValueError("Trainer: augment must be () for a model of several inputs: change the images beforehand")
    change = augmentation(augment, images, columns, coordinates)
    words = "" if change is None else change.describe()
    if isinstance(train, Stream):
        position = Position(0, batch_size, epochs, seed, 0, words, train.batches)
    else:
        position = Position(len(train.images), batch_size, epochs, seed, fingerprint(train), words)
    listed = in_order(callbacks)
    return Call(train, judged, change, position, listed, settings(training, listed))
