"""Metrics of one's own: checked when the Trainer is made, computed over all scores of a set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Metric = Callable[..., float]


def check_metrics(metrics: Any) -> dict[str, Metric]:
    """Metrics by name. Raises TypeError or ValueError for what is no mapping of names to functions."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(f"Trainer: metrics must be a dict such as {{'f1': minidl.metrics.MacroF1()}}, got {metrics!r}")
    for name, metric in metrics.items():
        if not (isinstance(name, str) and re.fullmatch(r"[\w-]+", name)) or name in ("loss", "accuracy"):
            rule = "a name of letters, digits, _ and -, other than loss and accuracy"
            raise ValueError(f"Trainer: metrics must have names, each {rule}, got {name!r}")
        if isinstance(metric, type) or not callable(metric):
            raise TypeError(f"Trainer: the metric {name} must be a function of (scores, targets), got {metric!r}")
        if mode_of(metric) not in (None, "max", "min"):
            raise ValueError(f"Trainer: the metric {name} must have the mode 'max' or 'min', got {mode_of(metric)!r}")
    return dict(metrics)


def mode_of(metric: Metric) -> str | None:
    """Which way the metric says it is better; None if it does not say."""
    return getattr(metric, "mode", None)


def compute(metrics: Mapping[str, Metric], parts: list[tuple[Any, ...]]) -> dict[str, float]:
    """Each metric over the rows of all batches.

    parts: (scores, targets, sample weights or None) of each batch. Raises TypeError for a metric that gives no number.
    """
    scores, targets = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    weight = None
    if any(part[2] is not None for part in parts):  # an image without a weight counts as one
        weight = np.concatenate(
            [np.ones(len(part[0]), part[0].dtype) if part[2] is None else part[2] for part in parts]
        )
    found = {}
    for name, metric in metrics.items():
        weighted = {"weight": weight} if weight is not None and _weighs(metric) else {}
        value = metric(scores, targets, **weighted)
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"Trainer: the metric {name} must give a number, got {value!r}") from None
    return found


def _weighs(metric: Metric) -> bool:
    """Whether it takes an argument `weight`."""
    try:
        return "weight" in inspect.signature(metric).parameters
    except (TypeError, ValueError):  # one that does not tell
        return False
