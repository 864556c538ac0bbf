"""Loss and accuracy of a set of images; nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidl import kernels
from minidl.losses import Loss
from minidl.model import Model
from minidl.training.interrupt import Interrupt
from minidl.training.samples import Batch, Samples, batches
from minidl.training.step import Step

if TYPE_CHECKING:
    from minidl.data.augment.views import Views


def measure(
    model: Model, loss: Loss, data: Samples, batch_size: int, interrupt: Interrupt, views: Views | None = None
) -> dict[str, float]:
    """{"loss": mean loss, "accuracy": share of right answers, NaN without classes}, `batch_size` images at a time.

    interrupt: is granted between two batches. views: as `Model.predict` takes them.
    """

    def through_views(batch: Batch) -> Any:
        return kernels.current().enter(model.predict(batch.images(), len(batch.rows), views))

    step = Step(model, loss)
    total = right = 0.0
    for batch in batches(data, batch_size):
        value, correct = step.forward(batch, scores=None if views is None else through_views)
        total += value * len(batch.rows)
        right += correct
        interrupt.check()
    model.release()
    return {"loss": total / len(data.images), "accuracy": right / len(data.images)}
