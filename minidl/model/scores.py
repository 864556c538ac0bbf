"""What scores say: probabilities, and the classes they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(s_k) / sum_j exp(s_j) along the last axis, without overflow."""
    found = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    found /= found.sum(axis=-1, keepdims=True)
    return found


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-s)), without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)


def class_names(who: str, given: Any) -> tuple[str, ...] | None:
    """Names as a tuple, checked to be different strings; None stays None."""
    if given is None:
        return None
    names = tuple(given) if isinstance(given, (list, tuple, np.ndarray)) else ()
    names = tuple(str(name) if isinstance(name, np.str_) else name for name in names)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{who}: class_names must be a list of names, got {given!r}")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"{who}: class_names must have different names, got {twice!r} twice")
    return names


def check_names(who: str, names: Sequence[str] | None, outputs: int, multi_label: bool) -> None:
    """Refuse more or fewer names than classes of so many outputs: ValueError. One output stands for two classes."""
    expected = 2 if outputs == 1 else outputs
    single = multi_label and outputs == 1  # which may have a name for its yes alone
    if names is not None and len(names) != expected and not (single and len(names) == 1):
        raise ValueError(f"{who}: class_names must have {expected} names for {outputs} outputs, got {len(names)}")


def nan_doubt(probabilities: np.ndarray) -> str:
    """Which of (N, K), or of one image's (K,), are NaN; "" if none is."""
    bad = np.flatnonzero(np.isnan(probabilities.reshape(-1, probabilities.shape[-1])).any(axis=1))
    if not len(bad):
        return ""
    where = "" if probabilities.ndim == 1 else f" in {len(bad)} of {len(probabilities)} rows, the first is row {bad[0]}"
    return f"the scores are NaN{where}, so no class is the most probable: look for NaN in the input, or in the weights"


def decide(probabilities: np.ndarray, names: Sequence[str] | None, multi_label: bool) -> np.ndarray:
    """The decisions that probabilities (..., K) stand for, see `Model.predict_classes`; the names are checked."""
    outputs = probabilities.shape[-1]
    if multi_label:
        return probabilities > 0.5
    number = (probabilities[..., 0] > 0.5).astype(np.intp) if outputs == 1 else probabilities.argmax(axis=-1)
    if names is None:
        return number
    return np.array(names)[number]
