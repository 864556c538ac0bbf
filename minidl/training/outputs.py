"""Whether what a model says of its scores goes with the loss and the targets that it meets."""

from __future__ import annotations

import numpy as np

from minidl.losses import Loss, MarginLoss, MultiLoss, SigmoidCrossEntropyLoss, SoftmaxCrossEntropyLoss
from minidl.model import Model

CLASS_LOSSES = SoftmaxCrossEntropyLoss, SigmoidCrossEntropyLoss, MarginLoss
"""Their targets are classes, also where they are rows of floats."""

SQUASH = {"Sigmoid": SigmoidCrossEntropyLoss, "Softmax": SoftmaxCrossEntropyLoss}
"""Layers, and the losses that apply the same themselves."""


def are_classes(loss: Loss, target: np.ndarray, labels: np.ndarray | None) -> bool:
    """Whether prepared targets are classes, and not numbers of a regression; labels: of one-hot rows."""
    return labels is not None or target.dtype.kind != "f" or isinstance(loss, CLASS_LOSSES)


def check_outputs(
    what: str, model: Model, loss: Loss, target: np.ndarray, labels: np.ndarray | None, outputs: tuple[int, ...]
) -> None:
    """Look at the targets of `what` data ("training") for scores of shape `outputs` an image.

    Raises ValueError for `class_names` of another number than there are classes. Warns (UserWarning), once a model, of
    a `Sigmoid` or `Softmax` before a loss that has its own, and of several classes an image where the model is not
    `multi_label`.
    """
    if len(outputs) == 1 and not isinstance(outputs[0], tuple) and are_classes(loss, target, labels):
        model.check_names(outputs[0])
    for end, each in zip(model.endings(), loss.losses if isinstance(loss, MultiLoss) else [loss]):
        if any(end == name and isinstance(each, kind) for name, kind in SQUASH.items()):
            model.warn_once(
                f"the last layer is a {end}, and {each.who} applies one itself, so that scores are squashed"
                " twice and learn slowly: leave the layer out, predict_proba gives probabilities without it",
                7,
            )
    if isinstance(loss, SigmoidCrossEntropyLoss) and not model.multi_label and outputs[0] > 1 and labels is None:
        model.warn_once(
            f"{what} targets have none or several of {outputs[0]} classes an image, while predict_proba and"
            " predict_classes take exactly one: give Model(..., multi_label=True)",
            7,
        )
