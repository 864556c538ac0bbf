"""One training of an estimator: optimiser, schedule, validation rows, callbacks, and the Trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from minidl.kernels import checks
from minidl.optim import SGD, Adam, AdamW, RMSProp
from minidl.optim.schedules import Cosine, OneCycle
from minidl.sklearn.networks import LARGE_BATCH, MANY, Habits
from minidl.training.callbacks import Callback

OPTIMIZERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "adamw": (AdamW, {}),
    "adam": (Adam, {"lr": 0.003, "weight_decay": 1e-4}),
    "rmsprop": (RMSProp, {"lr": 0.001, "weight_decay": 1e-4}),
    "sgd": (SGD, {"lr": 0.05, "weight_decay": 1e-4, "momentum": 0.9, "nesterov": True}),
}
"""By name, with what holds where nothing else is asked for; AdamW's numbers are the network's (`Habits`)."""
SCHEDULES: dict[str, Callable[[float], Any]] = {"constant": float, "cosine": Cosine, "onecycle": OneCycle}


def batch_size(who: str, value: int | None, count: int, habits: Habits) -> int:
    """As given, or by the network and the number of rows."""
    if value is None:
        return habits.batch_size if count < MANY else LARGE_BATCH
    return checks.integer(who, "batch_size", value, 1)


def optimizer(who: str, kind: Any, lr: float | None, weight_decay: float | None, schedule: Any, habits: Habits) -> Any:
    """A new optimiser.

    kind: a name of `OPTIMIZERS`, or a function that is called with lr and weight_decay, such as `minidl.Adam`. lr,
    weight_decay: None for the defaults. schedule: a name of `SCHEDULES`, or a function (epoch, epochs) -> rate, which
    then decides the rate alone. Raises TypeError or ValueError for others.
    """
    defaults = {"lr": habits.lr, "weight_decay": habits.weight_decay}
    if callable(kind):
        make, own = kind, {"weight_decay": 0.0}
    elif isinstance(kind, str) and kind in OPTIMIZERS:
        make, own = OPTIMIZERS[kind]
    else:
        raise ValueError(f"{who}: optimizer must be a function or one of {', '.join(OPTIMIZERS)}, got {kind!r}")
    options = {**defaults, **own}
    if lr is not None:
        options["lr"] = checks.real(who, "lr", lr, "positive", lambda value: value > 0)
    if weight_decay is not None:
        options["weight_decay"] = checks.real(who, "weight_decay", weight_decay, "at least 0", lambda value: value >= 0)
    if callable(schedule):
        options["lr"] = schedule
    elif isinstance(schedule, str) and schedule in SCHEDULES:
        options["lr"] = SCHEDULES[schedule](options["lr"])
    else:
        raise ValueError(f"{who}: schedule must be a function or one of {', '.join(SCHEDULES)}, got {schedule!r}")
    return make(**options)


def callbacks(who: str, given: Any) -> list[Callback]:
    """Copies of the callbacks, for the parameter stays as it is."""
    listed = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for each in listed:
        if not isinstance(each, Callback):
            raise TypeError(f"{who}: callbacks must be None, a minidl.Callback or a list of them, got {each!r:.80}")
    return copy.deepcopy(listed)


def split(
    who: str, count: int, fraction: float, classes: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows to train with, and of those to validate with, `fraction` of all.

    classes: of the rows, which both parts get in equal shares where there are enough. Raises ValueError for a fraction
    outside of (0, 1), and where a part would be empty.
    """
    fraction = checks.real(who, "validation_fraction", fraction, "above 0 and below 1", lambda value: 0 < value < 1)
    kept = int(np.ceil(fraction * count))
    if not 0 < kept < count:
        raise ValueError(f"{who}: validation_fraction {fraction} of {count} rows leaves none to train with")
    if classes is not None:
        counts = np.bincount(classes)
        counts = counts[counts > 0]
        if counts.min() < 2 or min(kept, count - kept) < len(counts):
            classes = None
    train, held = train_test_split(np.arange(count), test_size=kept, random_state=seed, stratify=classes)
    return train, held
