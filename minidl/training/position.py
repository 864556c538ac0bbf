"""Where a training stands between two steps, so that it can go on exactly there."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Collection
from typing import Any

import numpy as np

from minidl.support import random

COUNTS = ("images", "batch_size", "epochs", "data", "done", "steps")
SUMS = ("total", "mass", "right", "weight", "seconds")
OTHERS = ("batches", "seed", "draw", "augment", "stopped", "shuffled")
NEW = {"steps", "mass", "weight", "batches", "shuffled"}
"""What older files may lack."""


class Position:
    """The place of a training in its data: one call of `fit`, and those that resume it.

    images: number of training images. batch_size, epochs, seed: as given to `fit`. data: `samples.fingerprint`;
    for a stream that of the first batch of the pass that began last, 0 before.
    augment: what `Augmentation.describe` says. batches: None for arrays; for a stream the number of its batches in a
    pass, 0 until it is known, as `images` then is.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        epochs: int,
        seed: int | None,
        data: int,
        augment: str = "",
        batches: int | None = None,
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.epochs = epochs
        self.seed = seed
        self.data = data
        self.augment = augment
        self.batches = batches
        self.draw = seed
        """What the augmentation draws from; without a seed a number from minidl's default generator, once begun."""
        self.done = 0
        """Images of the running epoch that are through."""
        self.steps = 0
        """Batches of the running epoch that are through."""
        self.total = 0.0
        """Sum of their losses, times what each was divided by."""
        self.mass = 0.0
        """Sum of what they were divided by; `weight` but for a loss that weights classes."""
        self.right = 0.0
        """How many of them were answered rightly, or the sum of their weights; NaN without classes."""
        self.weight = 0.0
        """Sum of their weights; without weights their number."""
        self.seconds = 0.0
        """Wall time of the running epoch up to the last `tick`."""
        self.stopped = ""
        """Class name of the callback that has ended the run."""
        self.shuffled = False
        """Whether the passes of a stream have begun with different batches."""
        self._resumed = False  # and no batch has come since
        self._rng = random.generator(seed)
        self._drawn_from: dict[str, Any] | None = None  # state of _rng before it drew the running epoch's order
        self._ticked = 0.0

    @property
    def share(self) -> float:
        """How much of the running epoch is through, in [0, 1]; 0 in the first pass of a stream of unknown length."""
        if self.batches is None:
            return self.done / self.images
        return min(self.steps / self.batches, 1.0) if self.batches else 0.0

    @property
    def counted(self) -> tuple[int, int, str]:
        """How many there are in the epoch, 0 if that is not known, how many are through, and of what."""
        if self.batches is None:
            return self.images, self.done, "images"
        return self.batches, self.steps, "batches"

    @property
    def means(self) -> tuple[float, float]:
        """Loss and accuracy over the images of the running epoch that are through."""
        if not self.weight:
            return float("nan"), float("nan")
        return self.total / self.mass if self.mass else 0.0, self.right / self.weight

    def begin(self) -> Position:
        """A new one at the beginning of the same run, which has drawn what a run draws once."""
        new = Position(self.images, self.batch_size, self.epochs, self.seed, self.data, self.augment, self.batches)
        if new.augment and new.draw is None:
            new.draw = int(new._rng.integers(2**63))
        return new

    def order(self) -> np.ndarray:
        """The running epoch's order of the images: drawn when it begins, the same again when it is resumed."""
        self.start()
        if self._drawn_from is not None:
            return random.from_state(self._drawn_from).permutation(np.arange(self.images, dtype=np.intp))
        self._drawn_from = random.state(self._rng)
        return self._rng.permutation(np.arange(self.images, dtype=np.intp))

    def start(self) -> None:
        """The clock runs."""
        self._ticked = time.perf_counter()

    def add(
        self, images: int, loss: float, right: float, weight: float | None = None, mass: float | None = None
    ) -> None:
        """A step over so many images is done: its mean loss, and how many of its answers were right.

        weight: the sum of the images' weights, `right` is then that of the right ones; None where they have none.
        mass: what the loss was divided by, None for the weight.
        """
        weight = images if weight is None else weight
        self.done += images
        self.steps += 1
        if weight:  # the mean of a batch without weight says nothing
            mass = weight if mass is None else mass
            self.total += loss * mass
            self.mass += mass
            self.right += right
            self.weight += weight
        self.tick()

    def tick(self) -> None:
        """Count the time since `start` or the last tick; what passes between two calls of `fit` is not counted."""
        now = time.perf_counter()
        self.seconds += now - self._ticked
        self._ticked = now

    def end_epoch(self) -> None:
        """The running epoch is complete; the next one has not begun."""
        if self.batches is not None:
            self.images, self.batches = self.done, self.steps
        self.done, self.steps, self._drawn_from = 0, 0, None
        self.total, self.mass, self.right, self.weight, self.seconds = 0.0, 0.0, 0.0, 0.0, 0.0

    def begins_with(self, first: int, orders: bool) -> str:
        """Take the fingerprint of a pass's first batch; what is doubtful about it where a run goes on, else "".

        orders: whether the stream gets the number of the pass, so that each may begin with another batch.
        """
        was, self.data = self.data, first
        resumed, self._resumed = self._resumed, False
        if was in (0, first):
            return ""
        if not resumed:
            self.shuffled = True
        elif self.steps:
            return (
                "the epoch to resume began with another first batch: these are other data, or a source that shuffles"
                " without a seed, so that the rest of the epoch is not the one that was left"
            )
        elif not (self.shuffled or orders):
            return (
                "the first batch is another one than in the run to resume: these are other data, unless the source"
                " shuffles by itself"
            )
        return ""

    def check(self, call: Position) -> None:
        """Whether the new call of `fit` can resume this run.

        Raises ValueError that names what differs: number of images, images or targets, batch size, augmentation, a seed
        that is not None. Of a stream only the augmentation and the seed can be compared; see `begins_with`.
        """
        if (self.batches is None) != (call.batches is None):
            was, given = ("arrays" if each.batches is None else "batches" for each in (self, call))
            raise ValueError(f"Trainer: training data must be {was}, as in the run to resume, got {given}")
        names = {"images": "number of training images", "batch_size": "batch_size", "augment": "augment"}
        for name, what in names.items():
            if self.batches is not None and name != "augment":
                continue
            was, given = getattr(self, name), getattr(call, name)
            if was != given:
                raise ValueError(f"Trainer: {what} must be {was or '()'}, as in the run to resume, got {given or '()'}")
        if self.batches is None and self.data != call.data:
            raise ValueError("Trainer: training data must be those of the run to resume, got other images or targets")
        if call.seed is not None and call.seed != self.seed:
            raise ValueError(f"Trainer: seed must be {self.seed}, as in the run to resume, or None, got {call.seed}")

    def go_on(self, epochs: int, callbacks: Collection[str]) -> None:
        """Aim at so many epochs.

        A run that a callback has ended stays ended, if its class is among the `callbacks` and epochs has not grown.
        """
        if epochs > self.epochs or self.stopped not in callbacks:
            self.stopped = ""
        self.epochs = epochs
        self._resumed = True

    # ---- on disk -----------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON can hold it; without a seed the generator is minidl's default one, and not among it."""
        values = {name: getattr(self, name) for name in (*COUNTS, *SUMS, *OTHERS)}
        generator = None if self.seed is None else random.state(self._rng)
        return {**values, "order": self._drawn_from, "generator": generator}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Position:
        """The run that `to_json` wrote. Raises ValueError for anything else."""
        run = cls(0, 1, 1, None, 0)
        if not isinstance(values, dict) or set(values) | NEW != set(run.to_json()):
            raise ValueError(f"a run must have exactly {', '.join(run.to_json())}")
        values = {"steps": 0, "weight": 0.0, "batches": None, "shuffled": False, **values}
        values = {"mass": values["weight"], **values}
        counts = [values[name] for name in COUNTS]
        counts += [values[name] for name in ("seed", "draw", "batches") if values[name] is not None]
        if not all(type(value) is int and 0 <= value < 2**64 for value in counts) or values["batch_size"] < 1:
            raise ValueError(
                f"{', '.join(COUNTS)}, seed and draw of a run must be integers of at least 0 and below 2**64"
            )
        if not all(type(values[name]) is float for name in SUMS) or type(values["stopped"]) is not str:
            raise ValueError(f"{', '.join(SUMS)} of a run must be floats, and stopped a text")
        for name in SUMS:
            number, free = values[name], name == "total"
            if not (math.isfinite(number) and (free or number >= 0)) and not (name == "right" and math.isnan(number)):
                rule = "finite" if free else "finite and at least 0"
                raise ValueError(f"{name} of a run must be {rule}, got {number}")
        if type(values["shuffled"]) is not bool:
            raise ValueError(f"shuffled of a run must be true or false, got {values['shuffled']!r}")
        if type(values["augment"]) is not str or (values["augment"] and values["draw"] is None):
            raise ValueError("a run must have a text for augment, and draw if that is not empty")
        inside = values["done"] > 0
        stream = values["batches"] is not None
        if not stream and (values["done"] > values["images"] or (inside and values["order"] is None)):
            raise ValueError(
                f"a run cannot have {values['done']} of {values['images']} images done, or lacks their order"
            )
        if (values["seed"] is None) != (values["generator"] is None):
            raise ValueError("a run must have a generator if it has a seed, and only then")
        for name in (*COUNTS, *SUMS, *OTHERS):
            setattr(run, name, values[name])
        if inside and not run.steps:
            run.steps, run.weight, run.mass = -(-run.done // run.batch_size), float(run.done), float(run.done)
        if values["order"] is not None:
            random.from_state(values["order"])
            run._drawn_from = values["order"]
        if values["generator"] is not None:
            run._rng = random.from_state(values["generator"])
        return run


def as_seed(who: str, seed: Any) -> int:
    """`seed` as an int in [0, 2^63]. Raises TypeError or ValueError that names `who` for anything else."""
    try:
        if isinstance(seed, (bool, np.bool_)):
            raise TypeError
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"{who}: seed must be an int, got {seed!r}") from None
    if not 0 <= number <= 2**63:
        rule = "at least 0" if number < 0 else "at most 2**63"
        raise ValueError(f"{who}: seed must be {rule}, got {number}")
    return number
