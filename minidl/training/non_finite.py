"""Where a network first computed something that is no finite number."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.model import Model, as_images


def first_non_finite(model: Model, x: Any) -> str:
    """One clause that names the input, or the first layer whose output of batch x holds a NaN or an infinity.

    The batch runs as a training step does, without fusion; the running statistics are put back.
    """
    images = as_images(model.who, "input", x)
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
        return f"the input itself is not finite ({len(bad)} of the batch's {len(images)} images)"
    state = model.state()
    try:
        with np.errstate(all="ignore"):
            activations = model.activations(images, train=True)
    finally:
        model.load_state(state)
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
