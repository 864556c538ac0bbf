"""What a training run has measured, one entry an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

KEYS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")

ACCURACIES, LOSSES = ("train_accuracy", "val_accuracy"), ("train_loss", "val_loss")

MODES = {"max": 1, "min": -1}
"""What may be said of a monitor: that more of it is better, or less."""


class History(Mapping[str, list[float]]):
    """Lists by name, one number for each completed epoch: `history["val_accuracy"][-1]`.

    train_loss, train_accuracy: running means over the epoch's batches, measured while the weights were changing.
    val_loss, val_accuracy: of the validation data after the epoch; NaN without validation data.
    Accuracies are shares in [0, 1]; NaN where the loss and the targets know no classes.
    lr: learning rate at the epoch's last step. seconds: wall time of the epoch, validation included.
    val_<name>: of each of the Trainer's metrics; NaN in epochs without it.

    step_loss: the loss of every training batch, in order. interrupted: whether Ctrl-C ended the run. modes: "max" or
    "min" by the names of metrics, where they say what is better.
    """

    def __init__(self) -> None:
        self._lists: dict[str, list[float]] = {key: [] for key in KEYS}
        self.step_loss: list[float] = []
        self.interrupted = False
        self.modes: dict[str, str] = {}

    def append(self, **values: float) -> None:
        """Add one epoch: a number for every name in `KEYS`, and for metrics "val_<name>".

        Raises TypeError for other or missing names.
        """
        metrics = [key for key in values if key not in KEYS]
        if not set(KEYS) <= set(values) or not all(key.startswith("val_") for key in metrics):
            raise TypeError(
                f"History: an epoch must have exactly {', '.join(KEYS)}, and val_ before the name of a metric,"
                f" got {', '.join(values)}"
            )
        for key in metrics:
            self._lists.setdefault(key, [float("nan")] * self.epochs)
        for key, numbers in self._lists.items():
            numbers.append(float(values.get(key, "nan")))

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self._lists["train_loss"])

    def best(self, monitor: str = "val_accuracy", mode: str | None = None) -> int:
        """Index of the epoch with the lowest loss or the highest accuracy (the first of equals; NaN never wins).

        monitor: a loss, an accuracy, or "val_<metric>". mode: "max" or "min" for a metric; None for what it says of
        itself. Raises ValueError if `monitor` is none of them, or has no number to compare.
        """
        sign = direction(monitor, mode or self.modes.get(monitor))
        numbers = self._lists.get(monitor, [])
        scores = [(sign * value, -epoch) for epoch, value in enumerate(numbers) if value == value]
        if not scores:
            raise ValueError(f"History: no epoch has a {monitor}")
        return -max(scores)[1]

    def state(self) -> dict[str, np.ndarray]:
        """All numbers as float64 arrays by name, "step_loss" among them, and "interrupted"."""
        lists = {**self._lists, "step_loss": self.step_loss}
        arrays = {key: np.array(values, np.float64) for key, values in lists.items()}
        return {**arrays, "interrupted": np.array(self.interrupted)}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> History:
        """The history whose `state` this is. Raises ValueError for anything else."""
        names = {*KEYS, "step_loss", "interrupted"}
        lists = [*KEYS, *(name for name in state if name.startswith("val_") and name not in KEYS)]
        if {*lists, *names} != set(state):
            raise ValueError(f"History: a state must hold exactly {', '.join(sorted(names))}, got {', '.join(state)}")
        lengths = {state[key].shape for key in lists}
        if len(lengths) != 1 or any(
            state[key].ndim != 1 or state[key].dtype != np.float64 for key in (*lists, "step_loss")
        ):
            raise ValueError(f"History: a state must hold float64 vectors, those of {', '.join(lists)} of one length")
        history = cls()
        history.interrupted = bool(state["interrupted"].any())
        history.step_loss = state["step_loss"].tolist()
        history._lists = {key: state[key].tolist() for key in lists}
        return history

    def __getitem__(self, key: str) -> list[float]:
        return self._lists[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def __repr__(self) -> str:
        last = {key: values[-1] for key, values in self._lists.items() if values}
        numbers = ", ".join(f"{key}={value:.4g}" for key, value in last.items())
        return f"History({self.epochs} epochs{'; last: ' + numbers if numbers else ''})"


def direction(monitor: str, mode: str | None = None) -> int:
    """+1 if more of it is better, -1 if less is: `mode` says so, or the name.

    Losses are better if lower, and so are metrics whose names end in "loss" or "error"; all else if higher. Raises
    ValueError for a name that is none of a monitor, and for another mode than "max" and "min".
    """
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode must be 'max', 'min' or None, got {mode!r}")
    if monitor not in ACCURACIES + LOSSES and not str(monitor).startswith("val_"):
        raise ValueError(
            "monitor must be one of train_loss, train_accuracy, val_loss, val_accuracy, or val_ and the name of a"
            f" metric, got {monitor!r}"
        )
    return MODES[mode] if mode is not None else -1 if monitor.endswith(("loss", "error")) else 1
