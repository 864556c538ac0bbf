"""What an estimator's y is, as targets of a loss, and back from scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target

from minidl.layers import Layer
from minidl.layers.arithmetic import Affine
from minidl.losses import Loss, MSELoss, SigmoidCrossEntropyLoss, SoftmaxCrossEntropyLoss
from minidl.model.scores import sigmoid, softmax
from minidl.sklearn.rows import spread


class Classes:
    """One class of several for each row. classes: sorted, two or more."""

    multi_label = False

    def __init__(self, classes: np.ndarray) -> None:
        self.classes = classes
        self.outputs = len(classes)

    def loss(self) -> Loss:
        """Cross-entropy."""
        return SoftmaxCrossEntropyLoss()

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Numbers of the classes, (N,). Raises ValueError for others than `classes`, and for labels."""
        if y.ndim != 1:
            raise ValueError(f"y must have one class a row, as in the first fit, got labels of shape {y.shape}")
        found = np.searchsorted(self.classes, y).clip(max=self.outputs - 1)
        strange = self.classes[found] != y
        if strange.any():
            raise ValueError(
                f"y must have only the classes of the first fit, {self.classes.tolist()},"
                f" got {np.unique(y[strange]).tolist()}"
            )
        return found

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """The class with the largest score."""
        return self.classes[scores.argmax(axis=1)]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N, K)."""
        return softmax(scores)

    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N, K)."""
        shifted = scores - scores.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def behind(self) -> list[Layer]:
        """Layers of the finished model behind the trained one."""
        return []


class Labels:
    """Any number of labels for each row: y (N, K) of 0 and 1."""

    multi_label = True

    def __init__(self, count: int) -> None:
        self.outputs = count
        self.classes = np.arange(count)

    def loss(self) -> Loss:
        """Cross-entropy of each label by itself."""
        return SigmoidCrossEntropyLoss()

    def encode(self, y: np.ndarray) -> np.ndarray:
        """(N, K) of 0 and 1. Raises ValueError for another K, and for other numbers."""
        if y.ndim != 2 or y.shape[1] != self.outputs:
            raise ValueError(f"y must have {self.outputs} labels, as in the first fit, got shape {y.shape}")
        found = np.unique(y)
        if not np.isin(found, (0, 1)).all():
            raise ValueError(f"y must be 0 or 1 for each of several labels, got {found.tolist()}")
        return y.astype(np.float64)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """0 and 1: whether a label is more probable than not."""
        return (scores > 0).astype(np.int64)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N, K)."""
        return sigmoid(scores)

    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N, K)."""
        return -np.logaddexp(scores.dtype.type(0), -scores)

    def behind(self) -> list[Layer]:
        """Layers of the finished model behind the trained one."""
        return []


class Numbers:
    """One number for each row, or F of them; trained as (y - mean) / std.

    y: (N,) or (N, F), of the first fit. weight: (N,) of its rows, or None.
    """

    multi_label = False

    def __init__(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.columns = y.ndim == 2
        self.outputs = y.shape[1] if self.columns else 1
        self.mean, self.std = spread(y.reshape(len(y), -1), (0,), weight)

    def loss(self) -> Loss:
        """Mean squared error."""
        return MSELoss("mean")

    def encode(self, y: np.ndarray) -> np.ndarray:
        """(N, F), standardised. Raises ValueError for another F."""
        if (y.ndim == 2) != self.columns or (self.columns and y.shape[1] != self.outputs):
            raise ValueError(f"y must have {self.outputs} numbers a row, as in the first fit, got shape {y.shape}")
        return (y.reshape(len(y), -1) - self.mean) / self.std

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """The numbers as y had them, (N,) or (N, F)."""
        return scores if self.columns else scores[:, 0]

    def behind(self) -> list[Layer]:
        """What gives the numbers their unit back."""
        return [affine(self.std, self.mean, "units")]


Target = Classes | Labels | Numbers


def affine(scale: np.ndarray, shift: np.ndarray, name: str) -> Affine:
    """x * scale + shift, a channel or a column, which no training changes."""
    layer = Affine(len(scale), name=name).astype(np.float64).freeze()  # a model in float32 rounds it, no other
    assert layer.scale is not None
    assert layer.shift is not None
    layer.scale.data[...], layer.shift.data[...] = scale, shift
    return layer


def class_target(y: Any, classes: Any = None) -> tuple[Classes | Labels, np.ndarray]:
    """What y is for a classifier, and y as an array.

    classes: all that may come, None for those of y. Raises ValueError for one class alone and for targets that are no
    classes.
    """
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind == "multilabel-indicator":
        y = np.asarray(y)
        return Labels(y.shape[1] if classes is None else len(classes)), y
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"Unknown label type: {kind}. Maybe you are trying to fit a classifier, which expects discrete classes"
            " or labels of 0 and 1, on a regression target with continuous values."
        )
    y = column_or_1d(y, warn=True)
    found = np.unique(y if classes is None else column_or_1d(classes))
    if len(found) < 2:
        raise ValueError(f"This classifier needs two classes or more, got 1 class: {found.tolist()}")
    return Classes(found), y


def known_target(target: Target, y: Any) -> np.ndarray:
    """y of a later fit as an array; what is of another kind than the `target` of the first is refused by `encode`."""
    return number_target(y, None)[1] if isinstance(target, Numbers) else class_target(y, target.classes)[1]


def number_target(y: Any, weight: np.ndarray | None) -> tuple[Numbers, np.ndarray]:
    """What y is for a regressor, and y as float64, (N,) or (N, F) with F > 1 (a single column counts as (N,))."""
    y = np.asarray(y, np.float64)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return Numbers(y, weight), y
