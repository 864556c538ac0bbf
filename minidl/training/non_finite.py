"""Where a network first computed something that is no finite number."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.model import Model, as_images
from minidl.training.moving import Moving
from minidl.training.state import Training
from minidl.training.step import NonFiniteLoss


def non_finite_parameter(model: Model) -> str:
    """The name of the first parameter, or running statistic, that holds a NaN or an infinity; "" if there is none."""
    arrays = {name: parameter.data for name, parameter in model.named_parameters().items()} | model.buffers()
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), "")


def first_non_finite(model: Model, x: Any) -> str:
    """One clause that names the input, or the first layer whose output of batch x holds a NaN or an infinity.

    The batch runs as a training step does, without fusion; running statistics and generators are put back.
    """
    images = as_images(model.who, "input", x)
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
        return f"the input itself is not finite ({len(bad)} of the batch's {len(images)} images)"
    moving = Moving(model)
    moving.keep()
    try:
        with np.errstate(all="ignore"):
            activations = model.activations(images, train=True)
    finally:
        moving.restore()
    for name, y in activations:
        if not np.isfinite(y).all():
            path = name.split(" ")[0]
            weights = [
                parameter.name
                for parameter in model.parameters()
                if parameter.name.rpartition(".")[0] == path and not np.isfinite(parameter.data).all()
            ]
            cause = f"its parameter {weights[0]} is not finite" if weights else "its parameters are finite"
            return f"the first output that is not finite is that of layer {name} ({cause})"
    return f"every layer's output is finite, up to {np.abs(activations[-1][1]).max():.3g}; the loss itself overflowed"


def overflow(training: Training, error: NonFiniteLoss) -> FloatingPointError:
    """What to raise where the next step's loss is no finite number: where it is, what has caused it, what may help."""
    position = training.run
    assert position is not None
    where = f"epoch {training.history.epochs + 1}, step {position.steps + 1}"
    # As the step saw it: what happens to an image on its way in may be the cause.
    cause = first_non_finite(training.model, kernels.current().leave(error.batch.enter()))
    return FloatingPointError(f"Trainer: the loss became {error.loss} in {where}: {cause}. {_advice(training)}")


def check_weights(training: Training) -> None:
    """Raise FloatingPointError if a parameter is not finite: after the last step no loss would show it any more."""
    bad = non_finite_parameter(training.model)
    if bad:
        where = f"the last step of epoch {training.history.epochs + 1}"
        raise FloatingPointError(f"Trainer: the parameter {bad} is not finite after {where}. {_advice(training)}")


def _advice(training: Training) -> str:
    return f"Often a smaller learning rate than {training.optimizer.lr:g} helps, or scaled inputs"
