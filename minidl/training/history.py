"""What a training run has measured, one entry an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

KEYS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")


class History(Mapping[str, list[float]]):
    """Lists by name, one number for each completed epoch: `history["val_accuracy"][-1]`.

    train_loss, train_accuracy: running means over the epoch's batches, measured while the weights were changing.
    val_loss, val_accuracy: of the validation data after the epoch; NaN without validation data.
    Accuracies are shares in [0, 1]; NaN where the loss and the targets know no classes.
    lr: learning rate at the epoch's last step. seconds: wall time of the epoch, validation included.

    step_loss: the loss of every training batch, in order. interrupted: whether Ctrl-C ended the run.
    """

    def __init__(self) -> None:
        self._lists: dict[str, list[float]] = {key: [] for key in KEYS}
        self.step_loss: list[float] = []
        self.interrupted = False

    def append(self, **values: float) -> None:
        """Add one epoch: a number for every name in `KEYS`. Raises TypeError for other or missing names."""
        if set(values) != set(KEYS):
            raise TypeError(f"History: an epoch must have exactly {', '.join(KEYS)}, got {', '.join(values)}")
        for key, value in values.items():
            self._lists[key].append(float(value))

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self._lists["train_loss"])

    def best(self, monitor: str = "val_accuracy") -> int:
        """Index of the epoch with the lowest loss or the highest accuracy (the first of equals; NaN never wins).

        Raises ValueError if `monitor` is neither, or has no number to compare.
        """
        sign = direction(monitor)
        scores = [(sign * value, -epoch) for epoch, value in enumerate(self._lists[monitor]) if value == value]
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
        if set(state) != names:
            raise ValueError(f"History: a state must hold exactly {', '.join(sorted(names))}, got {', '.join(state)}")
        lengths = {state[key].shape for key in KEYS}
        if len(lengths) != 1 or any(
            state[key].ndim != 1 or state[key].dtype != np.float64 for key in (*KEYS, "step_loss")
        ):
            raise ValueError(f"History: a state must hold float64 vectors, those of {', '.join(KEYS)} of one length")
        history = cls()
        history.interrupted = bool(state["interrupted"].any())
        history.step_loss = state["step_loss"].tolist()
        history._lists = {key: state[key].tolist() for key in KEYS}
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


def direction(monitor: str) -> int:
    """+1 if more of it is better (an accuracy), -1 if less is (a loss). Raises ValueError for any other name."""
    if monitor in ("train_accuracy", "val_accuracy"):
        return 1
    if monitor in ("train_loss", "val_loss"):
        return -1
    raise ValueError(f"monitor must be one of train_loss, train_accuracy, val_loss, val_accuracy, got {monitor!r}")
