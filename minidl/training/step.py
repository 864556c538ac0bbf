"""One step of a training: forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import kernels
from minidl.losses import Loss
from minidl.model import Model
from minidl.optim.weight_average import WeightAverage
from minidl.support.several import Several
from minidl.training.moving import Moving
from minidl.training.samples import Batch

NAN = float("nan")


Measured = tuple[float, float]
"""Mean loss over the batch, and how many of its images were answered rightly; NaN without classes.

With sample weights w the mean is sum(w l) / sum(w), and instead of their number the sum of the right ones' weights."""


class NonFiniteLoss(FloatingPointError):
    """The `loss` of a `batch` that is no finite number, found before the backward pass; all is as before the step."""

    def __init__(self, loss: float, batch: Batch) -> None:
        super().__init__(f"the loss became {loss}")
        self.loss = loss
        self.batch = batch


class Step:
    """The way of a batch through a model and back; made anew where the list of parameters may have changed.

    optimizer: None where nothing is updated. average: follows the weights after each update.
    """

    compiles = True
    """Whether `train` may run a compiled step, where there is one that is faster (`minidl.compiled.training`)."""

    def __init__(self, model: Model, loss: Loss, optimizer: Any = None, average: WeightAverage | None = None) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.parameters = model.parameters()
        self.images = 0
        """Number of the last `forward`'s images."""
        self.weight = 0.0
        """Sum of the weights of the last `forward`'s images; without weights their number."""
        self.mass = 0.0
        """What its loss was divided by, `weight` but for weights of classes: means of batches are joined by it."""
        self._moving: Moving | None = None
        self._trainings: dict[Any, Any] = {}  # compiled steps by the images they take
        self._running: Any = None  # the one of the last `forward`

    def train(self, batch: Batch) -> Measured:
        """One whole step. Raises NonFiniteLoss before the backward pass, and as the optimiser's `step`.

        After both FloatingPointErrors, of the loss and of gradients that cannot be clipped, weights, running statistics
        and generators are as they were before the step.
        """
        moving = self.kept()
        try:
            measured = self.forward(batch, True)
            if not math.isfinite(measured[0]):
                raise NonFiniteLoss(measured[0], batch)
            self.backward()
            self.update()
        except FloatingPointError:
            moving.restore()
            raise
        return measured

    def kept(self) -> Moving:
        """What a forward pass changes by itself, as it is now."""
        if self._moving is None:
            self._moving = Moving(self.model)
        self._moving.keep()
        return self._moving

    def forward(self, batch: Batch, train: bool = False, scores: Callable[[Batch], Any] | None = None) -> Measured:
        """Scores and loss of a batch. train: whether a `backward` follows.

        scores: gives the backend's array of scores in place of the model's `run`.
        """
        found = self._compiled(batch) if train and scores is None and self.compiles else None
        if found is None:
            # The last step's arrays go first, so that one step's memory is all that is ever needed.
            self.model.release()
            found = self.model.run(batch.enter(), train) if scores is None else scores(batch)
        weight = batch.weight()
        weights = () if weight is None else (weight,)
        loss = self.loss.run(found, batch.target(), *weights)
        self.images = len(batch.rows)
        self.weight = self.images if weight is None else float(weight.sum(dtype=np.float64))
        mass = getattr(self.loss, "mass", None)
        self.mass = self.weight if mass is None else mass
        right = self.loss.correct
        return loss, self._right(found, batch, weight) if right is None else right

    def backward(self) -> None:
        """Set the gradients of all parameters, from the last `forward`."""
        if self._running is None:
            self.model.run_backward(self.loss.dlogits)
            return
        leave, dlogits = kernels.current().leave, self.loss.dlogits
        self._running.backward([leave(part) for part in (dlogits if isinstance(dlogits, Several) else [dlogits])])

    def update(self) -> None:
        """Let the optimiser change the parameters, and the average follow."""
        self.optimizer.step(self.parameters)
        if self.average is not None:
            self.average.step()

    def _compiled(self, batch: Batch) -> Any:
        """The scores by a compiled step; None where there is none, or none that is faster."""
        found = self._training(batch)
        before, self._running = self._running, found
        if before is not None and before is not found:
            before.release()
        if found is None:
            return None
        if before is None:
            self.model.release()  # what layers remember of another kind of step
        backend, images = kernels.current(), batch.plain()
        self.model.saw(images)
        scores = [backend.enter(array, False) for array in found.forward(images)]
        return Several(scores) if self.model.outputs > 1 else scores[0]

    def _training(self, batch: Batch) -> Any:
        """The compiled step for this batch, or None."""
        plan = self.model.compiled_by()
        if plan is None:
            return None
        from minidl.compiled.trainings import training_of

        dtype = self.model.dtype
        return training_of(self._trainings, plan, len(batch.rows), batch.kinds(dtype), dtype)

    def _right(self, scores: Any, batch: Batch, weight: np.ndarray | None) -> float:
        """For a loss that does not count them."""
        labels = batch.labels()
        if labels is None:
            return NAN
        right = kernels.current().leave(scores).argmax(axis=1) == labels
        return float(np.count_nonzero(right) if weight is None else weight[right].sum(dtype=np.float64))
