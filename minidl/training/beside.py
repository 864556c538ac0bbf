"""A model and a loss for another thread, or for a callback: what a training step remembers is not theirs."""

from __future__ import annotations

import copy

from minidl.losses import Loss
from minidl.model import Model


def beside(model: Model, loss: Loss) -> tuple[Model, Loss]:
    """A twin of the model and a copy of the loss, which looks at the twin where it looked at the model."""
    twin, other = model.twin(), copy.copy(loss)
    for name, value in vars(other).items():
        if value is model:
            setattr(other, name, twin)
    return twin, other
