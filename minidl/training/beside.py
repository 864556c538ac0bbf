"""A model and a loss for another thread, or for a callback: what a training step remembers is not theirs."""

from __future__ import annotations

import copy
from typing import Any

from minidl.losses import Loss
from minidl.model import Model


def beside(model: Model, loss: Loss) -> tuple[Model, Loss]:
    """A twin of the model and a copy of the loss, which looks at the twin where it looked at the model."""
    twin = model.twin()
    return twin, of_model(copy.copy(loss), model, twin)


def of_model(loss: Any, model: Model, other: Model) -> Any:
    """A loss that looks at the `other` model where it looked at the first; returns it."""
    for name, value in vars(loss).items():
        if value is model:
            setattr(loss, name, other)
    return loss
