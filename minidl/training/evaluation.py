"""Loss, accuracy and metrics of a set of images; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minidl import kernels
from minidl.losses import Loss
from minidl.model import Model
from minidl.training.interrupt import Interrupt
from minidl.training.measures import Metric, compute
from minidl.training.parallel import ALONE, Parallel, Scored
from minidl.training.samples import Batch
from minidl.training.step import Step
from minidl.training.stream import Data, Stream

if TYPE_CHECKING:
    from minidl.data.augment.views import Views


def measure(
    model: Model,
    loss: Loss,
    data: Data,
    batch_size: int,
    interrupt: Interrupt,
    views: Views | None = None,
    metrics: Mapping[str, Metric] | None = None,
    parallel: Parallel = ALONE,
) -> dict[str, float]:
    """{"loss": mean loss, "accuracy": share of right answers, NaN without classes}, `batch_size` images at a time.

    With sample weights both are weighted means; the loss is one with weights of classes, too, whatever the batches.
    interrupt: is granted between two batches. views: as `Model.predict` takes them. metrics: are computed over all
    scores, and have their names beside the two. parallel: the processes that measure together.
    """
    backend = kernels.current()
    if model.outputs > 1 and (metrics or views is not None):
        raise ValueError(f"Trainer: metrics and views are for a model with one output, got {model.outputs}")
    parts: Scored = []

    def scores(batch: Batch) -> Any:
        if views is not None:
            found = backend.enter(model.predict(batch.images(), len(batch.rows), views))
        else:
            found = model.run(batch.enter(), False)
        if metrics:
            parts.append((backend.leave(found), batch.samples.y[batch.rows], batch.weight()))
        return found

    step = Step(model, loss)
    total = right = mass = weights = 0.0
    with making(parallel.judged(data, batch_size), isinstance(data, Stream), interrupt.check) as batches:
        for batch in batches:
            value, correct = step.forward(batch, scores=scores if metrics or views is not None else None)
            if step.weight:
                total += value * step.mass
                right += correct
                mass += step.mass
                weights += step.weight
            interrupt.check()
    model.release()
    (total, right, mass, weights), parts = parallel.joined([total, right, mass, weights], parts)
    if not weights:
        raise ValueError("Trainer: at least one weight of the data must be positive")
    loss_mean = total / mass if mass else 0.0  # classes without weight cost nothing
    return {"loss": loss_mean, "accuracy": right / weights, **(compute(metrics, parts) if metrics else {})}


@contextmanager
def making(source: Iterator[Batch], ahead: bool, check: Callable[[], None]) -> Iterator[Iterator[Batch]]:
    """The batches of `source`; ahead: whether a thread makes them before they are needed (see `minidl.training.ahead`).

    Either way `source` is closed at the end.
    """
    if ahead:
        from minidl.training.ahead import Ahead

        with Ahead(source, check) as batches:
            yield batches
        return
    try:
        yield source
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
