"""What a model's outputs mean beside their targets: classes, decisions or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Judged(NamedTuple):
    """Outputs and targets in the form that the pictures take."""

    kind: str
    """"classes", "decisions" (several yes or no an image) or "numbers"."""
    scores: np.ndarray
    """Logits (N, K) of classes or decisions, or the predicted numbers."""
    truth: np.ndarray
    """Class labels (N,) as integers, decisions (N, K), or the true numbers."""


def judge(outputs: np.ndarray, targets: Any, history: Mapping[str, Sequence[float]], loss: Any = None) -> Judged:
    """Tell by shapes and values what was learnt, and put it into one form.

    Integer labels (N,), one-hot rows and probabilities are classes; 0 or 1 for each output, of a run that knew an
    accuracy or had a sigmoid loss, are decisions, a single one of which makes two classes; all else of the outputs'
    size is numbers. Raises ValueError for targets that fit none of these.
    """
    z, t = np.asarray(outputs), np.asarray(targets)
    if t.dtype.kind not in "iufb":
        raise ValueError(f"targets must be numbers, got dtype {t.dtype}")
    k = z.shape[1] if z.ndim == 2 else 0
    if t.shape in ((len(z),), (len(z), 1)) and k > 1 and t.dtype.kind in "iub":
        return Judged("classes", z, t.reshape(-1).astype(np.intp))
    if t.size != z.size or t.shape[:1] != z.shape[:1]:
        raise ValueError(f"targets {t.shape} do not go with outputs {z.shape}")
    t = t.reshape(z.shape)
    binary = bool(np.isin(t, (0, 1)).all())
    sigmoid = "sigmoid" in (loss if isinstance(loss, str) else type(loss).__name__).lower()
    scored = any(np.isfinite(history.get(key, [])).any() for key in ("train_accuracy", "val_accuracy"))
    if k > 1 and not sigmoid and t.min(initial=0) >= 0 and np.allclose(t.sum(axis=1), 1, atol=1e-3):
        return Judged("classes", z, t.argmax(axis=1))
    if k and binary and (sigmoid or scored):
        if k == 1:
            # sigmoid(z) is the second of two classes with the logits 0 and z.
            return Judged("classes", np.concatenate([np.zeros_like(z), z], axis=1), t[:, 0].astype(np.intp))
        return Judged("decisions", z, t.astype(np.intp))
    return Judged("numbers", z, t)
